"""The promises, tried for as long as every run of the tests has time for: `make trials` tries them for longer."""

import pytest

from tests.trials.hall import hold, trials
from tests.trials.trial import Size

SEED = 1
"""The same for every run, so that what fails here fails again. `make trials` draws another each time."""


@pytest.mark.parametrize("trial", [trial for trial in trials() if trial.rounds.short], ids=lambda trial: trial.name)
def test_a_promise_is_kept_in_its_short_trial(trial) -> None:
    held = hold(trial, SEED, trial.rounds.at(Size.SHORT))
    if held.kept is None:
        pytest.skip(held.seen)
    assert held.kept, held.seen
