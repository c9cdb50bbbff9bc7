"""The store on SQLite and PostgreSQL: the only package that knows SQLAlchemy."""

from upkeep.adapters.store.lines import ITEM
from upkeep.adapters.store.rebuild import WITHOUT_CREDENTIALS, Contents, contents_of, rebuild
from upkeep.adapters.store.store import SqlStore, doubt, open_store
from upkeep.adapters.store.upgrade import Waits, migrate, require_migrated

__all__ = [
    "ITEM",
    "WITHOUT_CREDENTIALS",
    "Contents",
    "SqlStore",
    "Waits",
    "contents_of",
    "doubt",
    "migrate",
    "open_store",
    "rebuild",
    "require_migrated",
]
