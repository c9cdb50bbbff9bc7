"""`upkeep web`: the web server alone."""

import os
import sys

import click

from upkeep.cli.acting import Desk, pass_desk

GUNICORN = ("-P", "-m", "gunicorn", "--config", "python:upkeep.wsgi", "upkeep.wsgi:application()")
"""What python is called with to serve: gunicorn, configured by `upkeep.wsgi`."""


@click.command()
@pass_desk
def web(desk: Desk) -> None:
    """Serve pages and webhooks, without a worker. Becomes a gunicorn with the configuration's options."""
    from upkeep import settings, wiring

    wiring.require_named(desk.settings)
    if desk.config_path is not None:
        os.environ[settings.CONFIG_VARIABLE] = str(desk.config_path.absolute())
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, *GUNICORN])  # noqa: S606  (no shell on purpose)
