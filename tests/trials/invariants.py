"""What holds in the database whatever happened to the processes that write it, as questions with an empty answer."""

from collections.abc import Mapping

import sqlalchemy as sa

_ISSUED = "SELECT template, major, max(minor) AS last FROM versions GROUP BY template, major"
_PLACE = "template, major, minor, standing, failed"
_COUNTED = f"SELECT {_PLACE}, count(*) FROM resources GROUP BY {_PLACE}"
_KEPT = f"SELECT {_PLACE}, sum(resources) FROM headcounts GROUP BY {_PLACE} HAVING sum(resources) <> 0"
HEADCOUNTS = f"SELECT * FROM ({_COUNTED} EXCEPT {_KEPT}) more UNION ALL SELECT * FROM ({_KEPT} EXCEPT {_COUNTED}) fewer"

INVARIANTS: Mapping[str, str] = {
    "a number can be given again": (
        f"SELECT i.template, i.major, i.last, m.next_minor FROM ({_ISSUED}) i"
        " LEFT JOIN majors m ON m.template = i.template AND m.major = i.major"
        " WHERE m.next_minor IS NULL OR m.next_minor <= i.last"
    ),
    "one content was registered twice running": (
        "SELECT b.template, b.major, b.minor FROM versions a JOIN versions b"
        " ON b.template = a.template AND b.major = a.major AND b.minor = a.minor + 1"
        " WHERE a.tree = b.tree AND a.commit_id = b.commit_id"
    ),
    "the recommended version of a template is not a published one": (
        "SELECT t.name, t.recommended_major, t.recommended_minor FROM templates t"
        " WHERE (t.recommended_major IS NULL) <> (t.recommended_minor IS NULL)"
        " OR (t.recommended_major IS NOT NULL AND NOT EXISTS (SELECT 1 FROM versions v WHERE v.template = t.name"
        " AND v.major = t.recommended_major AND v.minor = t.recommended_minor AND v.state = 'PUBLISHED'))"
    ),
    "the recommended version of a major is not a published one": (
        "SELECT m.template, m.major, m.recommended_minor FROM majors m WHERE m.recommended_minor IS NOT NULL"
        " AND NOT EXISTS (SELECT 1 FROM versions v WHERE v.template = m.template AND v.major = m.major"
        " AND v.minor = m.recommended_minor AND v.state = 'PUBLISHED')"
    ),
    "a template with published versions recommends none": (
        "SELECT t.name FROM templates t WHERE t.recommended_major IS NULL AND NOT t.pinned"
        " AND EXISTS (SELECT 1 FROM versions v WHERE v.template = t.name AND v.state = 'PUBLISHED')"
    ),
    "a version has no bundle": (
        "SELECT v.template, v.major, v.minor FROM versions v WHERE v.state IN ('DRAFT', 'PUBLISHED')"
        " AND NOT EXISTS (SELECT 1 FROM bundles b WHERE b.tree = v.tree)"
    ),
    "the headcounts are not those of the resources": HEADCOUNTS,
    "a resource has two deployments under way": (
        "SELECT resource FROM deployments WHERE status IN ('IN_PROGRESS', 'DELETE_IN_PROGRESS', 'CANCELLING')"
        " GROUP BY resource HAVING count(*) > 1"
    ),
    "a deployment is under way that nobody will do": (
        "SELECT d.id FROM deployments d WHERE d.status IN ('IN_PROGRESS', 'DELETE_IN_PROGRESS', 'CANCELLING')"
        " AND d.stalled_at IS NULL AND NOT EXISTS (SELECT 1 FROM work w WHERE w.kind = 'deploy' AND w.subject = d.id)"
    ),
    "a resource does not run what its last deployment brought": (
        "SELECT r.key FROM resources r JOIN deployments d ON d.id = r.last_succeeded_deployment"
        " WHERE d.action <> 'delete' AND (r.major <> d.target_major OR r.minor <> d.target_minor)"
    ),
    "a notice is owed that nobody will send": (
        "SELECT o.id, o.channel FROM outbox o WHERE o.sent_at IS NULL AND o.given_up_at IS NULL"
        " AND NOT EXISTS (SELECT 1 FROM work w WHERE w.kind = 'relay' AND w.subject = o.channel)"
    ),
    "a delivery waits for a sync that nobody will do": (
        "SELECT d.id FROM deliveries d JOIN delivery_sources s ON s.delivery = d.id"
        " JOIN sources f ON f.name = s.source WHERE d.status = 'RECEIVED'"
        " AND NOT EXISTS (SELECT 1 FROM work w WHERE w.kind = 'sync' AND w.subject = s.source)"
    ),
    "a draft has neither a preview nor one asked for": (
        "SELECT v.template, v.major, v.minor FROM versions v WHERE v.state = 'DRAFT'"
        " AND NOT EXISTS (SELECT 1 FROM previews p WHERE p.template = v.template AND p.major = v.major"
        " AND p.minor = v.minor) AND NOT EXISTS (SELECT 1 FROM work w WHERE w.kind = 'preview'"
        " AND w.subject = v.template || '@' || v.major || '.' || v.minor)"
    ),
    "two pieces of work have one token": (
        "SELECT token FROM work WHERE token IS NOT NULL GROUP BY token HAVING count(*) > 1"
    ),
    "a token was given that was not counted": (
        "SELECT w.token FROM work w WHERE w.token IS NOT NULL"
        " AND w.token > coalesce((SELECT last FROM numbers WHERE name = 'work'), 0)"
    ),
    "a settled deployment has not exactly one entry in the journal": (
        "SELECT d.id FROM deployments d WHERE d.status IN ('FAILED', 'SUCCEEDED', 'DELETE_COMPLETE', 'DELETE_FAILED')"
        " AND d.completed_at IS NOT NULL AND 1 <> (SELECT count(*) FROM journal j"
        " WHERE j.kind = 'deployment_settled' AND CAST(j.facts AS text) LIKE '%' || d.id || '%')"
    ),
}
"""What must not be, and the statement that finds it, for SQLite and PostgreSQL alike."""


def broken(url: str) -> tuple[str, ...]:
    """Each invariant that does not hold in a database, with the first rows that show it."""
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    found = []
    try:
        with engine.connect() as connection:
            for name, statement in INVARIANTS.items():
                rows = connection.execute(sa.text(statement)).fetchmany(3)
                if rows:
                    found.append(f"{name}: {', '.join(str(tuple(row)) for row in rows)}")
    finally:
        engine.dispose()
    return tuple(found)
