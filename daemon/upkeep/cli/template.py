"""`upkeep template`: templates and their bundles."""

import click


@click.group()
def template() -> None:
    """Templates and their bundles."""
