"""What a recipe can be chosen by: its name, what it makes in a sentence, a small picture, and what it takes.

Reads files: call it from a thread. Knows no torch: where weights come from is what ships of dreamd's own plugins.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Literal

from dreamd.errors import RecipeError, WeightsError
from dreamd.page.recipes.editor import Recipes
from dreamd.plugin_host.finding.known_sources import sources_of_plugins
from dreamd.settings.config import Config
from dreamd.settings.recipes.recipe import BackboneChoice
from dreamd.settings.recipes.recipe_book import RecipeBook, leading_comment, preset_comment, preset_names
from dreamd.weights import cache as weights_cache
from dreamd.weights.sources import Source
from dreamd.wording import printable

WeightsHere = Literal["here", "missing", "unknown"]
"""Whether a network's weights are here; `unknown`: a plugin that is not dreamd's own brings it."""

UNDREAMED = "undreamed"
"""The name of the picture that all samples are dreams of."""

_COMMENT_CHARACTERS = 2000
"""The most characters of a named recipe that are read for what it says of itself."""


@dataclass(frozen=True, kw_only=True)
class NetworkNeeded:
    """A network that a recipe dreams with.

    Attributes:
        name: the backbone's name.
        weights: whether its weights are here.
    """

    name: str
    weights: WeightsHere


@dataclass(frozen=True, kw_only=True)
class RecipeCard:
    """A preset or a named recipe, as it is chosen by.

    Attributes:
        name: its name, as `extends` takes it.
        kind: `preset` ships with dreamd; `named` stands in the folder of named recipes.
        words: what it makes, as the comment at its beginning says; "" where it says nothing.
        networks: what it dreams with, by the config's defaults where it names none.
        sample: a mark that changes with its small picture; None where it has none.
        problem: why it cannot be used; None where it can.
    """

    name: str
    kind: Literal["preset", "named"]
    words: str
    networks: tuple[NetworkNeeded, ...]
    sample: str | None
    problem: str | None


class RecipeCards:
    """The presets and named recipes of one tree, to be chosen from."""

    def __init__(self, config: Config, recipes: Recipes) -> None:
        self._recipes = recipes
        self._plugins = config.plugins

    def cards(self) -> list[RecipeCard]:
        """List a card for each, the presets first."""
        book = self._recipes.book()
        sources = sources_of_plugins(self._plugins.engine, self._plugins.disable)
        return [_card(name, place, book, sources) for name, place in book.names().items()]


def _card(name: str, place: Path | str, book: RecipeBook, sources: Mapping[str, Source | None]) -> RecipeCard:
    networks: tuple[NetworkNeeded, ...] = ()
    problem = None
    try:
        dreams = book.for_name(name).recipe.dreams
        needed = {dream.backbone.name: dream.backbone for _, dream in dreams}
        networks = tuple(NetworkNeeded(name=each, weights=_weights(choice, sources)) for each, choice in needed.items())
    except RecipeError as error:
        problem = printable(str(error))
    return RecipeCard(
        name=name,
        kind="named" if isinstance(place, Path) else "preset",
        words=printable(_comment_of(place)) if isinstance(place, Path) else preset_comment(name),
        networks=networks,
        sample=_samples().get(name) if not isinstance(place, Path) else None,
        problem=problem,
    )


def _weights(choice: BackboneChoice, sources: Mapping[str, Source | None]) -> WeightsHere:
    if choice.weights == "random":
        return "here"
    if choice.weights != "default":
        return "here" if Path(choice.weights).is_file() else "missing"
    source = sources.get(choice.name)
    if source is None:
        return "unknown"
    try:
        return "here" if weights_cache.find(source).state in ("cached", "packaged") else "missing"
    except WeightsError:
        return "unknown"


def sample_file(name: str) -> Path | None:
    """Return the small picture of a preset, or `UNDREAMED` itself; None where there is none."""
    return _folder() / f"{name}.webp" if name in _samples() or name == UNDREAMED else None


@cache
def _samples() -> dict[str, str]:
    """Return the presets that have a small picture, each with what changes with it."""
    recipes: dict[str, str] = json.loads((_folder() / "made.json").read_bytes())["recipes"]
    return {name: digest for name, digest in recipes.items() if name in preset_names()}


def _comment_of(file: Path) -> str:
    try:
        with file.open(encoding="utf-8", errors="replace") as stream:
            return leading_comment(stream.read(_COMMENT_CHARACTERS))
    except OSError:
        return ""  # the card's problem says it


def _folder() -> Path:
    return Path(str(files("dreamd") / "presets" / "samples"))
