"""The same file has one path beside the daemon and another beside a worker elsewhere: each is told its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dreamd.json_text import to_json
from dreamd.messages import Said, from_worker


def with_paths(value: Any, near_to_far: Mapping[str, str]) -> Any:
    """Return what JSON has, with each text that is a path of a mapping replaced by the other."""
    return _mapped(value, lambda text: near_to_far.get(text, text))


def recipe_with_paths(recipe: str, near_to_far: Mapping[str, str]) -> str:
    """Return a recipe in JSON with the paths of a mapping replaced."""
    return to_json(with_paths(json.loads(recipe), near_to_far)) if near_to_far else recipe


def texts_of(value: Any, key: str = "") -> list[tuple[str, str]]:
    """List every text in what JSON has, with the key that it stands under; in a list, the list's key."""
    if isinstance(value, str):
        return [(key, value)]
    if isinstance(value, dict):
        return [pair for inner, each in value.items() for pair in texts_of(each, inner)]
    if isinstance(value, list):
        return [pair for each in value for pair in texts_of(each, key)]
    return []


def said_near(message: Said, far_to_near: Sequence[tuple[str, str]]) -> Said:
    """Return what a worker said with the daemon's paths, wherever in a text they stand.

    Args:
        message: what it said.
        far_to_near: paths beside the worker, each with the daemon's; those that go deeper come first.
    """
    values = message.model_dump(mode="json")

    def near(text: str) -> str:
        for far, its_near in far_to_near:
            text = text.replace(far, its_near)
        return text

    mapped = _mapped(values, near)
    return message if mapped == values else from_worker(to_json(mapped).encode())


def _mapped(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {change(key): _mapped(each, change) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_mapped(each, change) for each in value]
    return value
