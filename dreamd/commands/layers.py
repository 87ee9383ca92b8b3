"""`dreamd layers`: what there is to look at in a backbone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from dreamd.commands.terminal.completing import complete_backbone
from dreamd.commands.terminal.options import config_option, config_or_none, json_option
from dreamd.commands.terminal.printing import print_json, print_lines
from dreamd.errors import UnknownNameError


@click.command()
@click.argument("backbone", shell_complete=complete_backbone)
@click.option("--labels", "word", metavar="WORD", help="List the classes with WORD in their names, or all for ''.")
@config_option
@json_option
def layers(backbone: str, word: str | None, config_file: Path, as_json: bool) -> None:
    """List a backbone's layers in the order they run.

    With the shape of the activation for a picture of 224 by 224 pixels, the stride, and how many pixels across a cell
    sees. With --labels, list instead the classes that a recipe may name as channels of the layer with their scores.
    """
    from dreamd.commands.plugins.known_engine import KnownEngine
    from dreamd.settings.recipes.recipe import BackboneChoice

    engine, choice = KnownEngine(config_or_none(config_file)), BackboneChoice(name=backbone)
    if word is not None:
        _show_labels(word, engine.labels(choice), backbone, as_json)
        return
    described = engine.described_layers(choice)
    if as_json:
        print_json([{"number": number, **row} for number, row in enumerate(described, 1)])
    else:
        print_lines(_lines(described))


def _show_labels(word: str, labels: Sequence[str], backbone: str, as_json: bool) -> None:
    """Show the classes with a word in their names. Raises UnknownNameError when there is none."""
    from dreamd.settings.recipes.labels import search

    found = search(word, labels)
    if not found:
        raise UnknownNameError(f"label of {backbone}", word, labels)
    if as_json:
        print_json([{"channel": channel, "label": label} for channel, label in found])
    else:
        print_lines(f"{channel:>5}  {label}" for channel, label in found)


def _lines(described: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Draw a table of layers; the default of recipes that name none is marked."""
    width = max((len(layer["name"]) for layer in described), default=0)
    yield f"{'#':>4}  {'layer':<{width}}  {'shape':<16} {'stride':>6} {'sees':>6}"
    for number, layer in enumerate(described, 1):
        shape = "×".join(map(str, layer["shape"]))
        mark = "  default" if layer["default"] else ""
        field = layer["receptive_field"] or "all"
        yield f"{number:>4}  {layer['name']:<{width}}  {shape:<16} {layer['stride'] or '-':>6} {field:>6}{mark}"
