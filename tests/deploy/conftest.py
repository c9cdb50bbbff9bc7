"""What the tests of deploy/ share: an installed Upkeep, as the units and the image have it."""

from pathlib import Path

import pytest

from tests.deploy.machine import install, require_machines


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Upkeep in an environment of its own, for the machines of this process."""
    require_machines()
    return install(tmp_path_factory.mktemp("installed"))
