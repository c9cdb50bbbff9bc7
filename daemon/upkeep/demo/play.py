"""Play the demonstration: build the stage, tell the story, and leave nothing behind."""

import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TextIO

from upkeep.demo import stage as stages
from upkeep.demo.edits import ENVIRONMENT_TEMPLATE, SERVICE_TEMPLATE
from upkeep.demo.expect import Otherwise
from upkeep.demo.narrator import Narrator
from upkeep.demo.stage import Stage, Wishes
from upkeep.demo.story import ENVIRONMENTS, SERVICE, Story, resource_path, review_path
from upkeep.domain.people import Role

_MAY = {Role.ADMIN: "publishes and updates", Role.DEVELOPER: "updates", Role.VIEWER: "looks"}


def play(*, headless: bool, port: int | None, keep: bool, stream: TextIO) -> None:
    """Play the story: up to where a person decides, and then until Ctrl-C; or to its end when `headless`.

    Raises Otherwise when a step went otherwise. Whatever happens, the daemon is stopped, and the folder removed
    unless `keep`.
    """
    narrator = Narrator(stream)
    with _interrupted_by_signals(), _folder(keep, narrator) as folder:
        narrator.title(f"Upkeep, on throw-away data in {folder}")
        stage = stages.build(folder, narrator, Wishes(port=port or 0))
        try:
            story = Story(stage)
            story.first_half()
            if headless:
                story.second_half()
                narrator.title("The whole story went as it is told.")
            else:
                _hand_over(stage)
                _stay(stage)
        except KeyboardInterrupt:
            narrator.title("Stopping.")
            if headless:
                raise
        except Otherwise as error:
            narrator.title("It went otherwise. The daemon's last words:")
            for line in stage.daemon.last_words().splitlines():
                narrator.line(line)
            raise Otherwise(f"{narrator.current}: {error.message}", cure=error.cure) from error
        finally:
            stage.daemon.stop()


def _hand_over(stage: Stage) -> None:
    tell, address = stage.narrator, stage.daemon.address
    tell.title("Your turn")
    tell.line(f"Open {address}/ and sign in as")
    tell.table(*((f"  {person.name}", person.password, _MAY[role]) for role, person in stage.people.items()))
    tell.line()
    tell.line(f"1. As admin, review and publish {address}{review_path(ENVIRONMENT_TEMPLATE)}")
    tell.line("   and update both environments:")
    for name in ENVIRONMENTS:
        tell.line(f"   {address}{resource_path(f'environment/{name}')}")
    tell.line(f"2. Publish {address}{review_path(SERVICE_TEMPLATE)}")
    tell.line("   and, as developer, update the pipeline and both instances:")
    tell.line(f"   {address}/services/{SERVICE}")
    tell.line(f"3. Change something in {stage.clone.folder},")
    tell.line("   commit and `git push`: the next draft is there within ten seconds.")
    tell.line()
    upkeep = "upkeep" if shutil.which("upkeep") else str(Path(sys.argv[0]).absolute())
    tell.line("Or, in another terminal:")
    tell.line(f"   export UPKEEP_CONFIG={stage.daemon.configuration}")
    tell.line(f"   {upkeep} lag")
    tell.line(f"   {upkeep} version diff {SERVICE_TEMPLATE} 1.1")
    tell.line(f"   {upkeep} --help")
    tell.title("Notices appear below as they are sent. Ctrl-C stops everything and removes the folder.")


def _stay(stage: Stage) -> None:
    """Until Ctrl-C, or until the daemon ends by itself."""
    code = stage.daemon.wait()
    raise Otherwise(f"the daemon: expected it to serve, saw exit {code}")


@contextmanager
def _folder(keep: bool, narrator: Narrator) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="upkeep-demo-"))
    try:
        yield folder
    finally:
        if keep:
            narrator.title(f"Everything is kept in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _interrupted_by_signals() -> Iterator[None]:
    """The signals that ask us to end do what Ctrl-C does, so that everything is cleaned up."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
