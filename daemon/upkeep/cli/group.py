"""The group of all commands: finds a noun's module when it is needed, and says what went wrong in one way."""

import errno
import importlib
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, TextIO, cast

import click

from upkeep.domain.errors import SettingsError, TransientError, UpkeepError, reaction
from upkeep.domain.terminals import harmless_but_colours

_INTERRUPTED = 130
_BEFORE_COMMANDS = ("--config", "--quiet", "-q")


class CommandLine(click.Group):
    """A click group whose commands are given as `name -> "module:attribute"`, in the order of the help."""

    def __init__(self, *args: Any, modules: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._modules = modules

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        place = self._modules.get(cmd_name)
        if place is None:
            return None
        module, _, attribute = place.partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as error:
            # click looks for similar names among the commands it has loaded, and those are none.
            raise click.NoSuchCommand(error.command_name, possibilities=self._modules, ctx=ctx) from error

    def main(  # type: ignore[override]  # the callers that want no exit use `invoke`
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any
    ) -> NoReturn:
        """Run a command line and exit: errors become lines on stderr and an exit code, never a trace."""
        extra.setdefault("color", False if os.environ.get("NO_COLOR") else None)
        extra["standalone_mode"] = False
        sys.stdout, sys.stderr = (_shown_safely(stream) for stream in (sys.stdout, sys.stderr))
        try:
            code = super().main(args, prog_name or "upkeep", **extra)
        except UpkeepError as error:
            report(error)
            sys.exit(reaction(error).exit_code)
        except click.UsageError as error:
            # 2 says "behind" here.
            if isinstance(error, click.NoSuchOption) and error.option_name in _BEFORE_COMMANDS:
                place = f"Write {error.option_name} before the command: upkeep {error.option_name} …"
                error = click.UsageError(place, error.ctx)
            error.show()
            sys.exit(1)
        except click.ClickException as error:
            error.show()
            sys.exit(error.exit_code)
        except (click.Abort, KeyboardInterrupt):
            click.echo("stopped", err=True)
            sys.exit(_INTERRUPTED)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                report(TransientError("no space is left where this writes", cure="free some, then run it again"))
                sys.exit(1)
            if error.errno != errno.EPIPE:
                _report_bug()
                sys.exit(1)
            # Whoever read our output has enough of it; nothing is left to be flushed at the end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        except Exception:
            _report_bug()
            sys.exit(1)
        sys.exit(code if isinstance(code, int) else 0)


def _shown_safely(stream: TextIO) -> TextIO:
    """A terminal on which nothing acts that others have written, such as the message of a commit."""
    return cast(TextIO, _Terminal(stream)) if stream.isatty() else stream


class _Terminal:
    """A stream that writes colours and texts, and no other control characters."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return self._stream.write(harmless_but_colours(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def report(error: UpkeepError) -> None:
    """Print an error on stderr: what happened, where, and how to mend it."""
    if isinstance(error, SettingsError):
        for fault in error.faults:
            click.echo(f"{click.style('error:', fg='red')} {fault}", err=True)
        return
    click.echo(f"{click.style('error:', fg='red')} {error.message}", err=True)
    if error.where:
        click.echo(f"where: {error.where}", err=True)
    if error.cure:
        click.echo(f"fix: {error.cure}", err=True)


def _report_bug() -> None:
    error = sys.exc_info()[1]
    click.echo(f"{click.style('error:', fg='red')} a bug in upkeep: {type(error).__name__}: {error}", err=True)
    if os.environ.get("UPKEEP_TRACE"):
        traceback.print_exc()
    else:
        click.echo("fix: run it again with UPKEEP_TRACE=1 in the environment, and report what it prints", err=True)
