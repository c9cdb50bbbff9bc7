"""Who may come in and by which key, who snoozes what, and how the fleet stood over time."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"

NAME = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
MOMENT = sa.DateTime(timezone=True)

RESOURCES = sa.table("resources", *(sa.column(name, sa.BigInteger) for name in ("urgency", "minors", "majors")))
AWAKE = 1 << 60

INDEXES = (
    ("ix_resources_standings", "resources", ["standing", "failed"]),
    ("ix_resources_search", "resources", ["search", "id"]),
    ("ix_resources_kind_label", "resources", ["kind", "label", "id"]),
    ("ix_resources_template_label", "resources", ["template", "label", "id"]),
    ("ix_resources_owner_label", "resources", ["owner", "label", "id"]),
    ("ix_resources_since", "resources", ["since", "id"]),
    ("ix_resources_environment", "resources", ["environment", "urgency", "id"]),
    ("ix_sources_checked_at", "sources", ["checked_at"]),
    ("ix_versions_template", "versions", ["template", "state", "major", "minor"]),
    ("ix_deployments_asked_by", "deployments", ["asked_by", "number"]),
    ("ix_journal_via", "journal", ["via", "id"]),
    ("ix_journal_at", "journal", ["at"]),
)

PARTIAL = (
    ("ix_sources_stalled", "sources", ["name"], "stalled_at IS NOT NULL"),
    ("ix_sources_failing", "sources", ["name"], "failures > 0"),
    ("ix_resources_snoozed", "resources", ["snoozed_until"], "snoozed_until IS NOT NULL"),
    ("ix_deployments_stalled", "deployments", ["number"], "stalled_at IS NOT NULL"),
    ("ix_tallies_last", "tallies", ["behind_major", "behind_minor", "template"], "last"),
)


def upgrade() -> None:
    for name, kind in (
        ("snoozed_at", MOMENT),
        ("snoozed_by", sa.Text()),
        ("snoozed_until", MOMENT),
        ("snoozed_major", sa.Integer()),
        ("snoozed_minor", sa.Integer()),
    ):
        op.add_column("resources", sa.Column(name, kind, nullable=True))
    op.add_column("resources", sa.Column("replaces", sa.Boolean(), server_default=sa.false(), nullable=False))
    # What is behind and not snoozed stands above what is.
    op.execute(
        sa.update(RESOURCES)
        .where(sa.or_(RESOURCES.c.minors > 0, RESOURCES.c.majors > 0))
        .values(urgency=RESOURCES.c.urgency + sa.literal(AWAKE, sa.BigInteger))
    )
    with op.batch_alter_table("users") as users:
        users.alter_column("password_hash", existing_type=sa.Text(), nullable=True)
        users.add_column(sa.Column("provider", NAME, nullable=True))
        users.add_column(sa.Column("provider_id", NAME, nullable=True))
        users.add_column(sa.Column("teams", sa.Text(), nullable=True))
        users.add_column(sa.Column("seen_at", MOMENT, nullable=True))
        users.create_unique_constraint(op.f("uq_users_provider_provider_id"), ["provider", "provider_id"])
    for name, kind in (("seen_at", MOMENT), ("address", sa.Text()), ("agent", sa.Text())):
        op.add_column("sessions", sa.Column(name, kind, nullable=True))
    op.add_column("failed_sign_ins", sa.Column("address", NAME, nullable=True))
    op.create_index("ix_failed_sign_ins_address", "failed_sign_ins", ["address", "at"], unique=False)
    op.create_table(
        "tokens",
        sa.Column("id", NAME, nullable=False),
        sa.Column("token_hash", NAME, nullable=False),
        sa.Column("user", NAME, nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=True),
        sa.Column("used_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(["user"], ["users.name"], name=op.f("fk_tokens_user"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tokens")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_tokens_token_hash")),
    )
    op.create_index("ix_tokens_user", "tokens", ["user"], unique=False)
    op.create_table(
        "answers",
        sa.Column("actor", NAME, nullable=False),
        sa.Column("key", NAME, nullable=False),
        sa.Column("request", NAME, nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("headers", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("actor", "key", name=op.f("pk_answers")),
    )
    op.create_index("ix_answers_at", "answers", ["at"], unique=False)
    op.create_table(
        "tallies",
        sa.Column("template", NAME, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("undeployed", sa.Integer(), nullable=False),
        sa.Column("up_to_date", sa.Integer(), nullable=False),
        sa.Column("behind_minor", sa.Integer(), nullable=False),
        sa.Column("behind_major", sa.Integer(), nullable=False),
        sa.Column("ahead", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("last", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("template", "at", name=op.f("pk_tallies")),
    )
    op.create_index("ix_tallies_at", "tallies", ["at"], unique=False)
    op.create_table(
        "annotations",
        sa.Column("subject", NAME, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("subject", name=op.f("pk_annotations")),
    )
    op.create_table(
        "uploads",
        sa.Column("template", NAME, nullable=False),
        sa.Column("major", sa.Integer(), nullable=False),
        sa.Column("minor", sa.Integer(), nullable=False),
        sa.Column("bucket", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("asked_at", MOMENT, nullable=False),
        sa.Column("compatible_environments", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["template"], ["templates.name"], name=op.f("fk_uploads_template"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("template", "major", "minor", name=op.f("pk_uploads")),
    )
    op.drop_index("ix_resources_environment", "resources")
    for name, table, columns in INDEXES:
        op.create_index(name, table, columns, unique=False)
    for name, table, columns, condition in PARTIAL:
        where = sa.text(condition)
        op.create_index(name, table, columns, unique=False, sqlite_where=where, postgresql_where=where)
