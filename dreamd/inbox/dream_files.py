"""Dream files: recipes in an inbox that ask for a picture made from noise, by their name. Reads none of them."""

from __future__ import annotations

from dreamd.files.names import DREAM_SUFFIXES


def is_dream_file(name: str) -> bool:
    """Return whether a name or path is that of a dream file, such as `clouds.dream.yaml`."""
    return name.lower().endswith(DREAM_SUFFIXES)
