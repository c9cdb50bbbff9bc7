"""The tables. Migrations bring a database to exactly this; a test compares the two."""

import sqlalchemy as sa
from sqlalchemy import Boolean, Column, ForeignKey, ForeignKeyConstraint, Index, Integer, LargeBinary, Table

from upkeep.adapters.store.columns import GitPath, Json, Moment, Name, Number, Span, Words, one_of
from upkeep.domain.changesets import DriftState, ProposalState
from upkeep.domain.deliveries import DeliveryStatus
from upkeep.domain.deployments import Action, DeploymentStatus
from upkeep.domain.lag import Standing
from upkeep.domain.names import ResourceKind
from upkeep.domain.people import Role, Via
from upkeep.domain.rollouts import RolloutStatus, Turn
from upkeep.domain.sources import CredentialKind, Drafts, Origin
from upkeep.domain.versions import TemplateKind, VersionState
from upkeep.domain.work import WorkKind

REVISION = "0007"
"""The migration that leads here."""

metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

sources = Table(
    "sources",
    metadata,
    Column("name", Name, primary_key=True),
    Column("url", Words, nullable=False),
    Column("branch", Words, nullable=False),
    Column("subdirectory", GitPath, nullable=False),
    Column("credential_kind", Name, nullable=False, info=one_of(CredentialKind)),
    Column("credential_reference", Words, nullable=False),
    Column("webhook_secret_kind", Name, nullable=False, info=one_of(CredentialKind)),
    Column("webhook_secret_reference", Words, nullable=False),
    Column("drafts", Name, nullable=False, info=one_of(Drafts)),
    Column("poll_every_for", Span, nullable=False),
    Column("origin", Name, nullable=False, info=one_of(Origin)),
    Column("synced_commit", Name),
    Column("synced_at", Moment),
    Column("checked_at", Moment),
    Column("next_poll_at", Moment),
    Column("failures", Integer, nullable=False),
    Column("failure", Words),
    Column("stall_reason", Words),
    Column("stall_cure", Words),
    Column("stalled_at", Moment),
    Column("findings", Json, nullable=False),
)
Index("ix_sources_next_poll_at", sources.c.next_poll_at)
# What every page says of all sources, without reading them.
_STALLED = sources.c.stalled_at.is_not(None)
Index("ix_sources_stalled", sources.c.name, sqlite_where=_STALLED, postgresql_where=_STALLED)
_FAILING = sources.c.failures > 0
Index("ix_sources_failing", sources.c.name, sqlite_where=_FAILING, postgresql_where=_FAILING)
Index("ix_sources_checked_at", sources.c.checked_at)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Name, primary_key=True),
    Column("event", Name, nullable=False),
    Column("received_at", Moment, nullable=False),
    Column("status", Name, nullable=False, info=one_of(DeliveryStatus)),
    Column("reason", Words),
    Column("repository", Words),
    Column("ref", Words),
    Column("after", Name),
    Column("settled_at", Moment),
    Column("attempts", Integer, nullable=False),
    Column("sources", Json, nullable=False),
)
Index("ix_deliveries_received_at", deliveries.c.received_at, deliveries.c.id)
Index("ix_deliveries_status", deliveries.c.status, deliveries.c.received_at, deliveries.c.id)

delivery_sources = Table(
    "delivery_sources",
    metadata,
    Column("delivery", Name, ForeignKey("deliveries.id", ondelete="CASCADE"), primary_key=True),
    Column("source", Name, primary_key=True),
    Column("received_at", Moment, nullable=False),
)
Index("ix_delivery_sources_source", delivery_sources.c.source, delivery_sources.c.received_at)

