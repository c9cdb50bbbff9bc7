import shutil
import subprocess
import sys
from zipfile import ZipFile

import pytest

from tests.house.rooms import PACKAGE, ROOT

LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc", "*.egg-info")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The names in a wheel that was built without any index, from a copy so that no build folder stays behind."""
    copy = tmp_path_factory.mktemp("source")
    shutil.copytree(ROOT / "daemon", copy / "daemon", ignore=LEFT_OUT)
    for name in ("setup.cfg", "pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, copy)
    build = ["wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", copy / "out", copy]
    made = subprocess.run([sys.executable, "-m", "pip", *map(str, build)], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout + made.stderr
    with ZipFile(next((copy / "out").glob("upkeep-*.whl"))) as archive:
        return set(archive.namelist())


def test_a_wheel_has_every_file_of_the_package(wheel):
    files = [path for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    missing = {path.relative_to(PACKAGE.parent).as_posix() for path in files} - wheel
    assert not missing, "\n".join(sorted(missing))


@pytest.mark.parametrize("folder", ["web/templates", "web/static", "adapters/store/migrations/versions", "demo"])
def test_a_wheel_has_pages_styles_migrations_and_the_demonstration(wheel, folder):
    assert any(name.startswith(f"upkeep/{folder}/") for name in wheel)


def test_a_wheel_has_nothing_but_the_package(wheel):
    assert {name.partition("/")[0].partition("-")[0] for name in wheel} == {"upkeep"}
