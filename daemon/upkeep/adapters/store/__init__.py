"""The store on SQLite and PostgreSQL: the only package that knows SQLAlchemy."""

from upkeep.adapters.store.store import SqlStore, open_store
from upkeep.adapters.store.upgrade import migrate

__all__ = ["SqlStore", "migrate", "open_store"]
