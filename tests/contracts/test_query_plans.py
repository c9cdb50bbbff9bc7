"""No page reads through a large table for what it does not show: every statement of every list, as each database
plans it over a fleet of some thousand."""

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from tests.bench.pages import asked, visitor
from tests.databases import Databases
from tests.multitude import BUSY
from upkeep.adapters.clock import now
from upkeep.adapters.store import SqlStore, open_store
from upkeep.adapters.store.tables import metadata
from upkeep.domain.work import WorkKind

RESOURCES, TEMPLATES = 6000, 60

LARGE = {"resources", "deployments", "journal", "versions", "plans", "services", "sources", "stack_events"}

PARTIAL = {
    index.name
    for table in metadata.tables.values()
    for index in table.indexes
    if index.dialect_options["sqlite"]["where"] is not None
}
"""Indexes of a part of their table: walking one reads only what it is about."""

PATHS = (
    "/",
    "/?size=250",
    "/?sort=name",
    "/?sort=template&dir=desc",
    "/?sort=owner",
    "/?sort=age",
    f"/?template={BUSY}",
    f"/?template={BUSY}&sort=name",
    "/?owner=team-001",
    "/?owner=team-001&sort=name",
    "/?environment=environment-000009",
    "/?kind=environment",
    "/?status=behind",
    "/?status=failed",
    "/?status=up_to_date",
    f"/?template={BUSY}&status=behind&owner=team-030",
    "/?search=service-00001",
    "/?search=nowhere",
    "/fleet.csv",
    f"/fleet.csv?template={BUSY}",
    "/templates",
    "/templates?waiting=yes",
    f"/templates/{BUSY}",
    f"/templates/{BUSY}?below=1.100",
    "/environments",
    "/environments/environment-000009",
    "/services",
    "/services?owner=team-001",
    "/services/service-000003",
    "/deployments",
    "/deployments?status=FAILED",
    "/deployments?status=stalled",
    "/deployments?resource=service-000003/i-9",
    f"/deployments?template={BUSY}",
    "/deployments?asked_by=dev-3",
    "/rollouts",
    "/sources",
    "/activity",
    "/activity?kind=version_published",
    "/activity?via=cli&since=2026-01-01",
    "/activity?since=2026-01-01&until=2026-01-02",
)

GAUGES = "what Prometheus asks"

READ_THROUGH = {
    "the five counters count everything: the columns of one index, and no row": (
        "GROUP BY resources.standing, resources.failed",
        {"resources"},
    ),
    "a part of a name can stand anywhere: all names are read, in an index of their own": (
        "resources.search LIKE",
        {"resources"},
    ),
    "services are listed by name: until enough of an owner or with a part of a name are found": (
        "FROM services \nWHERE services.name >",
        {"services"},
    ),
    "as many sources are counted as stand in a sentence": ("sources.checked_at IS NOT NULL", {"sources"}),
    "PostgreSQL walks an order where it reckons to find a page soon: a tenth of all run this template": (
        'resources.template = %(template)s::VARCHAR COLLATE "C" ORDER BY resources.label',
        {"resources"},
    ),
    "the same of its deployments, newest first": ("deployments.resource IN (SELECT", {"deployments"}),
    "and of one in fifty who ask": ("WHERE deployments.asked_by = %", {"deployments"}),
    "what is behind is counted by kind, for a twentieth of the time at most: that may be most of the fleet": (
        "SELECT resources.kind, count(*) AS count_1, min(resources.since)",
        {"resources"},
    ),
    "a file has it all": ("ORDER BY resources.label, resources.id", {"resources"}),
}
"""What may be read through, why, and by which words its statement is known."""


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def explained(
    request: pytest.FixtureRequest, databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, list[tuple[str, set[str]]]]]:
    """For each path the statements that it asks, with the large tables that each would read through."""
    state = tmp_path_factory.mktemp("state")
    with databases.migrated(request.param) as url:
        store = open_store(url, state=state)
        client = visitor(store, state, RESOURCES, TEMPLATES)
        if request.param == "postgresql":
            with store._database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as bare:
                bare.execute(sa.text("VACUUM ANALYZE"))
        found = {}
        for path in (*PATHS, GAUGES):
            statements = asked(store, lambda path=path: read_gauges(store) if path is GAUGES else client.get(path))
            found[path] = [(text, read_through(store, text, values)) for text, values in statements]
        yield found
        store.close()


