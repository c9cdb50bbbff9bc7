"""`upkeep completion`: what a shell needs to complete commands."""

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print a script that completes commands. In bash: eval "$(upkeep completion bash)"."""
    found = get_completion_class(shell)
    if found is not None:
        click.echo(found(context.find_root().command, {}, "upkeep", "_UPKEEP_COMPLETE").source())
