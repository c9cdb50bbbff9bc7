"""`upkeep notify`: the channels that notices go to."""

import click

from upkeep.cli.acting import Desk, pass_desk


@click.group()
def notify() -> None:
    """Channels that notices go to."""


@notify.command()
@click.argument("channels", nargs=-1, metavar="[CHANNEL]...")
@pass_desk
def test(desk: Desk, channels: tuple[str, ...]) -> None:
    """Send a test notice to the named channels, or to all of them, and say whether it arrived."""
    from upkeep import wiring
    from upkeep.cli.group import report
    from upkeep.domain.errors import NotFound, UpkeepError
    from upkeep.domain.notices import Link, Notice, OwedNotice

    known = desk.settings.notices.channels
    for name in channels:
        if name not in known:
            raise NotFound(f"there is no channel `{name}`", cure=f"use one of {', '.join(known)}")
    opened = wiring.open_channels(desk.settings)
    now = desk.now
    failed = 0
    for name in channels or tuple(known):
        headline = "This is a test of the channel: notices of Upkeep arrive here"
        notice = Notice(f"test:{name}:{now.isoformat()}", name, headline, links=(Link("Upkeep", "/"),))
        try:
            opened.send(OwedNotice(0, notice, now), None)
        except UpkeepError as error:
            failed += 1
            click.echo(f"{name}: failed", err=True)
            report(error)
        else:
            desk.say(f"{name}: sent")
    if failed:
        raise click.exceptions.Exit(1)
