"""Rows: which facts of the things in the store stand in the columns of tables."""

from upkeep.cli.printing import Column

SOURCES = (
    Column("NAME", "name"),
    Column("URL", "url"),
    Column("BRANCH", "branch"),
    Column("FOLDER", "subdirectory", wide=True),
    Column("STATE", "state"),
    Column("COMMIT", "commit"),
    Column("SYNCED", "synced_at"),
    Column("NEXT POLL", "next_poll_at", wide=True),
    Column("ORIGIN", "origin", wide=True),
    Column("REASON", "reason", wide=True),
)

STACK_EVENTS = (
    Column("AT", "at"),
    Column("RESOURCE", "resource"),
    Column("TYPE", "type", wide=True),
    Column("STATUS", "status"),
    Column("REASON", "reason"),
)

DELIVERIES = (
    Column("DELIVERY", "id"),
    Column("EVENT", "event"),
    Column("RECEIVED", "received_at"),
    Column("STATUS", "status"),
    Column("SOURCES", "sources"),
    Column("REF", "ref", wide=True),
    Column("COMMIT", "commit", wide=True),
    Column("REASON", "reason"),
)

TEMPLATES = (
    Column("NAME", "name"),
    Column("KIND", "kind"),
    Column("RECOMMENDED", "recommended"),
    Column("DRAFTS", "newest_drafts"),
    Column("RESOURCES", "resources"),
    Column("BEHIND", "behind"),
    Column("SOURCE", "source"),
    Column("PATH", "path", wide=True),
)

VERSIONS = (
    Column("VERSION", "version"),
    Column("STATE", "state"),
    Column("RECOMMENDED", "recommended"),
    Column("IN USE", "in_use"),
    Column("COMMIT", "short_commit"),
    Column("SUBJECT", "subject"),
    Column("AUTHOR", "author"),
    Column("REGISTERED", "created_at"),
    Column("TREE", "tree", wide=True),
    Column("PATH", "path", wide=True),
)

RESOURCES = (
    Column("NAME", "name"),
    Column("KIND", "kind", wide=True),
    Column("TEMPLATE", "template"),
    Column("VERSION", "version"),
    Column("LAG", "lag"),
    Column("SINCE", "behind_since", wide=True),
    Column("STATUS", "status"),
    Column("OWNER", "owner"),
    Column("ENVIRONMENT", "environment", wide=True),
    Column("DEPLOYED", "deployed_at", wide=True),
)

SERVICES = (
    Column("NAME", "name"),
    Column("TEMPLATE", "template"),
    Column("INSTANCES", "instances"),
    Column("PIPELINE", "pipeline"),
    Column("OWNER", "owner"),
    Column("CREATED", "created_at", wide=True),
)

DEPLOYMENTS = (
    Column("DEPLOYMENT", "id"),
    Column("RESOURCE", "resource"),
    Column("ACTION", "action"),
    Column("FROM", "from"),
    Column("TO", "to"),
    Column("STATUS", "status"),
    Column("ASKED BY", "asked_by"),
    Column("ASKED", "created_at"),
    Column("ENDED", "completed_at", wide=True),
    Column("MESSAGE", "message", wide=True),
)


ROLLOUTS = (
    Column("ROLLOUT", "id"),
    Column("TEMPLATE", "template"),
    Column("TO", "to"),
    Column("STATUS", "status"),
    Column("UPDATED", "succeeded"),
    Column("FAILED", "failed"),
    Column("UNDER WAY", "under_way"),
    Column("WAITING", "waiting"),
    Column("ASKED BY", "asked_by"),
    Column("ASKED", "created_at"),
    Column("MESSAGE", "message", wide=True),
)

MEMBERS = (
    Column("RESOURCE", "resource"),
    Column("FROM", "from"),
    Column("TO", "to"),
    Column("WHAT", "turn"),
    Column("REASON", "reason"),
)
