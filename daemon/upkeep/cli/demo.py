"""`upkeep demo`: see the whole way of a change, on throw-away data."""

import sys

import click


@click.command()
@click.option("--headless", is_flag=True, help="Play the story to its end without anybody, and check every step.")
@click.option("--port", type=click.IntRange(1, 65535), help="The port of the pages. Otherwise a free one.")
@click.option("--keep", is_flag=True, help="Keep the folder with everything in it at the end.")
def demo(headless: bool, port: int | None, keep: bool) -> None:
    """Play the second day of a platform team with a real daemon, on throw-away data.

    Pushes template changes to a git repository and stops where a person decides: sign in, review, publish, update.
    Ctrl-C ends it and removes everything.
    """
    from upkeep.demo.play import play

    play(headless=headless, port=port, keep=keep, stream=sys.stdout)
