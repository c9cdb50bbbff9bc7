"""Rollouts: many resources updated together."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"

NAME = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "rollouts",
        sa.Column("number", NUMBER, nullable=False),
        sa.Column("id", NAME, nullable=False),
        sa.Column("template", NAME, nullable=False),
        sa.Column("to_major", sa.Integer(), nullable=True),
        sa.Column("to_minor", sa.Integer(), nullable=True),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("role", NAME, nullable=False),
        sa.Column("via", NAME, nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("status", NAME, nullable=False),
        sa.Column("max_parallel", sa.Integer(), nullable=False),
        sa.Column("stop_after", sa.Integer(), nullable=False),
        sa.Column("automatic", sa.Boolean(), nullable=False),
        sa.Column("stages", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("ended_at", moment, nullable=True),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_rollouts")),
        sa.UniqueConstraint("id", name=op.f("uq_rollouts_id")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_rollouts_template", "rollouts", ["template", "number"], unique=False)
    op.create_index(
        "ix_rollouts_automatic",
        "rollouts",
        ["template"],
        unique=True,
        sqlite_where=sa.text("automatic AND status IN ('RUNNING', 'PAUSED')"),
        postgresql_where=sa.text("automatic AND status IN ('RUNNING', 'PAUSED')"),
    )
    op.create_table(
        "rollout_members",
        sa.Column("rollout", NAME, nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("resource", NAME, nullable=False),
        sa.Column("running_major", sa.Integer(), nullable=True),
        sa.Column("running_minor", sa.Integer(), nullable=True),
        sa.Column("to_major", sa.Integer(), nullable=True),
        sa.Column("to_minor", sa.Integer(), nullable=True),
        sa.Column("turn", NAME, nullable=False),
        sa.Column("stage", sa.Integer(), nullable=False),
        sa.Column("deployment", NAME, nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("stalled", sa.Boolean(), nullable=False),
        sa.Column("forgiven", sa.Boolean(), nullable=False),
        sa.Column("ended_at", moment, nullable=True),
        sa.ForeignKeyConstraint(
            ["rollout"], ["rollouts.id"], name=op.f("fk_rollout_members_rollout"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("rollout", "position", name=op.f("pk_rollout_members")),
    )
