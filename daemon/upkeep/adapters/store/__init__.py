"""The store on SQLite and PostgreSQL: the only package that knows SQLAlchemy."""

from upkeep.adapters.store.store import SqlStore, doubt, open_store
from upkeep.adapters.store.upgrade import migrate

__all__ = ["SqlStore", "doubt", "migrate", "open_store"]
