"""`dreamd sweep`: what the fields of a recipe do, on one sheet."""

from __future__ import annotations

import sys

import click

from dreamd.commands.sheets.making import Wanted, file_name, make, sheet_options

_PRESET = "animals"
"""The recipe when none is given: its network comes with dreamd."""


@click.command()
@click.argument("fields", metavar="FIELD=V1,V2,… [FIELD2=…]", nargs=-1, required=True)
@sheet_options
def sweep(fields: tuple[str, ...], wanted: Wanted) -> None:
    """Dream a picture by every combination of values onto one sheet.

    A FIELD is any of a recipe, dotted: ascent.lr=0.02,0.05 layers=[blocks.3.2],[blocks.4.2] gradient[0].sigma=0.5,1.
    Values are YAML; commas in brackets and quotes part none. Two fields or more give a table. What is dreamed is kept:
    the same command, or one with more values, dreams only what is new.
    """
    from dreamd.settings.recipes.sweeping import parse_axis
    from dreamd.sheets.axes import plan_sweep

    axes = [parse_axis(text) for text in fields]
    plan = plan_sweep(wanted.base(_PRESET), axes, wanted.book)
    sys.exit(make(plan, wanted, wanted.plugins(), file_name("sweep", *(axis.field for axis in axes))))
