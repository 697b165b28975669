"""What all pages share: transaction, current session, forms, language, headers, rendering, error pages.

``application.py`` uses what is named here; ``provider.pages`` uses the modules directly.
"""

from provider.web.busy import BusyAnswers
from provider.web.forms import files_of
from provider.web.installation import install
from provider.web.rendering import render_answer

__all__ = ["BusyAnswers", "files_of", "install", "render_answer"]
