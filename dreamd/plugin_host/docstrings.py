"""What docstrings in Google's style say of arguments and attributes, as data."""

from __future__ import annotations

import re


def documented(docstring: str, section: str) -> dict[str, str]:
    """Read a section of a docstring, `Args` or `Attributes`: what it says of each name, on one line."""
    _, _, rest = docstring.partition(f"\n{section}:\n")
    lines = re.split(r"\n\S", rest, maxsplit=1)[0]
    found = re.findall(r"^ {4}(\w+)(?: \([^)]*\))?:\s*(.*(?:\n {5,}.*)*)", lines, flags=re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in found}


def summary(docstring: str) -> str:
    """Return what stands in a docstring before its first section."""
    return re.split(r"\n(?:Args|Attributes|Returns|Raises):\n", docstring, maxsplit=1)[0].strip()
