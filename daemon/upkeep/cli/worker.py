"""`upkeep worker`: what syncs, previews, deploys and tells."""

import os
import signal
import sys
from contextlib import ExitStack
from threading import Thread

import click

from upkeep.cli.acting import Desk, pass_desk
from upkeep.domain.errors import UpkeepError, reaction


@click.command()
@pass_desk
def worker(desk: Desk) -> None:
    """Do the work that is due: syncs, previews, deployments and notices. Several workers share it.

    Ends on SIGTERM: what it has begun is finished, or given back after a few seconds.
    """
    import structlog

    from upkeep import logs, wiring
    from upkeep.lifeline import end_with_parent, tell_ready

    settings = desk.settings
    logs.configure(settings.log.level, settings.log.format)
    told, tell = os.pipe()
    for number in (signal.SIGTERM, signal.SIGINT):
        # A handler may interrupt anything that holds a lock: it writes a byte, and nothing else.
        signal.signal(number, lambda *_: os.write(tell, b"."))
    end_with_parent()
    log = structlog.get_logger(__name__)
    all_ended = []
    with ExitStack() as stack:
        try:
            wiring.prepare(settings)
            crew = wiring.open_worker(settings, stack)
        except UpkeepError as error:
            log.error("the worker cannot start", reason=str(error))
            sys.exit(reaction(error).exit_code)
        except Exception:
            log.critical("the worker cannot start because of a bug", exc_info=True)
            sys.exit(1)

        def run() -> None:
            try:
                all_ended.append(crew.worker.run())
            finally:
                os.write(tell, b".")

        working = Thread(target=run, name="loop")
        working.start()
        crew.schedule.start()
        log.info("the worker is ready", **({"metrics": crew.metrics} if crew.metrics else {}))
        tell_ready()
        os.read(told, 1)
        log.info("the worker ends")
        crew.schedule.stop()
        crew.worker.stop()
        working.join()
    if not all(all_ended):
        # Threads that would not end hold no lease any more and must not keep the process alive.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
