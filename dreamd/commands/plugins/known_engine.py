"""The engine's plugins as commands see them: what is known of them, and themselves only where that does not do.

To load them takes torch, which takes seconds. What was found out about the same plugins before is remembered.
What there is to know of dreamd's own plugins ships with it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from dreamd.commands.plugins.loading import bare_network, daemon_catalogue, engine_plugins
from dreamd.commands.terminal.progress import waiting
from dreamd.plugin_host.catalogue import Catalogue, merged
from dreamd.plugin_host.finding.known_sources import known_sources, remember_sources
from dreamd.plugin_host.finding.memory import memory_of
from dreamd.plugin_host.finding.shipped import Shipped
from dreamd.settings.recipes.layer_names import check_layer_names
from dreamd.weights.sources import Source

if TYPE_CHECKING:
    from dreamd.engine.network.backbone import Backbone
    from dreamd.plugin_host.host import Plugins
    from dreamd.settings.config import Config
    from dreamd.settings.recipes.recipe import BackboneChoice, Recipe


class KnownEngine:
    """The engine's plugins of a config."""

    def __init__(self, config: Config | None, plugins: Plugins | None = None) -> None:
        """Load nothing yet; `plugins` are the config's, where they are loaded already."""
        self._config = config
        if plugins is not None:
            self.__dict__["plugins"] = plugins
        folders, disable = (config.plugins.engine, config.plugins.disable) if config else ((), ())
        self._memory = memory_of("dreamd.engine", folders, disable)
        self._shipped = Shipped("dreamd.engine", folders, disable)

    @cached_property
    def plugins(self) -> Plugins:
        """The plugins, loaded."""
        with waiting("loading torch and the plugins"):
            plugins = engine_plugins(self._config)
        if self._is_worth_keeping(plugins.catalogue):
            self._memory.keep("catalogue", plugins.catalogue.model_dump(mode="json"))
        return plugins

    @cached_property
    def catalogue(self) -> Catalogue:
        """What the plugins bring."""
        known = None if "plugins" in self.__dict__ else self.known_catalogue()
        return self.plugins.catalogue if known is None else known

    def known_catalogue(self) -> Catalogue | None:
        """Return what the plugins bring as far as it is known without loading them; None where it is not."""
        try:
            return Catalogue.model_validate(self._memory.recall("catalogue"))
        except ValidationError:  # nothing is known, or nothing that this dreamd understands
            return self._shipped.catalogue

    def whole_catalogue(self) -> Catalogue:
        """List what all plugins bring, the engine's and the daemon's."""
        return merged([self.catalogue, daemon_catalogue(self._config)])

    def default_layer(self, choice: BackboneChoice) -> str | None:
        """Return the layer of recipes that name none. Raises UnknownNameError, PluginError."""
        default: str | None = self._outline(choice)["default"]
        return default

    def described_layers(self, choice: BackboneChoice) -> list[dict[str, Any]]:
        """Return the layers in the order they run: as `engine.backbone.Layer` has them, and which is the default.

        Raises:
            UnknownNameError: there is no such backbone.
            PluginError: its plugin fails.
        """
        name = f"layers-{_digest(choice)}"
        known = self._memory.recall(name)
        if isinstance(known, list):
            return known
        if shipped := self._shipped_network(choice):
            return _rows(shipped["layers"], shipped["default"])
        network = self.network(choice)
        with waiting(f"looking at {choice.name}"):
            known = _rows(map(asdict, network.describe_layers()), network.default_layer)
        self._memory.keep(name, known)
        return known

    def labels(self, choice: BackboneChoice) -> list[str]:
        """Return the names of a backbone's classes, by channel. Raises UnknownNameError, PluginError."""
        name = f"labels-{_digest(choice)}"
        known = self._memory.recall(name)
        if isinstance(known, list):
            return known
        if shipped := self._shipped_network(choice):
            return list(shipped["labels"])
        known = list(self.network(choice).class_labels())
        self._memory.keep(name, known)
        return known

    def known_layers(self, choice: BackboneChoice) -> list[str]:
        """Return the names of a backbone's layers as far as they are known, without finding out anything."""
        outline = self._memory.recall(f"outline-{_digest(choice)}")
        if isinstance(outline, dict) and isinstance(outline.get("layers"), list):
            return [str(name) for name in outline["layers"]]
        described = self._memory.recall(f"layers-{_digest(choice)}")
        if not isinstance(described, list):
            described = (self._shipped_network(choice) or {}).get("layers", [])
        return [str(layer["name"]) for layer in described]

    def check_layers(self, dream: Recipe) -> None:
        """Check that the layers of a dream exist. Raises RecipeError, with the field."""
        check_layer_names(dream, self._outline(dream.backbone)["layers"])

    def network(self, choice: BackboneChoice) -> Backbone:
        """Build a backbone's network without its weights. Raises UnknownNameError, PluginError."""
        plugins = self.plugins  # which shows that it is loading, and two displays at once cannot be
        with waiting(f"building {choice.name}"):
            return bare_network(choice, plugins)

    def source(self, name: str) -> Source | None:
        """Return the default weights of a backbone's name.

        Raises:
            UnknownNameError: there is no such backbone.
            WeightsError: its plugin is wrong about them.
            PluginError: the same.
        """
        return self._sources[name] if name in self._sources else self._ask_for_source(name)

    @cached_property
    def _sources(self) -> dict[str, Source | None]:
        """The default weights of backbones as far as they are known: what ships, and over it what was found out."""
        return known_sources(self._shipped, self._memory)

    def remember_sources(self, sources: dict[str, Source | None]) -> None:
        """Remember the default weights of backbones."""
        remember_sources(self._memory, sources)

    def _ask_for_source(self, name: str) -> Source | None:
        from dreamd.plugin_host.kinds import Kind

        return self.plugins.get(Kind.BACKBONE, name).source(name)

    def _outline(self, choice: BackboneChoice) -> dict[str, Any]:
        """Return the names of a backbone's layers, and its default layer."""
        name = f"outline-{_digest(choice)}"
        known = self._memory.recall(name)
        if isinstance(known, dict) and known.keys() == {"layers", "default"}:
            return known
        if shipped := self._shipped_network(choice):
            return {"layers": [layer["name"] for layer in shipped["layers"]], "default": shipped["default"]}
        network = self.network(choice)
        known = {"layers": list(network.layers or ()), "default": network.default_layer}
        self._memory.keep(name, known)
        return known

    def _shipped_network(self, choice: BackboneChoice) -> dict[str, Any] | None:
        """Return what ships of a network; None where nothing does, or parameters make another network of it."""
        return None if choice.parameters else self._shipped.network(choice.name)

    @staticmethod
    def _is_worth_keeping(catalogue: Catalogue) -> bool:
        """Return whether no plugin failed: what failed may work the next time."""
        return all(problem.deliberate for problem in catalogue.problems)


def _rows(layers: Iterable[Mapping[str, Any]], default: str | None) -> list[dict[str, Any]]:
    """Return layers, each with whether it is the default."""
    return [{**layer, "default": layer["name"] == default} for layer in layers]


def _digest(choice: BackboneChoice) -> str:
    """Return what names a network without its weights."""
    text = json.dumps([choice.name, choice.parameters], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
