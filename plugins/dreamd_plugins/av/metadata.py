"""What a film says of itself: its title, when and where it was taken, its chapters."""

from __future__ import annotations

from collections.abc import Mapping

_OF_THE_FILE = frozenset({"major_brand", "minor_version", "compatible_brands", "encoder", "duration"})
"""What FFmpeg tells of a file besides, in small letters: it is not true of another file."""

_PLACES = ("location", "gps", "xyz")
"""What the names of what says where a film was taken have in them, as phones write them."""

_OWN_NAMES = "com."
"""How the names begin that phones give to what they say; MP4 and MOV hold them where they are asked to."""


def carried(metadata: Mapping[str, str], wanted: str) -> dict[str, str]:
    """Return what a result says of itself.

    Args:
        metadata: what the source says.
        wanted: `keep`, `strip`, or `strip_location`, which leaves out where it was taken.
    """
    if wanted == "strip":
        return {}
    kept = {name: value for name, value in metadata.items() if name.lower() not in _OF_THE_FILE}
    if wanted == "strip_location":
        return {name: value for name, value in kept.items() if not any(part in name.lower() for part in _PLACES)}
    return kept


def has_own_names(metadata: Mapping[str, str]) -> bool:
    """Tell whether something of it has a name that a phone gave."""
    return any(name.startswith(_OWN_NAMES) for name in metadata)