def read_gauges(store: SqlStore) -> None:
    with store.read() as unit:
        unit.gauges.read(now())


def read_through(store: SqlStore, statement: str, parameters: Any) -> set[str]:
    """The large tables that the database would read from one end to the other for a statement."""
    with store._database.transaction(writing=False) as connection:
        if connection.dialect.name == "sqlite":
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
            return {table for row in plan if (table := _scanned(row.detail, statement)) in LARGE}
        # What is small here is read through all the same, and only then: asked is what an index could serve.
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        (told,) = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters).one()
        plans = json.loads(told) if isinstance(told, str) else told
        return set(_unbounded(plans[0]["Plan"], limited=False)) & LARGE


def _scanned(detail: str, statement: str) -> str | None:
    """The table that a line of SQLite's plan says is scanned, unless it is walked from one end for a page of it, or the
    index holds only what is looked for."""
    found = re.match(r"SCAN (\w+)(?: USING (?:COVERING )?INDEX (\w+))?", detail)
    if not found or found[2] in PARTIAL:
        return None
    walked = "LIMIT" in statement and "WHERE" not in statement and "GROUP BY" not in statement
    return None if walked else found[1]


def _unbounded(plan: dict[str, Any], *, limited: bool) -> Iterator[str]:
    """The same of PostgreSQL's plan."""
    kind = plan["Node Type"]
    if kind == "Seq Scan":
        yield plan["Relation Name"]
    walked = kind in ("Index Scan", "Index Only Scan") and "Index Cond" not in plan
    if walked and plan["Index Name"] not in PARTIAL and (not limited or "Filter" in plan):
        yield plan["Relation Name"]
    limited = kind == "Limit" or (limited and kind == "Incremental Sort")
    for child in plan.get("Plans", ()):
        yield from _unbounded(child, limited=limited)


@pytest.mark.parametrize("path", [*PATHS, GAUGES])
def test_no_page_reads_through_what_it_does_not_show(
    explained: dict[str, list[tuple[str, set[str]]]], path: str
) -> None:
    faults = []
    for statement, tables in explained[path]:
        allowed = {table for words, known in READ_THROUGH.values() if words in statement for table in known}
        if tables - allowed:
            faults.append(f"{sorted(tables - allowed)} in\n{statement}")
    assert not faults, "\n\n".join(faults)


@pytest.mark.parametrize("path", PATHS)
def test_a_page_asks_a_bounded_number_of_questions(explained: dict[str, list[tuple[str, set[str]]]], path: str) -> None:
    at_most = 120 if path.endswith(".csv") or ".csv?" in path else 30
    assert len(explained[path]) <= at_most, "\n".join(statement for statement, _ in explained[path])


def test_what_waits_of_one_kind_is_not_read_for_another(each_store: SqlStore) -> None:
    at = now()
    with each_store.write() as unit:
        for number in range(300):
            unit.work.ask(WorkKind.PREVIEW, f"env/1.{number}", at)
        unit.work.ask(WorkKind.SYNC, "templates", at)
    kinds = tuple(kind for kind in WorkKind if kind is not WorkKind.PREVIEW)

    def claim() -> None:
        with each_store.write() as unit:
            assert unit.work.next_due_at(kinds) == at
            claimed = unit.work.claim(kinds, at, timedelta(minutes=1))
            assert claimed is not None
            assert claimed.kind is WorkKind.SYNC

    statements = [(text, values) for text, values in asked(each_store, claim) if "FROM work" in text]
    assert len(statements) == 3
    with each_store._database.transaction(writing=False) as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        for text, values in statements:
            explain = "EXPLAIN QUERY PLAN" if connection.dialect.name == "sqlite" else "EXPLAIN"
            plan = "\n".join(str(row) for row in connection.exec_driver_sql(f"{explain} {text}", values))
            assert "ix_work_due" in plan
            assert re.search(r"\(kind=\?|Index Cond: \(+kind", plan), plan
            assert not re.search(r"SCAN work|Sort|TEMP B-TREE", plan), plan
