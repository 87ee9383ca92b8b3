"""The atlas that ships shows the layers of the network that ships, and is small."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from dreamd.plugin_host.finding.shipped import Shipped
from dreamd.plugin_host.host import Plugins
from dreamd.plugin_host.kinds import Kind
from dreamd.sheets.atlas import choose_layers
from dreamd.worker.recipes.backbones import build_network
from tests.shipped_atlas import FOLDER, NETWORKS

MOST_BYTES = 400_000


@pytest.mark.parametrize("name", NETWORKS)
def test_it_shows_each_layer_that_an_atlas_would_show(name):
    plugins = Plugins("dreamd.engine", folders=(), disable=())
    network = build_network(plugins.get(Kind.BACKBONE, name), name, {})
    shown = json.loads((FOLDER / name / "atlas.json").read_bytes())["layers"]
    shapes = network.shapes()
    assert list(shown) == [layer for layer in choose_layers(network) if shapes[layer][1:] not in ((), (1, 1))]
    described = Shipped("dreamd.engine", (), ()).network(name)
    assert described is not None
    assert shown.keys() <= {layer["name"] for layer in described["layers"]}


@pytest.mark.parametrize("name", NETWORKS)
def test_its_tiles_are_all_there_and_small(name):
    layers = json.loads((FOLDER / name / "atlas.json").read_bytes())["layers"]
    for file in layers.values():
        with Image.open(FOLDER / name / file) as tile:
            assert (tile.format, tile.width) == ("WEBP", 192)
    assert {file.name for file in (FOLDER / name).glob("*.webp")} == set(layers.values())
    assert sum(file.stat().st_size for file in FOLDER.rglob("*") if file.is_file()) < MOST_BYTES
