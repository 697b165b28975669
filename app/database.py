"""The import path that the schema document promises to services of the platform."""

from database import DatabaseConnection, get_db_session

__all__ = ["DatabaseConnection", "get_db_session"]
