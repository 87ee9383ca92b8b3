"""How a recipe uses a thing that a plugin brings: its fields by the kind of thing. Knows no plugin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dreamd.plugin_host.catalogue import Entry
from dreamd.plugin_host.kinds import Kind


def fields_using(entry: Entry, choice: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a recipe that uses a thing, so that it can be seen.

    Args:
        entry: the thing; no decoder and nothing of the daemon, which no recipe names.
        choice: its name, with the values of its parameters.
    """
    if entry.kind is Kind.GRADIENT:
        return {"gradient": [choice, {"name": "normalize"}]}
    if entry.kind is Kind.PARAMETERIZATION:
        return {"parameterization": [choice]}
    if entry.kind is Kind.OPTIMIZER:
        return {"ascent": {"optimizer": choice, **({"jitter": 0} if entry.steady else {})}}
    if entry.kind is Kind.TRANSFORM:
        return {"transforms" if entry.differentiable else "finish": [choice]}
    return {str(entry.kind): choice}
