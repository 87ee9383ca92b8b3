"""What the recipe of a folder needs that is not here: weights, known before a picture is dropped.

Reads files: call it from a thread. Knows no torch: what plugins bring, and where its weights come from, was found out
before.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath

from dreamd.errors import RecipeError, UsageError, WeightsError
from dreamd.files.names import parts_of
from dreamd.page.recipes.editor import Recipes
from dreamd.page.state import told_by_daemon
from dreamd.plugin_host.finding.known_sources import sources_of_plugins
from dreamd.settings.config import Config
from dreamd.tree.fetch_orders import order_fetch, source_told
from dreamd.tree.snapshot import Fetch
from dreamd.weights.cache import find
from dreamd.weights.sources import Download, Source


class WeightsNeeded:
    """Looks which weights are missing in one tree, and has them fetched."""

    def __init__(self, config: Config, recipes: Recipes) -> None:
        self._config = config
        self._recipes = recipes

    def of_folder(self, folder: str, text: str | None = None) -> list[Fetch]:
        """List the weights that the recipe of a folder needs and that are not here, as far as they are known.

        Args:
            folder: the folder.
            text: what its own recipe would be; None for what it is.

        Raises:
            UsageError: it is no folder of the inbox.
        """
        place = PurePosixPath(*parts_of(folder))
        try:
            book = self._recipes.book()
            dreams = (book.for_folder(place) if text is None else book.for_draft(place, text)).recipe.dreams
        except RecipeError:  # which shows where the recipe is looked at
            return []
        names = dict.fromkeys(dream.backbone.name for _, dream in dreams if dream.backbone.weights == "default")
        if not names:
            return []
        found = [self._missing(name, source) for name, source in self._sources(names).items()]
        return [each for each in found if each is not None]

    def fetch(self, backbone: str) -> str:
        """Have weights fetched; returns what to tell.

        Raises:
            UsageError: nobody knows where they come from, or the config forbids it.
        """
        return order_fetch(self._config, backbone, self._source(backbone))

    def _source(self, backbone: str) -> Download:
        source = self._sources([backbone])[backbone]
        if not isinstance(source, Download):
            raise UsageError(f"nobody knows here where the weights of {backbone!r} are: use `dreamd weights fetch`")
        return source

    def _sources(self, backbones: Iterable[str]) -> dict[str, Source | None]:
        """Return where the weights of backbones come from: as the daemon says, else as is known of plugins."""
        known = sources_of_plugins(self._config.plugins.engine, self._config.plugins.disable)
        fetches = (told_by_daemon(self._config) or {"fetches": []})["fetches"]
        told = {fetch["backbone"]: source_told(fetch) for fetch in fetches}
        return {name: told.get(name) or known.get(name) for name in backbones}

    def _missing(self, backbone: str, source: Source | None) -> Fetch | None:
        if not isinstance(source, Download):
            return None
        try:
            found = find(source)
        except WeightsError:
            return None
        if found.state not in ("missing", "partial"):
            return None
        return Fetch(
            backbone=backbone,
            state="missing",
            done=found.size,
            total=source.size or None,
            bytes_per_second=None,
            eta_seconds=None,
            problem=None,
            url=source.url,
            sha256=source.sha256,
            path=str(found.path),
            may_fetch=self._config.weights.fetch != "never",
        )
