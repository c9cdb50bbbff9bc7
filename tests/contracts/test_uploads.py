"""Bundles in S3, on the emulator of AWS, read with the worker's own credentials."""

import pytest

from tests import builders
from tests.emulator.harness import REGION, Emulator
from tests.proton.test_life import archive
from upkeep.adapters.archives import read_archive
from upkeep.adapters.cloudformation import Accounts
from upkeep.adapters.cloudformation.objects import read_object
from upkeep.domain.errors import BundleError, NotFound
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
