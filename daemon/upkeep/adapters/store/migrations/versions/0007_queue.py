"""What is due of a kind is found without reading what waits of others."""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.drop_index("ix_work_due_at", table_name="work")
    op.create_index("ix_work_due", "work", ["kind", "due_at", "id"], unique=False)
