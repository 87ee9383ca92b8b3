"""Writes docs/dreamd.1, the manual page, from the help of every command: `make man`."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

import click

from dreamd import __version__
from dreamd.cli import main

PAGE = Path(__file__).parents[1] / "docs" / "dreamd.1"


def man_page() -> str:
    """Return the manual page, as man(7) has it."""
    context = click.Context(main, info_name="dreamd", **main.context_settings)  # click keeps each help option it makes
    lines = [
        '.\\" Written by `make man` from the help of the commands.',
        f'.TH DREAMD 1 "" "dreamd {__version__}" "User Commands"',
        ".SH NAME",
        r"dreamd \- dream the pictures dropped into a folder",
        ".SH SYNOPSIS",
        *_usage(main, context),
        ".SH DESCRIPTION",
        *_text(main),
        ".SH OPTIONS",
        *_options(main, context),
        ".SH COMMANDS",
        *_commands(main, context),
        ".SH EXIT STATUS",
        *(".TP", "0", "done"),
        *(
            ".TP",
            "1",
            "the work failed: a picture, weights that cannot be had; something for doctor to mend; Ctrl-C",
        ),
        *(".TP", "2", "the usage, the config or a recipe is wrong"),
        ".SH ENVIRONMENT",
        *(".TP", "DREAMD_CONFIG", "the config file"),
        *(".TP", "DREAMD_LOG", "how the log is written: auto, human, json or journal"),
    ]
    return "\n".join(lines) + "\n"


def _commands(group: click.Group, context: click.Context) -> Iterator[str]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        inner = click.Context(command, parent=context, info_name=name)
        if isinstance(command, click.Group):
            yield from _commands(command, inner)
            continue
        yield f".SS {_escaped(inner.command_path)}"
        yield from _usage(command, inner)
        yield ".PP"
        yield from _text(command)
        yield from _options(command, inner)


def _usage(command: click.Command, context: click.Context) -> Iterator[str]:
    pieces = " ".join(command.collect_usage_pieces(context))
    yield f".B {_escaped(context.command_path)}"
    yield _escaped(pieces)


def _text(command: click.Command) -> Iterator[str]:
    for number, paragraph in enumerate(inspect.cleandoc(command.help or "").split("\n\n")):
        if number:
            yield ".PP"
        if paragraph.startswith("\b"):
            yield ".nf"
            yield from map(_escaped, paragraph.split("\n")[1:])
            yield ".fi"
        else:
            yield _escaped(" ".join(paragraph.split()))


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    for parameter in command.params:
        record = parameter.get_help_record(context)
        if record is not None and isinstance(parameter, click.Option):
            yield from (".TP", f".B {_escaped(record[0])}", _escaped(" ".join(record[1].split())))


def _escaped(text: str) -> str:
    """Escape what troff would take for its own."""
    text = text.replace("\\", r"\e").replace("-", r"\-")
    return rf"\&{text}" if text.startswith((".", "'")) else text


if __name__ == "__main__":
    PAGE.write_text(man_page(), encoding="utf-8")
