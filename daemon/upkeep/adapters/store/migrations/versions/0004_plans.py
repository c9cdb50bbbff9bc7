"""Plans: what updates would change, looked at before they happen."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"

NAME = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "plans",
        sa.Column("number", NUMBER, nullable=False),
        sa.Column("id", NAME, nullable=False),
        sa.Column("resource", NAME, nullable=False),
        sa.Column("template", NAME, nullable=False),
        sa.Column("major", sa.Integer(), nullable=False),
        sa.Column("minor", sa.Integer(), nullable=False),
        sa.Column("inputs", sa.Text(), nullable=False),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("digest", NAME, nullable=True),
        sa.Column("rendered", sa.Text(), nullable=True),
        sa.Column("handle", sa.Text(), nullable=True),
        sa.Column("state", NAME, nullable=True),
        sa.Column("changes", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("stack", sa.Text(), nullable=True),
        sa.Column("failure", sa.Text(), nullable=True),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("deployment", NAME, nullable=True),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_plans")),
        sa.UniqueConstraint("id", name=op.f("uq_plans_id")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_plans_resource", "plans", ["resource", "number"], unique=False)
    op.create_index("ix_plans_version", "plans", ["template", "major", "minor", "number"], unique=False)
    op.create_index("ix_plans_deployment", "plans", ["deployment"], unique=False)
