"""Bundles in S3, on the emulator of AWS, read with the worker's own credentials."""

from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from tests import builders
from tests.emulator.harness import REGION, Emulator
from tests.proton.test_life import archive
from upkeep.adapters.archives import read_archive
from upkeep.adapters.cloudformation import Accounts
from upkeep.adapters.cloudformation.objects import read_object
from upkeep.domain.errors import BundleError, NotFound, TransientError
from upkeep.domain.limits import LIMITS


@pytest.fixture
def accounts(emulator: Emulator) -> Accounts:
    emulator.client("s3").create_bucket(Bucket="bundles", CreateBucketConfiguration={"LocationConstraint": REGION})
    return Accounts(region=REGION, endpoint_url=emulator.url)


def test_an_object_is_read_whole(accounts: Accounts, emulator: Emulator) -> None:
    packed = archive(builders.service_files())
    emulator.client("s3").put_object(Bucket="bundles", Key="svc/1.tgz", Body=packed)
    content = read_object(accounts, "bundles", "svc/1.tgz", LIMITS.bundle.bytes)
    assert content == packed
    assert {file.path for file in read_archive(content).files} == set(builders.service_files())


def test_an_object_longer_than_a_bundle_may_be_is_refused(accounts: Accounts, emulator: Emulator) -> None:
    emulator.client("s3").put_object(Bucket="bundles", Key="big", Body=b"x" * 101)
    with pytest.raises(BundleError, match="longer than 100 bytes"):
        read_object(accounts, "bundles", "big", 100)


@pytest.mark.parametrize("bucket", ["bundles", "nothing"])
def test_what_is_not_there_is_not_found(accounts: Accounts, bucket: str) -> None:
    with pytest.raises(NotFound, match=f"there is no s3://{bucket}/none"):
        read_object(accounts, bucket, "none", 100)


class _BreaksOff(BaseHTTPRequestHandler):
    """Announces an object, sends a little of it, and is gone."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "100")
        self.end_headers()
        self.wfile.write(b"a little")

    def log_message(self, format: str, *arguments: object) -> None:
        pass


def test_an_object_that_breaks_off_is_asked_for_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    with HTTPServer(("127.0.0.1", 0), _BreaksOff) as server:
        thread = Thread(target=server.handle_request)
        thread.start()
        broken = Accounts(region=REGION, endpoint_url=f"http://127.0.0.1:{server.server_address[1]}")
        with pytest.raises(TransientError, match="broke off while it was read"):
            read_object(broken, "bundles", "svc/1.tgz", 100)
        thread.join()
