"""The process that looks for a recipe in a picture: `python -m dreamd.page.carried.reader PARENT_PID MAX_BYTES FILE`.

The picture is anybody's, so it is looked into by a process of its own, with limits, that has nothing to lose. Writes
one line of JSON: the recipe's text, null where there is none.
"""

from __future__ import annotations

import sys
from pathlib import Path

from dreamd.errors import DreamdError
from dreamd.json_text import to_json
from dreamd.pictures.descriptions.recipe import may_hold_recipe, read_recipe
from dreamd.processes import confine, die_with_parent

_MEMORY_BYTES = 2 << 30
"""The bytes of address space that the process may have; no pixel is decoded."""


def main() -> None:
    """Look into one file."""
    die_with_parent(int(sys.argv[1]))
    max_bytes, file = int(sys.argv[2]), Path(sys.argv[3])
    confine(memory_bytes=_MEMORY_BYTES + max_bytes, output_bytes=0)
    try:
        recipe = read_recipe(file, max_bytes=max_bytes) if may_hold_recipe(file) else None
    except (DreamdError, MemoryError):  # it is dreamed or refused as any other file; here it just holds no recipe
        recipe = None
    sys.stdout.write(to_json(recipe) + "\n")


if __name__ == "__main__":
    main()
