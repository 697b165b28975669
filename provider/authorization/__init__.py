"""An authorization request on its way, and the answers that browsers carry between applications and us.

The endpoints and the pages both use it: what is needed next follows from stored state alone. ``logout_answers`` is the
same for the way out.
"""
