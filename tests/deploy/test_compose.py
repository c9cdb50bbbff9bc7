"""compose.yaml, as the compose specification reads it, and what its containers may not do."""

import re

import compose_spec
import pytest

from tests.deploy.shipped import DEPLOY, SECRETS, check_config, secrets_in
from upkeep.domain import documents

COMPOSE = DEPLOY / "compose" / "compose.yaml"
CONFIGURATION = (DEPLOY / "compose" / "upkeep.yaml").read_text(encoding="utf-8")
OURS = ("migrate", "web", "worker")


@pytest.fixture(scope="module")
def read():
    """The file by the specification, with what its names refer to checked."""
    options = compose_spec.PyOptions()
    options.apply_merge = True
    found = options.from_yaml(COMPOSE.read_text(encoding="utf-8"))
    found.validate()
    for check in (found.validate_configs, found.validate_networks, found.validate_secrets, found.validate_volumes):
        check()
    return found.to_dict()


@pytest.mark.parametrize("name", [*OURS, "postgres"])
def test_a_container_can_do_little(read, name):
    service = read["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "/tmp" in service["tmpfs"]
    assert not service.get("privileged")
    assert all(published.startswith("127.0.0.1:") for published in service.get("ports", ()))


def test_the_tables_are_made_before_anything_serves(read):
    services = read["services"]
    assert services["migrate"]["command"] == ["migrate"]
    assert services["migrate"]["depends_on"]["postgres"]["condition"] == "service_healthy"
    for name in ("web", "worker"):
        assert services[name]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"
        assert services[name]["command"] == [name]


def test_a_database_with_a_health_check_and_a_password_from_a_file(read):
    postgres = read["services"]["postgres"]
    assert postgres["environment"]["POSTGRES_PASSWORD_FILE"] == "/run/secrets/postgres-password"
    assert "pg_isready" in postgres["healthcheck"]["test"]
    assert re.fullmatch(r"postgres:\d+\.\d+-\w+", postgres["image"])


def test_no_secret_stands_in_the_file_and_each_container_gets_those_its_configuration_asks_for(read):
    asked = secrets_in(CONFIGURATION, "/run/secrets")
    assert asked == SECRETS.keys()
    for name in OURS:
        assert set(read["services"][name]["secrets"]) == asked
    assert set(read["secrets"]) == asked | {"postgres-password"}
    assert all(secret["file"].startswith("secrets/") for secret in read["secrets"].values())
    assert "secrets/" in (COMPOSE.parent / ".gitignore").read_text().splitlines()


def test_the_configuration_has_no_fault_and_believes_the_gateway_of_the_network(read, tmp_path):
    done = check_config(CONFIGURATION, "/run/secrets", tmp_path)
    assert done.exit_code == 0, done.output
    (subnet,) = read["networks"]["upkeep"]["ipam"]["config"]
    assert f"- {subnet['gateway']}\n" in done.output


def test_all_workers_share_one_folder_for_stacks_which_outlives_them(read):
    """A worker refuses to start with another folder than the one that the stacks of its database stand in."""
    folder = documents.load(CONFIGURATION, "upkeep.yaml").value["local"]["folder"]
    assert f"stacks:{folder}" in read["services"]["worker"]["volumes"]
    assert "stacks" in read["volumes"]
    # A new volume has the owner of what the image has there.
    assert re.search(rf"install -d -o 10001 -g 10001 .* {folder}$", (DEPLOY / "image" / "Dockerfile").read_text(), re.M)
