"""The API that Proton had, served on loopback over a furnished store, and boto3 clients of it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from werkzeug.serving import make_server

from tests.web.furnished import furnish, people
from upkeep.adapters import servicemodel
from upkeep.adapters.archives import read_archive
from upkeep.adapters.clock import now as present
from upkeep.adapters.jinja import JinjaRenderer
from upkeep.adapters.keypairs import DerivedSecrets
from upkeep.adapters.local import LocalProvisioner
from upkeep.adapters.passwords import Argon2Passwords
from upkeep.adapters.secrets import KeptSecrets
from upkeep.adapters.store import SqlStore, migrate, open_store
from upkeep.domain.bundles import Bundle
from upkeep.domain.errors import NotFound
from upkeep.domain.notices import Routing
from upkeep.domain.people import Actor, Role, Scope, Via, scopes_of
from upkeep.domain.policies import Policies
from upkeep.domain.work import WorkKind
from upkeep.flows.admit import create_token
from upkeep.flows.settle import Terms
from upkeep.web.app import Rooms, create_app
from upkeep.web.proton.arns import Names
from upkeep.web.proton.protocol import ProtonDoor
from upkeep.worker.works import works

REGION, ACCOUNT = "eu-west-1", "123456789012"
ARN = f"arn:aws:proton:{REGION}:{ACCOUNT}:"

secret_of = DerivedSecrets(b"a master key for tests")

ROOT = Actor("root", Role.ADMIN, Via.CLI)


@dataclass
class Served:
    """A running API. `url` is what clients are given as endpoint; `bucket` is what is in S3."""

    store: SqlStore
    url: str
    renderer: JinjaRenderer
    folder: Path
    bucket: dict[str, bytes] = field(default_factory=dict)

    def work(self) -> None:
        """Do all the work there is, as a worker does it, with stacks on the local disk."""
        kinds = works(
            self.store,
            None,  # type: ignore[arg-type]  (no source is read)
            self.renderer,
            LocalProvisioner(self.folder / "stacks"),
            None,  # type: ignore[arg-type]  (no channel is told)
            self._uploaded,
            routing=Routing(),
            terms=Terms(),
            policies=Policies(),
            clock=present,
        )
        for _ in range(200):
            with self.store.write() as unit:
                claim = unit.work.claim(
                    set(kinds) - {WorkKind.SYNC}, present() + timedelta(hours=1), timedelta(hours=2)
                )
            if claim is None:
                return
            kinds[claim.kind](claim)
        raise AssertionError("the work does not end")

    def _uploaded(self, bucket: str, key: str) -> Bundle:
        if key not in self.bucket:
            raise NotFound(f"there is no s3://{bucket}/{key}", cure="upload the bundle, then register it")
        return read_archive(self.bucket[key])

    def key_pair(self, user: str, *scopes: Scope) -> tuple[str, str]:
        """A key pair of a user, with all scopes of their role unless some are named."""
        with self.store.write() as unit:
            whose = unit.people.find(user)
            assert whose is not None
            token, secret = create_token(
                unit,
                f"a key of {user}",
                scopes or scopes_of(whose.role),
                user=user,
                secret_of=secret_of,
                actor=ROOT,
                now=present(),
            )
        return token.id, secret

    def client(self, user: str = "admin", *scopes: Scope, **changes: Any) -> Any:
        """boto3's client, signing with a fresh key pair of a user."""
        key, secret = self.key_pair(user, *scopes)
        settings = {
            "region_name": REGION,
            "endpoint_url": self.url,
            "aws_access_key_id": key,
            "aws_secret_access_key": secret,
            "config": Config(retries={"total_max_attempts": 1}),
        }
        return boto3.session.Session().client("proton", **(settings | changes))


@contextmanager
def opened(folder: Path) -> Iterator[Rooms]:
    """The rooms of an API over an empty store with people."""
    state = folder / "state"
    state.mkdir()
    url = f"sqlite:///{state / 'upkeep.db'}"
    migrate(url, state=state)
    store = open_store(url, state=state)
    with store.write() as unit:
        people(unit)
    door = ProtonDoor(servicemodel.load(), secret_of, Names(REGION, ACCOUNT))
    with JinjaRenderer(time_for=timedelta(seconds=5), memory_bytes=512 << 20, output_bytes=2 << 20) as renderer:
        yield Rooms(
            store=store,
            renderer=renderer,
            passwords=Argon2Passwords(),
            secrets=KeptSecrets(),
            routing=Routing(),
            clock=present,
            proton=door,
        )
    store.close()


def serve(rooms: Rooms, folder: Path) -> Iterator[Served]:
    """Serve them on loopback."""
    server = make_server("127.0.0.1", 0, create_app(rooms), threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    assert isinstance(rooms.store, SqlStore)
    assert isinstance(rooms.renderer, JinjaRenderer)
    yield Served(rooms.store, f"http://127.0.0.1:{server.server_port}/proton", rooms.renderer, folder)
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="session")
def model() -> servicemodel.ServiceModel:
    return servicemodel.load()


@pytest.fixture
def proton_rooms(tmp_path: Path) -> Iterator[Rooms]:
    with opened(tmp_path) as rooms:
        yield rooms


@pytest.fixture
def served(proton_rooms: Rooms, tmp_path: Path) -> Iterator[Served]:
    """The API over a store with people and nothing else."""
    yield from serve(proton_rooms, tmp_path)


@pytest.fixture
def furnished(proton_rooms: Rooms, tmp_path: Path) -> Iterator[Served]:
    """The API over a store in which there is something of everything."""
    furnish(proton_rooms.store, present().replace(microsecond=0))
    yield from serve(proton_rooms, tmp_path)
