"""Backups and exports: what comes back is what was there, whole or not at all, whichever database it came from."""

import io
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests import builders
from tests.databases import Databases
from tests.web.furnished import furnish
from upkeep import wiring
from upkeep.adapters import store as store_package
from upkeep.adapters.store import open_store
from upkeep.domain.bundles import Bundle, BundleFile
from upkeep.domain.names import environment_key
from upkeep.domain.people import Scope, Session, Token
from upkeep.settings import Settings, read

KINDS = ("sqlite", "postgresql")

ODD_TEXT = 'ünïcödé \U0001f600 \x7f\x85\u2028 \\ " \x1f'


@dataclass
class Installation:
    """A database and a state folder."""

    url: str
    folder: Path

    @property
    def settings(self) -> Settings:
        told = f"state: state\ndatabase:\n  url: {self.url}\n"
        return read(told, "upkeep.yaml", folder=self.folder, environ={})

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def exported(self) -> bytes:
        output = io.BytesIO()
        wiring.export(self.settings, output)
        return output.getvalue()

    def rows(self) -> list[bytes]:
        """Every row of every table."""
        with store_package.contents_of(self.url) as found:
            return list(found.lines)

    def take(self, told: bytes) -> int:
        return wiring.import_lines(self.settings, io.BytesIO(told).readlines(), "export.jsonl")


@pytest.fixture
def make(databases: Databases, tmp_path: Path) -> Iterator[Callable[[str], Installation]]:
    """Makes empty installations on a kind of database, without tables."""
    with ExitStack() as stack:

        def made(kind: str) -> Installation:
            folder = tmp_path / f"installation-{len(list(tmp_path.iterdir()))}"
            folder.mkdir()
            return Installation(stack.enter_context(databases.fresh(kind)), folder)

        yield made


@pytest.fixture(params=KINDS)
def old(request: pytest.FixtureRequest, make: Callable[[str], Installation], now: datetime) -> Installation:
    """An installation with something in every table, and values that are awkward to write."""
    found = make(request.param)
    wiring.migrate(found.settings)
    store = open_store(found.url, state=found.state)
    furnish(store, now)
    with store.write() as unit:
        odd = (
            BundleFile("schema/sch\udce4ma.yaml", "100644", builders.object_id(1), 9, b"\xff\xfe\x00binary"),
            BundleFile("text.txt", "100755", builders.object_id(2), 40, f"{ODD_TEXT}\0\r\n".encode()),
            BundleFile("large.bin", "100644", builders.object_id(3), 1 << 40, None),
        )
        unit.registry.keep_bundle(Bundle(builders.object_id("odd"), odd))
        unit.people.add(replace(builders.a_user("odd"), email=ODD_TEXT, password_hash="$argon2id$secret"))
        unit.people.add_session(Session("hash-of-a-session", "odd", now, now + timedelta(days=9)))
        unit.people.add_token(Token("t1", "hash-of-a-token", "odd", "ci", frozenset({Scope.READ}), now))
        unit.fleet.add(builders.an_environment("odd", "1.0", inputs={"n": float("nan"), "s": "\ud800", "deep": [[{}]]}))
        # A number that was given out and is gone is never given out again.
        unit.fleet.add(builders.an_environment("gone", "1.0"))
        unit.fleet.remove(environment_key("gone"))
    store.close()
    (found.state / "proton.key").write_text("the master key\n")
    place = found.state / "local" / "environment" / "test"
    place.mkdir(parents=True)
    (place / "template.yaml").write_bytes(b"Resources: {}\n")
    (found.state / "git").mkdir()
    (found.state / "git" / "templates.git").write_text("a mirror")
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_a_backup_gives_back_every_row_and_file(old: Installation, make, kind: str, tmp_path: Path) -> None:
    file = tmp_path / "a.backup"
    made = wiring.back_up(old.settings, file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert made.files == ["local/environment/test/template.yaml", "proton.key"]
    new = make(kind)
    wiring.restore(new.settings, file, replace=False)
    assert new.rows() == old.rows()
    assert (new.state / "proton.key").read_text() == "the master key\n"
    assert (new.state / "local/environment/test/template.yaml").read_bytes() == b"Resources: {}\n"
    assert not (new.state / "git").exists()
    assert {path.name for path in tmp_path.iterdir() if "backup" in path.name} == {"a.backup"}


@pytest.mark.parametrize("kind", KINDS)
def test_an_export_is_taken_back_and_comes_out_byte_for_byte(old: Installation, make, kind: str) -> None:
    told = old.exported()
    new = make(kind)
    assert new.take(told) == len(told.splitlines()) - 2
    assert new.exported() == told
