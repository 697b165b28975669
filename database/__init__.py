"""Tables, SQL and the connection to the database. Knows no web framework and nothing of the provider.

Other services of the platform use it as well, through ``app.database``.
"""

from database.connection import DatabaseConnection, get_db_session
from database.models import metadata
from database.transaction import Transaction

__all__ = ["DatabaseConnection", "Transaction", "get_db_session", "metadata"]
