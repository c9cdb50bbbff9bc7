"""Change sets, stack events, and where stacks live."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"

NAME = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    for name, kind in (
        ("region", sa.Text()),
        ("role_arn", sa.Text()),
        ("external_id", sa.Text()),
        ("stack", sa.Text()),
        ("tags", sa.Text()),
        ("drift_state", NAME),
        ("drift_resources", sa.Text()),
        ("drift_reason", sa.Text()),
        ("drift_checked_at", moment),
        ("drift_handle", sa.Text()),
    ):
        op.add_column("resources", sa.Column(name, kind, nullable=True))
    for name, kind in (
        ("proposed_at", moment),
        ("executed_at", moment),
        ("accepted_at", moment),
        ("cancelled_at", moment),
        ("deadline_at", moment),
        ("stack", sa.Text()),
        ("stack_status", NAME),
        ("stall_reason", sa.Text()),
        ("stall_cure", sa.Text()),
        ("stalled_at", moment),
        ("replaces", sa.Text()),
        ("replaced_at", moment),
        ("continue_token", NAME),
    ):
        op.add_column("deployments", sa.Column(name, kind, nullable=True))
    # Until now a handle was only given for what was already under way.
    op.execute("UPDATE deployments SET executed_at = begun_at, accepted_at = begun_at WHERE handle IS NOT NULL")
    op.create_table(
        "proposals",
        sa.Column("deployment", NAME, nullable=False),
        sa.Column("state", NAME, nullable=False),
        sa.Column("changes", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("stack", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["deployment"], ["deployments.id"], name=op.f("fk_proposals_deployment"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("deployment", name=op.f("pk_proposals")),
    )
    op.create_table(
        "stack_events",
        sa.Column("number", NUMBER, nullable=False),
        sa.Column("deployment", NAME, nullable=False),
        sa.Column("id", NAME, nullable=False),
        sa.Column("at", moment, nullable=False),
        sa.Column("logical_id", sa.Text(), nullable=False),
        sa.Column("resource_type", sa.Text(), nullable=False),
        sa.Column("status", NAME, nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["deployment"], ["deployments.id"], name=op.f("fk_stack_events_deployment"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_stack_events")),
        sa.UniqueConstraint("deployment", "id", name=op.f("uq_stack_events_deployment_id")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_stack_events_deployment", "stack_events", ["deployment", "at", "number"], unique=False)