templates = Table(
    "templates",
    metadata,
    Column("name", Name, primary_key=True),
    Column("kind", Name, nullable=False, info=one_of(TemplateKind)),
    Column("source", Name, index=True),
    Column("path", GitPath, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("recommended_major", Integer),
    Column("recommended_minor", Integer),
    Column("pinned", Boolean, nullable=False),
)

majors = Table(
    "majors",
    metadata,
    Column("template", Name, ForeignKey("templates.name", ondelete="CASCADE"), primary_key=True),
    Column("major", Integer, primary_key=True, autoincrement=False),
    Column("path", GitPath, nullable=False),
    Column("next_minor", Integer, nullable=False),
    Column("recommended_minor", Integer),
    Column("removed_at", Moment),
)

versions = Table(
    "versions",
    metadata,
    Column("template", Name, ForeignKey("templates.name"), primary_key=True),
    Column("major", Integer, primary_key=True, autoincrement=False),
    Column("minor", Integer, primary_key=True, autoincrement=False),
    Column("state", Name, nullable=False, info=one_of(VersionState)),
    Column("tree", Name, nullable=False, index=True),
    Column("commit_id", Name, nullable=False),
    Column("author_name", Words, nullable=False),
    Column("author_email", Words, nullable=False),
    Column("committed_at", Moment, nullable=False),
    Column("message", Words, nullable=False),
    Column("path", GitPath, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("findings", Json, nullable=False),
    Column("schema", Words),
    Column("has_pipeline", Boolean, nullable=False),
    Column("compatible_environments", Json, nullable=False),
    Column("published_at", Moment),
    Column("published_by", Words),
    Column("withdrawn_at", Moment),
    Column("note", Words),
)
Index("ix_versions_state", versions.c.state, versions.c.created_at)
Index("ix_versions_template", versions.c.template, versions.c.state, versions.c.major, versions.c.minor)

previews = Table(
    "previews",
    metadata,
    Column("template", Name, primary_key=True),
    Column("major", Integer, primary_key=True, autoincrement=False),
    Column("minor", Integer, primary_key=True, autoincrement=False),
    Column("at", Moment, nullable=False),
    Column("groups", Json, nullable=False),
    ForeignKeyConstraint(
        ["template", "major", "minor"],
        ["versions.template", "versions.major", "versions.minor"],
        ondelete="CASCADE",
    ),
)

bundles = Table(
    "bundles",
    metadata,
    Column("tree", Name, primary_key=True),
)

contents = Table(
    "contents",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("content", LargeBinary, nullable=False),
)

bundle_files = Table(
    "bundle_files",
    metadata,
    Column("tree", Name, ForeignKey("bundles.tree", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("path", GitPath, nullable=False),
    Column("mode", Name, nullable=False),
    Column("blob", Name, nullable=False),
    Column("size", sa.BigInteger, nullable=False),
    Column("digest", LargeBinary, ForeignKey("contents.digest"), index=True),
)

services = Table(
    "services",
    metadata,
    Column("name", Name, primary_key=True),
    Column("template", Name, nullable=False),
    Column("spec", Words, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("owner", Words),
    Column("branch_name", Words, nullable=False),
    Column("repository_id", Words, nullable=False),
    Column("repository_connection_arn", Words, nullable=False),
)

resources = Table(
    "resources",
    metadata,
    Column("id", Number, primary_key=True),
    Column("key", Name, nullable=False, unique=True),
    Column("label", Name, nullable=False),
    Column("search", Name, nullable=False),
    Column("kind", Name, nullable=False, info=one_of(ResourceKind)),
    Column("name", Name, nullable=False),
    Column("service", Name),
    Column("template", Name, nullable=False),
    Column("status", Name, nullable=False, info=one_of(DeploymentStatus)),
    Column("created_at", Moment, nullable=False),
    Column("major", Integer),
    Column("minor", Integer),
    Column("inputs", Json, nullable=False),
    Column("outputs", Json, nullable=False),
    Column("owner", Name),
    Column("environment", Name),
    Column("account_id", Words),
    Column("standing", Name, nullable=False, info=one_of(Standing)),
    Column("minors", Integer, nullable=False),
    Column("majors", Integer, nullable=False),
    Column("since", Moment),
    Column("failed", Integer, nullable=False),
    # Whether the update it is due for is known to replace something in its stack.
    Column("replaces", Boolean, nullable=False, server_default=sa.false()),
    # How urgently somebody should look at it, as one number: see fleet.urgency.
    Column("urgency", sa.BigInteger, nullable=False),
    Column("last_deployment", Name),
    Column("last_succeeded_deployment", Name),
    Column("deployed_at", Moment),
    Column("region", Words),
    Column("role_arn", Words),
    Column("external_id", Words),
    Column("stack", Words),
    Column("tags", Json),
    Column("drift_state", Name, info=one_of(DriftState)),
    Column("drift_resources", Json),
    Column("drift_reason", Words),
    Column("drift_checked_at", Moment),
    Column("drift_handle", Words),
    Column("snoozed_at", Moment),
    Column("snoozed_by", Words),
    Column("snoozed_until", Moment),
    # The recommended version that was snoozed; a newer one ends it.
    Column("snoozed_major", Integer),
    Column("snoozed_minor", Integer),
    sqlite_autoincrement=True,
)
Index("ix_resources_urgency", resources.c.urgency, resources.c.id)
Index(
    "ix_resources_urgent",
    resources.c.urgency,
    resources.c.id,
    sqlite_where=resources.c.urgency > 0,
    postgresql_where=resources.c.urgency > 0,
)
Index("ix_resources_standing", resources.c.standing, resources.c.urgency, resources.c.id)
Index("ix_resources_owner", resources.c.owner, resources.c.urgency, resources.c.id)
Index("ix_resources_kind", resources.c.kind, resources.c.urgency, resources.c.id)
Index("ix_resources_template", resources.c.template, resources.c.urgency, resources.c.id)
Index("ix_resources_version", resources.c.template, resources.c.major, resources.c.minor)
Index("ix_resources_search", resources.c.search, resources.c.id)
Index("ix_resources_label", resources.c.label, resources.c.id)
Index("ix_resources_kind_label", resources.c.kind, resources.c.label, resources.c.id)
Index("ix_resources_template_label", resources.c.template, resources.c.label, resources.c.id)
Index("ix_resources_owner_label", resources.c.owner, resources.c.label, resources.c.id)
Index("ix_resources_since", resources.c.since, resources.c.id)
_SNOOZED = resources.c.snoozed_until.is_not(None)
Index("ix_resources_snoozed", resources.c.snoozed_until, sqlite_where=_SNOOZED, postgresql_where=_SNOOZED)
_UNDER_WAY = sa.text("status IN ('IN_PROGRESS', 'DELETE_IN_PROGRESS', 'CANCELLING')")
Index("ix_resources_under_way", resources.c.template, sqlite_where=_UNDER_WAY, postgresql_where=_UNDER_WAY)
Index("ix_resources_service", resources.c.service)
Index("ix_resources_environment", resources.c.environment, resources.c.urgency, resources.c.id)

headcounts = Table(
    "headcounts",
    metadata,
    Column("number", Number, primary_key=True),
    Column("template", Name, nullable=False),
    Column("major", Integer),
    Column("minor", Integer),
    Column("standing", Name, nullable=False, info=one_of(Standing)),
    Column("failed", Integer, nullable=False),
    # So many more, or fewer, than the other rows of this place say.
    Column("resources", Integer, nullable=False),
    sqlite_autoincrement=True,
)
# All of it, so that adding up reads nothing else.
Index("ix_headcounts_place", *(column for column in headcounts.c if column.name != "number"))

deployments = Table(
    "deployments",
    metadata,
    Column("number", Number, primary_key=True),
    Column("id", Name, nullable=False, unique=True),
    Column("resource", Name, nullable=False),
    Column("action", Name, nullable=False, info=one_of(Action)),
    Column("status", Name, nullable=False, info=one_of(DeploymentStatus)),
    Column("target_major", Integer, nullable=False),
    Column("target_minor", Integer, nullable=False),
    Column("target_inputs", Json, nullable=False),
    Column("asked_by", Words, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("initial_major", Integer),
    Column("initial_minor", Integer),
    Column("initial_inputs", Json),
    Column("begun_at", Moment),
    Column("handle", Words),
    Column("message", Words),
    Column("outputs", Json),
    Column("completed_at", Moment),
    Column("proposed_at", Moment),
    Column("executed_at", Moment),
    Column("accepted_at", Moment),
    Column("cancelled_at", Moment),
    Column("deadline_at", Moment),
    Column("stack", Words),
    Column("stack_status", Name),
    Column("stall_reason", Words),
    Column("stall_cure", Words),
    Column("stalled_at", Moment),
    Column("replaces", Words),
    Column("replaced_at", Moment),
    Column("continue_token", Name),
    sqlite_autoincrement=True,
)
Index(
    "ix_deployments_under_way",
    deployments.c.resource,
    unique=True,
    sqlite_where=_UNDER_WAY,
    postgresql_where=_UNDER_WAY,
)
Index("ix_deployments_resource", deployments.c.resource, deployments.c.number)
Index("ix_deployments_status", deployments.c.status, deployments.c.number)
Index("ix_deployments_asked_by", deployments.c.asked_by, deployments.c.number)
_STANDS_STILL = deployments.c.stalled_at.is_not(None)
Index("ix_deployments_stalled", deployments.c.number, sqlite_where=_STANDS_STILL, postgresql_where=_STANDS_STILL)

renders = Table(
    "renders",
    metadata,
    Column("deployment", Name, ForeignKey("deployments.id", ondelete="CASCADE"), primary_key=True),
    Column("rendered", Words, nullable=False),
)

proposals = Table(
    "proposals",
    metadata,
    Column("deployment", Name, ForeignKey("deployments.id", ondelete="CASCADE"), primary_key=True),
    Column("state", Name, nullable=False, info=one_of(ProposalState)),
    Column("changes", Json, nullable=False),
    Column("reason", Words),
    Column("stack", Words),
)

stack_events = Table(
    "stack_events",
    metadata,
    Column("number", Number, primary_key=True),
    Column("deployment", Name, ForeignKey("deployments.id", ondelete="CASCADE"), nullable=False),
    Column("id", Name, nullable=False),
    Column("at", Moment, nullable=False),
    Column("logical_id", Words, nullable=False),
    Column("resource_type", Words, nullable=False),
    Column("status", Name, nullable=False),
    Column("reason", Words),
    sa.UniqueConstraint("deployment", "id"),
    sqlite_autoincrement=True,
)
Index("ix_stack_events_deployment", stack_events.c.deployment, stack_events.c.at, stack_events.c.number)

rollouts = Table(
    "rollouts",
    metadata,
    Column("number", Number, primary_key=True),
    Column("id", Name, nullable=False, unique=True),
    Column("template", Name, nullable=False),
    Column("to_major", Integer),
    Column("to_minor", Integer),
    Column("asked_by", Words, nullable=False),
    Column("role", Name, nullable=False, info=one_of(Role)),
    Column("via", Name, nullable=False, info=one_of(Via)),
    Column("created_at", Moment, nullable=False),
    Column("status", Name, nullable=False, info=one_of(RolloutStatus)),
    Column("max_parallel", Integer, nullable=False),
    Column("stop_after", Integer, nullable=False),
    Column("automatic", Boolean, nullable=False),
    Column("stages", Json, nullable=False),
    Column("message", Words),
    Column("ended_at", Moment),
    sqlite_autoincrement=True,
)
Index("ix_rollouts_template", rollouts.c.template, rollouts.c.number)
_OPEN_AUTOMATIC = sa.text("automatic AND status IN ('RUNNING', 'PAUSED')")
Index(
    "ix_rollouts_automatic",
    rollouts.c.template,
    unique=True,
    sqlite_where=_OPEN_AUTOMATIC,
    postgresql_where=_OPEN_AUTOMATIC,
)

rollout_members = Table(
    "rollout_members",
    metadata,
    Column("rollout", Name, ForeignKey("rollouts.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("resource", Name, nullable=False),
    Column("running_major", Integer),
    Column("running_minor", Integer),
    Column("to_major", Integer),
    Column("to_minor", Integer),
    Column("turn", Name, nullable=False, info=one_of(Turn)),
    Column("stage", Integer, nullable=False),
    Column("deployment", Name),
    Column("reason", Words),
    Column("stalled", Boolean, nullable=False),
    Column("forgiven", Boolean, nullable=False),
    Column("ended_at", Moment),
)

journal = Table(
    "journal",
    metadata,
    Column("id", Number, primary_key=True),
    Column("at", Moment, nullable=False),
    Column("kind", Name, nullable=False),
    Column("subject", Name, nullable=False),
    Column("actor", Name, nullable=False),
    Column("via", Name, nullable=False, info=one_of(Via)),
    Column("facts", Json, nullable=False),
    sqlite_autoincrement=True,
)
Index("ix_journal_subject", journal.c.subject, journal.c.id)
Index("ix_journal_kind", journal.c.kind, journal.c.id)
Index("ix_journal_actor", journal.c.actor, journal.c.id)
Index("ix_journal_via", journal.c.via, journal.c.id)
Index("ix_journal_at", journal.c.at)

outbox = Table(
    "outbox",
    metadata,
    Column("id", Number, primary_key=True),
    Column("channel", Name, nullable=False),
    Column("key", Name, nullable=False),
    Column("headline", Words, nullable=False),
    Column("lines", Json, nullable=False),
    Column("links", Json, nullable=False),
    Column("thread", Name),
    Column("owed_at", Moment, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("sent_at", Moment),
    Column("receipt", Words),
    Column("failure", Words),
    Column("not_before", Moment),
    Column("given_up_at", Moment),
    sa.UniqueConstraint("channel", "key"),
    sqlite_autoincrement=True,
)
Index(
    "ix_outbox_unsent",
    outbox.c.channel,
    outbox.c.id,
    sqlite_where=outbox.c.sent_at.is_(None) & outbox.c.given_up_at.is_(None),
    postgresql_where=outbox.c.sent_at.is_(None) & outbox.c.given_up_at.is_(None),
)
Index("ix_outbox_thread", outbox.c.channel, outbox.c.thread, outbox.c.id)

work = Table(
    "work",
    metadata,
    Column("id", Number, primary_key=True),
    Column("kind", Name, nullable=False, info=one_of(WorkKind)),
    Column("subject", Name, nullable=False),
    # When it may be claimed: while it is leased, when the lease ends.
    Column("due_at", Moment, nullable=False),
    # The earliest time it was asked for since it was claimed; null when it was not.
    Column("again_at", Moment),
    Column("asked_at", Moment, nullable=False),
    Column("cause", Words, nullable=False),
    Column("attempts", Integer, nullable=False),
    # Who holds it; null when nobody does.
    Column("token", sa.BigInteger),
    Column("failure", Words),
    sa.UniqueConstraint("kind", "subject"),
    sqlite_autoincrement=True,
)
Index("ix_work_due", work.c.kind, work.c.due_at, work.c.id)

numbers = Table(
    "numbers",
    metadata,
    Column("name", Name, primary_key=True),
    Column("last", sa.BigInteger, nullable=False),
)

users = Table(
    "users",
    metadata,
    Column("name", Name, primary_key=True),
    Column("role", Name, nullable=False, info=one_of(Role)),
    # Null for those whom somebody else vouches for: GitHub, or a proxy.
    Column("password_hash", Words),
    Column("created_at", Moment, nullable=False),
    Column("email", Words),
    # Who vouches for them (null: a password here), and the id they have there.
    Column("provider", Name),
    Column("provider_id", Name),
    Column("teams", Json),
    Column("seen_at", Moment),
    sa.UniqueConstraint("provider", "provider_id"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("token_hash", Name, primary_key=True),
    Column("user", Name, ForeignKey("users.name", ondelete="CASCADE"), nullable=False, index=True),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False, index=True),
    Column("seen_at", Moment),
    Column("address", Words),
    Column("agent", Words),
)

tokens = Table(
    "tokens",
    metadata,
    Column("id", Name, primary_key=True),
    Column("token_hash", Name, nullable=False, unique=True),
    Column("user", Name, ForeignKey("users.name", ondelete="CASCADE"), nullable=False, index=True),
    Column("label", Words, nullable=False),
    Column("scopes", Json, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment),
    Column("used_at", Moment),
)

answers = Table(
    "answers",
    metadata,
    # Who asked, and the key they gave their request: what was answered then is answered again.
    Column("actor", Name, primary_key=True),
    Column("key", Name, primary_key=True),
    Column("request", Name, nullable=False),
    Column("status", Integer, nullable=False),
    Column("headers", Json, nullable=False),
    Column("body", Words, nullable=False),
    Column("at", Moment, nullable=False, index=True),
)

failed_sign_ins = Table(
    "failed_sign_ins",
    metadata,
    Column("id", Number, primary_key=True),
    Column("name", Name, nullable=False),
    Column("at", Moment, nullable=False, index=True),
    Column("address", Name),
    sqlite_autoincrement=True,
)
Index("ix_failed_sign_ins_name", failed_sign_ins.c.name, failed_sign_ins.c.at)
Index("ix_failed_sign_ins_address", failed_sign_ins.c.address, failed_sign_ins.c.at)

secrets = Table(
    "secrets",
    metadata,
    Column("name", Name, primary_key=True),
    Column("value", LargeBinary, nullable=False),
)

plans = Table(
    "plans",
    metadata,
    Column("number", Number, primary_key=True),
    Column("id", Name, nullable=False, unique=True),
    Column("resource", Name, nullable=False),
    Column("template", Name, nullable=False),
    Column("major", Integer, nullable=False),
    Column("minor", Integer, nullable=False),
    Column("inputs", Json, nullable=False),
    Column("asked_by", Words, nullable=False),
    Column("asked_at", Moment, nullable=False),
    Column("digest", Name),
    Column("rendered", Words),
    Column("handle", Words),
    Column("state", Name, info=one_of(ProposalState)),
    Column("changes", Json),
    Column("reason", Words),
    Column("stack", Words),
    Column("failure", Words),
    Column("made_at", Moment),
    Column("deployment", Name),
    sqlite_autoincrement=True,
)
Index("ix_plans_resource", plans.c.resource, plans.c.number)
Index("ix_plans_version", plans.c.template, plans.c.major, plans.c.minor, plans.c.number)
Index("ix_plans_deployment", plans.c.deployment)

uploads = Table(
    "uploads",
    metadata,
    Column("template", Name, ForeignKey("templates.name", ondelete="CASCADE"), primary_key=True),
    Column("major", Integer, primary_key=True, autoincrement=False),
    Column("minor", Integer, primary_key=True, autoincrement=False),
    Column("bucket", Words, nullable=False),
    Column("key", Words, nullable=False),
    Column("asked_by", Words, nullable=False),
    Column("asked_at", Moment, nullable=False),
    Column("compatible_environments", Json, nullable=False),
    Column("message", Words, nullable=False),
)

annotations = Table(
    "annotations",
    metadata,
    Column("subject", Name, primary_key=True),
    Column("at", Moment, nullable=False),
    Column("facts", Json, nullable=False),
)

tallies = Table(
    "tallies",
    metadata,
    Column("template", Name, primary_key=True),
    # The beginning of the span of time that it is the last tally of.
    Column("at", Moment, primary_key=True),
    Column("undeployed", Integer, nullable=False),
    Column("up_to_date", Integer, nullable=False),
    Column("behind_minor", Integer, nullable=False),
    Column("behind_major", Integer, nullable=False),
    Column("ahead", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    # Whether no later one of its template is there.
    Column("last", Boolean, nullable=False),
)
Index("ix_tallies_at", tallies.c.at)
Index(
    "ix_tallies_last",
    tallies.c.behind_major,
    tallies.c.behind_minor,
    tallies.c.template,
    sqlite_where=tallies.c.last,
    postgresql_where=tallies.c.last,
)
