"""What leaves by itself, through an outbox: written in the transaction of what it tells of, sent later, never lost.

A kind of delivery is one file for the rows and one for the sending.
"""
