"""The command line: the names of its commands, and its errors as lines. Each command is a file in `commands/`.

Knows which module each command is in and loads it when it is needed. So `dreamd status` answers at once.
"""

from __future__ import annotations

import io
import logging
import os
import sys
from importlib import import_module
from typing import Any, NoReturn

import click

from dreamd import __version__
from dreamd.errors import DreamdError
from dreamd.files.problems import refusal
from dreamd.logs import QUIET_VARIABLE, STYLE_VARIABLE, LogStyle, configure
from dreamd.wording import printable

COMMANDS = {
    "init": "dreamd.commands.init",
    "run": "dreamd.commands.run",
    "drain": "dreamd.commands.run",
    "dream": "dreamd.commands.dream",
    "demo": "dreamd.commands.demo.command",
    "status": "dreamd.commands.status",
    "open": "dreamd.commands.page",
    "jobs": "dreamd.commands.jobs",
    "logs": "dreamd.commands.logs",
    "retry": "dreamd.commands.control",
    "cancel": "dreamd.commands.control",
    "dismiss": "dreamd.commands.control",
    "pause": "dreamd.commands.control",
    "resume": "dreamd.commands.control",
    "prune": "dreamd.commands.prune",
    "recipe": "dreamd.commands.recipes.command",
    "plugins": "dreamd.commands.plugins.command",
    "layers": "dreamd.commands.layers",
    "atlas": "dreamd.commands.sheets.atlas",
    "sweep": "dreamd.commands.sheets.sweep",
    "weights": "dreamd.commands.weights",
    "doctor": "dreamd.commands.doctor.command",
    "completion": "dreamd.commands.completion",
}
"""The module of each command, in the order of `dreamd --help`."""

LOGGING_COMMANDS = ("run", "drain")
"""These write a log, whose lines begin with the time; the others speak to a person."""


class CommandLine(click.Group):
    """The commands of COMMANDS, with dreamd's errors as lines and not as tracebacks."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's signature)
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in COMMANDS and cmd_name not in self.commands:
            in_module = vars(import_module(COMMANDS[cmd_name])).values()
            found = (value for value in in_module if isinstance(value, click.Command) and value.name == cmd_name)
            self.add_command(next(found))
        return super().get_command(ctx, cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS:
            for name in COMMANDS:  # click suggests the nearest of those that it knows
                self.get_command(ctx, name)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except DreamdError as error:
            self._end(ctx, str(error), error.exit_code)
        except BrokenPipeError:  # `dreamd jobs | head` has seen enough
            ctx.exit(0)
        except OSError as error:
            place = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
            self._end(ctx, f"{place}{refusal(error)}", DreamdError.exit_code)

    def _end(self, ctx: click.Context, text: str, exit_code: int) -> NoReturn:
        """Print an error's text and exit; with `--debug` let the error through, for its traceback."""
        if ctx.params.get("debug"):
            raise
        first, *others = map(printable, text.splitlines())
        click.echo("\n".join([f"dreamd: {first}", *others]), err=True)
        ctx.exit(exit_code)


@click.group(cls=CommandLine, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="dreamd")
@click.option("--debug", is_flag=True, help="Show tracebacks and debug messages.")
@click.option("--quiet", is_flag=True, help="Of the log only warnings and errors, and no progress.")
@click.option(
    "--log",
    "log_style",
    type=click.Choice([style.value for style in LogStyle]),
    default="auto",
    show_default=True,
    envvar=STYLE_VARIABLE,
    help="How the log is written; auto: for systemd's journal where that reads it, else for a person.",
)
@click.pass_context
def main(ctx: click.Context, debug: bool, quiet: bool, log_style: str) -> None:
    """Dream the pictures dropped into a folder (DeepDream, by recipe and plugin).

    Begin with `dreamd demo`, or with `dreamd init DIR`.
    """
    level = logging.DEBUG if debug else logging.WARNING if quiet else logging.INFO
    configure(
        LogStyle(log_style),
        level=level,
        human="%(asctime)s %(message)s" if ctx.invoked_subcommand in LOGGING_COMMANDS else "dreamd: %(message)s",
    )
    os.environ[STYLE_VARIABLE] = log_style  # for the workers
    os.environ[QUIET_VARIABLE] = "1" if quiet else ""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # in Latin-1 there is no arrow
