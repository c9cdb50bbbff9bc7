"""What the pipelines of the published samples call: the three commands that a story tells with a real command line."""

import re
from pathlib import Path

from tests.stories.test_proton import COMMANDS

_COMMAND = re.compile(r'"(aws proton [^"]*)"')
_SPEC = re.compile(r"file://\S*rendered_service\.yaml")
"""Where a build leaves its spec differs from template to template."""

PIPELINES = 18
"""Templates with a pipeline that calls Proton."""


def test_every_pipeline_of_the_samples_calls_the_same_three_commands(samples: Path) -> None:
    files = [path for path in samples.rglob("pipeline_infrastructure/*.yaml") if "aws proton" in path.read_text()]
    assert len(files) >= PIPELINES
    for path in files:
        found = {_SPEC.sub("file://rendered_service.yaml", command) for command in _COMMAND.findall(path.read_text())}
        assert found == set(COMMANDS), path
