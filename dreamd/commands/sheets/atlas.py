"""`dreamd atlas`: what every layer of a network dreams, on one sheet."""

from __future__ import annotations

import sys

import click

from dreamd.commands.sheets.making import Wanted, file_name, make, sheet_options
from dreamd.commands.terminal.completing import complete_backbone, complete_layer


@click.command()
@click.argument("backbone", shell_complete=complete_backbone)
@click.option(
    "--layer",
    shell_complete=complete_layer,
    help="Dream the channels of this layer, by its name or number, in place of the layers.",
)
@click.option(
    "--channels",
    metavar="RANGES",
    help="Which channels of the layer: 0-63; 3,17,40-47; of classes also by label: peacock,macaw (default: 0-63).",
)
@click.option("--all", "every", is_flag=True, help="Dream every layer, and not only those that stand for the others.")
@sheet_options
def atlas(backbone: str, layer: str | None, channels: str | None, every: bool, wanted: Wanted) -> None:
    """Dream every layer of BACKBONE onto one labelled sheet.

    With --layer, every channel of that layer. A network of hundreds of layers is shown by the outputs of its blocks.
    What is dreamed is kept: the same command goes on where it was broken off, and dreams only what is new.
    """
    from dreamd.commands.plugins.loading import bare_network
    from dreamd.settings.recipes.merging import resolve
    from dreamd.sheets.atlas import over_for_atlas, plan_channels, plan_layers

    if layer is None and channels is not None:
        raise click.UsageError("--channels needs --layer: which layer's?")
    if layer is not None and every:
        raise click.UsageError("--all is for layers, and --layer for the channels of one")
    plugins = wanted.plugins()
    base = wanted.base("classic", *over_for_atlas(backbone, quick=wanted.recipe_name is None))
    network = bare_network(resolve(base).recipe.backbone, plugins)
    if layer is None:
        plan = plan_layers(base, backbone, network, every=every)
        sys.exit(make(plan, wanted, plugins, file_name("atlas", backbone)))
    which = int(layer) if layer.isdecimal() else layer
    plan = plan_channels(base, backbone, network, layer=which, channels=channels)
    sys.exit(make(plan, wanted, plugins, file_name("atlas", backbone, layer)))
