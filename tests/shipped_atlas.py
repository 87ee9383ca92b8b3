"""Makes the atlases that ship: what each layer of an embedded network makes of the portrait, as small tiles.

`python tests/shipped_atlas.py` writes them; it takes a minute. The page shows them where no atlas was made yet.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

from PIL import Image

from dreamd.plugin_host.host import Plugins
from dreamd.settings.config import load_config
from dreamd.sheets.studio.atlases import make_atlas
from dreamd.sheets.studio.orders import Report, session_of
from dreamd.studio import AtlasOrder, Going

FOLDER = Path(__file__).parents[1] / "dreamd" / "sheets" / "shipped"
NETWORKS = ("efficientnet_lite0",)

_QUALITY = 74
"""The WebP quality of a tile: all of a network's together are to stay under 300 KB."""


def main() -> None:
    """Make the atlas of each embedded network, and write its tiles."""
    with tempfile.TemporaryDirectory() as root:
        file = Path(root) / "config.yaml"
        file.write_text("defaults: {precision: fp32}\n")
        config = load_config(file)
        plugins = Plugins("dreamd.engine", folders=(), disable=())
        session = session_of(config, plugins)
        for network in NETWORKS:
            order = AtlasOrder(id=network, backbone=network)
            make_atlas(session, plugins, config, order, Report(network, show, lambda: False))
            write(network, config.state / "sheets")
            shutil.rmtree(config.state)


def show(going: Going) -> None:
    """Print how far an atlas is."""
    print(f"{going.share:4.0%} {going.words}", flush=True)


def write(network: str, sheets: Path) -> None:
    """Write the tiles of a network's atlas, out of the folder of sheets in which it was made."""
    (record,) = (json.loads(file.read_bytes()) for file in sheets.glob("atlas-*.json"))
    target = FOLDER / network
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    layers = {}
    for cell in record["cells"]:
        if cell["state"] != "done":
            continue
        (layer,) = cell["values"]
        layers[layer] = f"{layer}.webp"
        with Image.open(sheets / cell["thumbnail"]) as tile:
            tile.save(target / layers[layer], "WEBP", quality=_QUALITY, method=6)
    (target / "atlas.json").write_text(json.dumps({"layers": layers}, indent=1) + "\n")


if __name__ == "__main__":
    main()
