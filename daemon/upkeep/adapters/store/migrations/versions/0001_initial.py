"""The first tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None

NAME = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "bundles", sa.Column("tree", NAME, nullable=False), sa.PrimaryKeyConstraint("tree", name=op.f("pk_bundles"))
    )
    op.create_table(
        "contents",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_contents")),
    )
    op.create_table(
        "deliveries",
        sa.Column("id", NAME, nullable=False),
        sa.Column("event", NAME, nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", NAME, nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("repository", sa.Text(), nullable=True),
        sa.Column("ref", sa.Text(), nullable=True),
        sa.Column("after", NAME, nullable=True),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("sources", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
    )
    op.create_index("ix_deliveries_received_at", "deliveries", ["received_at", "id"], unique=False)
    op.create_index("ix_deliveries_status", "deliveries", ["status", "received_at", "id"], unique=False)
    op.create_table(
        "deployments",
        sa.Column("number", NUMBER, nullable=False),
        sa.Column("id", NAME, nullable=False),
        sa.Column("resource", NAME, nullable=False),
        sa.Column("action", NAME, nullable=False),
        sa.Column("status", NAME, nullable=False),
        sa.Column("target_major", sa.Integer(), nullable=False),
        sa.Column("target_minor", sa.Integer(), nullable=False),
        sa.Column("target_inputs", sa.Text(), nullable=False),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("initial_major", sa.Integer(), nullable=True),
        sa.Column("initial_minor", sa.Integer(), nullable=True),
        sa.Column("initial_inputs", sa.Text(), nullable=True),
        sa.Column("begun_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("handle", sa.Text(), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("outputs", sa.Text(), nullable=True),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_deployments")),
        sa.UniqueConstraint("id", name=op.f("uq_deployments_id")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_deployments_resource", "deployments", ["resource", "number"], unique=False)
    op.create_index("ix_deployments_status", "deployments", ["status", "number"], unique=False)
    op.create_index(
        "ix_deployments_under_way",
        "deployments",
        ["resource"],
        unique=True,
        sqlite_where=sa.text("status IN ('IN_PROGRESS', 'DELETE_IN_PROGRESS', 'CANCELLING')"),
        postgresql_where=sa.text("status IN ('IN_PROGRESS', 'DELETE_IN_PROGRESS', 'CANCELLING')"),
    )
    op.create_table(
        "failed_sign_ins",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("name", NAME, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_failed_sign_ins")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_failed_sign_ins_at"), "failed_sign_ins", ["at"], unique=False)
    op.create_index("ix_failed_sign_ins_name", "failed_sign_ins", ["name", "at"], unique=False)
    op.create_table(
        "journal",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", NAME, nullable=False),
        sa.Column("subject", NAME, nullable=False),
        sa.Column("actor", NAME, nullable=False),
        sa.Column("via", NAME, nullable=False),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_journal")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_journal_actor", "journal", ["actor", "id"], unique=False)
    op.create_index("ix_journal_kind", "journal", ["kind", "id"], unique=False)
    op.create_index("ix_journal_subject", "journal", ["subject", "id"], unique=False)
    op.create_table(
        "numbers",
        sa.Column("name", NAME, nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_numbers")),
    )
    op.create_table(
        "outbox",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("channel", NAME, nullable=False),
        sa.Column("key", NAME, nullable=False),
        sa.Column("headline", sa.Text(), nullable=False),
        sa.Column("lines", sa.Text(), nullable=False),
        sa.Column("links", sa.Text(), nullable=False),
        sa.Column("thread", NAME, nullable=True),
        sa.Column("owed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("receipt", sa.Text(), nullable=True),
        sa.Column("failure", sa.Text(), nullable=True),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=True),
        sa.Column("given_up_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
        sa.UniqueConstraint("channel", "key", name=op.f("uq_outbox_channel_key")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_outbox_thread", "outbox", ["channel", "thread", "id"], unique=False)
    op.create_index(
        "ix_outbox_unsent",
        "outbox",
        ["channel", "id"],
        unique=False,
        sqlite_where=sa.text("sent_at IS NULL AND given_up_at IS NULL"),
        postgresql_where=sa.text("sent_at IS NULL AND given_up_at IS NULL"),
    )
    op.create_table(
        "resources",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("key", NAME, nullable=False),
        sa.Column("label", NAME, nullable=False),
        sa.Column("search", NAME, nullable=False),
        sa.Column("kind", NAME, nullable=False),
        sa.Column("name", NAME, nullable=False),
        sa.Column("service", NAME, nullable=True),
        sa.Column("template", NAME, nullable=False),
        sa.Column("status", NAME, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("major", sa.Integer(), nullable=True),
        sa.Column("minor", sa.Integer(), nullable=True),
        sa.Column("inputs", sa.Text(), nullable=False),
        sa.Column("outputs", sa.Text(), nullable=False),
        sa.Column("owner", NAME, nullable=True),
        sa.Column("environment", NAME, nullable=True),
        sa.Column("account_id", sa.Text(), nullable=True),
        sa.Column("standing", NAME, nullable=False),
        sa.Column("minors", sa.Integer(), nullable=False),
        sa.Column("majors", sa.Integer(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("urgency", sa.BigInteger(), nullable=False),
        sa.Column("last_deployment", NAME, nullable=True),
        sa.Column("last_succeeded_deployment", NAME, nullable=True),
        sa.Column("deployed_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_resources")),
        sa.UniqueConstraint("key", name=op.f("uq_resources_key")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_resources_counted", "resources", ["template", "standing", "failed"], unique=False)
    op.create_index("ix_resources_environment", "resources", ["environment"], unique=False)
    op.create_index("ix_resources_kind", "resources", ["kind", "urgency", "id"], unique=False)
    op.create_index("ix_resources_label", "resources", ["label", "id"], unique=False)
    op.create_index("ix_resources_owner", "resources", ["owner", "urgency", "id"], unique=False)
    op.create_index("ix_resources_service", "resources", ["service"], unique=False)
    op.create_index("ix_resources_standing", "resources", ["standing", "urgency", "id"], unique=False)
    op.create_index("ix_resources_template", "resources", ["template", "urgency", "id"], unique=False)
    op.create_index("ix_resources_urgency", "resources", ["urgency", "id"], unique=False)
    op.create_index(
        "ix_resources_urgent",
        "resources",
        ["urgency", "id"],
        unique=False,
        sqlite_where=sa.text("urgency > 0"),
        postgresql_where=sa.text("urgency > 0"),
    )
    op.create_index("ix_resources_version", "resources", ["template", "major", "minor"], unique=False)
    op.create_table(
        "secrets",
        sa.Column("name", NAME, nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_secrets")),
    )
    op.create_table(
        "services",
        sa.Column("name", NAME, nullable=False),
        sa.Column("template", NAME, nullable=False),
        sa.Column("spec", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("branch_name", sa.Text(), nullable=False),
        sa.Column("repository_id", sa.Text(), nullable=False),
        sa.Column("repository_connection_arn", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_services")),
    )
    op.create_table(
        "sources",
        sa.Column("name", NAME, nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("branch", sa.Text(), nullable=False),
        sa.Column("subdirectory", sa.LargeBinary(), nullable=False),
        sa.Column("credential_kind", NAME, nullable=False),
        sa.Column("credential_reference", sa.Text(), nullable=False),
        sa.Column("webhook_secret_kind", NAME, nullable=False),
        sa.Column("webhook_secret_reference", sa.Text(), nullable=False),
        sa.Column("drafts", NAME, nullable=False),
        sa.Column("poll_every_for", sa.BigInteger(), nullable=False),
        sa.Column("origin", NAME, nullable=False),
        sa.Column("synced_commit", NAME, nullable=True),
        sa.Column("synced_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("next_poll_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("failure", sa.Text(), nullable=True),
        sa.Column("stall_reason", sa.Text(), nullable=True),
        sa.Column("stall_cure", sa.Text(), nullable=True),
        sa.Column("stalled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("findings", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_sources")),
    )
    op.create_index("ix_sources_next_poll_at", "sources", ["next_poll_at"], unique=False)
    op.create_table(
        "templates",
        sa.Column("name", NAME, nullable=False),
        sa.Column("kind", NAME, nullable=False),
        sa.Column("source", NAME, nullable=True),
        sa.Column("path", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recommended_major", sa.Integer(), nullable=True),
        sa.Column("recommended_minor", sa.Integer(), nullable=True),
        sa.Column("pinned", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_templates")),
    )
    op.create_index(op.f("ix_templates_source"), "templates", ["source"], unique=False)
    op.create_table(
        "users",
        sa.Column("name", NAME, nullable=False),
        sa.Column("role", NAME, nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("email", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_users")),
    )
    op.create_table(
        "work",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("kind", NAME, nullable=False),
        sa.Column("subject", NAME, nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("again_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("token", sa.BigInteger(), nullable=True),
        sa.Column("failure", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_work")),
        sa.UniqueConstraint("kind", "subject", name=op.f("uq_work_kind_subject")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_work_due_at", "work", ["due_at", "id"], unique=False)
    op.create_table(
        "bundle_files",
        sa.Column("tree", NAME, nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("path", sa.LargeBinary(), nullable=False),
        sa.Column("mode", NAME, nullable=False),
        sa.Column("blob", NAME, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["digest"], ["contents.digest"], name=op.f("fk_bundle_files_digest")),
        sa.ForeignKeyConstraint(["tree"], ["bundles.tree"], name=op.f("fk_bundle_files_tree"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("tree", "position", name=op.f("pk_bundle_files")),
    )
    op.create_index(op.f("ix_bundle_files_digest"), "bundle_files", ["digest"], unique=False)
    op.create_table(
        "delivery_sources",
        sa.Column("delivery", NAME, nullable=False),
        sa.Column("source", NAME, nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["delivery"], ["deliveries.id"], name=op.f("fk_delivery_sources_delivery"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("delivery", "source", name=op.f("pk_delivery_sources")),
    )
    op.create_index("ix_delivery_sources_source", "delivery_sources", ["source", "received_at"], unique=False)
    op.create_table(
        "majors",
        sa.Column("template", NAME, nullable=False),
        sa.Column("major", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("path", sa.LargeBinary(), nullable=False),
        sa.Column("next_minor", sa.Integer(), nullable=False),
        sa.Column("recommended_minor", sa.Integer(), nullable=True),
        sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["template"], ["templates.name"], name=op.f("fk_majors_template"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("template", "major", name=op.f("pk_majors")),
    )
    op.create_table(
        "renders",
        sa.Column("deployment", NAME, nullable=False),
        sa.Column("rendered", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["deployment"], ["deployments.id"], name=op.f("fk_renders_deployment"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("deployment", name=op.f("pk_renders")),
    )
    op.create_table(
        "sessions",
        sa.Column("token_hash", NAME, nullable=False),
        sa.Column("user", NAME, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["user"], ["users.name"], name=op.f("fk_sessions_user"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_sessions")),
    )
    op.create_index(op.f("ix_sessions_expires_at"), "sessions", ["expires_at"], unique=False)
    op.create_index(op.f("ix_sessions_user"), "sessions", ["user"], unique=False)
    op.create_table(
        "versions",
        sa.Column("template", NAME, nullable=False),
        sa.Column("major", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("minor", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("state", NAME, nullable=False),
        sa.Column("tree", NAME, nullable=False),
        sa.Column("commit_id", NAME, nullable=False),
        sa.Column("author_name", sa.Text(), nullable=False),
        sa.Column("author_email", sa.Text(), nullable=False),
        sa.Column("committed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("path", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("findings", sa.Text(), nullable=False),
        sa.Column("schema", sa.Text(), nullable=True),
        sa.Column("has_pipeline", sa.Boolean(), nullable=False),
        sa.Column("compatible_environments", sa.Text(), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("published_by", sa.Text(), nullable=True),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["template"], ["templates.name"], name=op.f("fk_versions_template")),
        sa.PrimaryKeyConstraint("template", "major", "minor", name=op.f("pk_versions")),
    )
    op.create_index("ix_versions_state", "versions", ["state", "created_at"], unique=False)
    op.create_index(op.f("ix_versions_tree"), "versions", ["tree"], unique=False)
    op.create_table(
        "previews",
        sa.Column("template", NAME, nullable=False),
        sa.Column("major", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("minor", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("groups", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["template", "major", "minor"],
            ["versions.template", "versions.major", "versions.minor"],
            name=op.f("fk_previews_template"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("template", "major", "minor", name=op.f("pk_previews")),
    )
