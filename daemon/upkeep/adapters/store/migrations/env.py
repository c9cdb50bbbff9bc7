"""Alembic's way in. The connection and its transaction are `migrate`'s."""

from alembic import context

from upkeep.adapters.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=False,
    transaction_per_migration=False,
)
context.run_migrations()
