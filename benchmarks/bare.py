"""Dreams a folder of pictures one after the other in one process: what the daemon is measured by.

    python -m benchmarks.bare RECIPE IN OUT [--device cpu] [--plugins FOLDER]

Decodes, dreams and encodes with what a worker uses, and nothing else: no queue, no journal, no sync. Prints as JSON
when each picture was finished, in seconds since the epoch.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from dreamd.pictures.formats import output_format
from dreamd.pictures.writing import write_picture
from dreamd.plugin_host.host import Plugins
from dreamd.settings.recipes.recipe_book import RecipeBook
from dreamd.settings.sections import Limits
from dreamd.worker.machine.bounds import Bounds
from dreamd.worker.machine.device import choose_device, free_memory
from dreamd.worker.session import Session


def main() -> None:
    """Dream what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--plugins", type=Path, help="a folder of drop-in plugins")
    arguments = parser.parse_args()
    recipe = RecipeBook(None).for_file(arguments.recipe).recipe
    device, limits = choose_device(arguments.device), Limits()
    session = Session(
        Plugins("dreamd.engine", folders=[arguments.plugins] if arguments.plugins else []),
        device,
        Bounds(max_pixels=limits.max_pixels, max_bytes=limits.max_bytes, memory=free_memory(device.torch)),
    )
    built = session.build(recipe)
    finished = []
    for file in sorted(arguments.source.iterdir()):
        (dream,) = session.dream([session.read(file, recipe)], built, on_progress=lambda _progress: None)
        picture = dream.picture
        name, extension = output_format(recipe.output.format, picture.format)
        write_picture(picture, arguments.target / f"{file.stem}{extension}", format=name, quality=recipe.output.quality)
        finished.append(time.time())
    print(json.dumps(finished))


if __name__ == "__main__":
    main()
