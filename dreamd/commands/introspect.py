"""What the commands `recipe`, `plugins`, `layers` and `weights` find out. Loads the engine's plugins, and so torch."""

from __future__ import annotations

import logging
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from dreamd.commands.progress import progress
from dreamd.engine.backbone import Backbone, Layer
from dreamd.errors import RecipeError, UnknownNameError, UsageError, WeightsError
from dreamd.plugin_host.catalogue import Catalogue, Entry, merged
from dreamd.plugin_host.host import Plugins
from dreamd.plugin_host.kinds import Group, Kind
from dreamd.settings.config import Config
from dreamd.settings.explaining import ExplainedField
from dreamd.settings.explaining import explain as explain_fields
from dreamd.settings.merging import Resolved
from dreamd.settings.recipe import BackboneChoice
from dreamd.settings.recipe_book import RECIPE_FILES, RecipeBook, recipe_file
from dreamd.weights import cache, fetching, sources
from dreamd.wording import printable
from dreamd.worker.builder import build_network, layer_modules

log = logging.getLogger(__name__)


def engine_plugins(config: Config | None) -> Plugins:
    """The engine's plugins, those in the config's folders included."""
    folders, disable = (config.plugins.engine, config.plugins.disable) if config else ((), ())
    return _loaded("dreamd.engine", folders, disable)


def engine_catalogue(config: Config | None) -> Catalogue:
    """What the engine's plugins bring."""
    return engine_plugins(config).catalogue


def all_plugins(config: Config | None) -> Catalogue:
    """What all plugins bring, the daemon's included."""
    return merged([engine_catalogue(config), daemon_catalogue(config)])


def daemon_catalogue(config: Config | None) -> Catalogue:
    """What the daemon's plugins bring."""
    folders, disable = (config.plugins.daemon, config.plugins.disable) if config else ((), ())
    return _loaded("dreamd.daemon", folders, disable).catalogue


def _loaded(group: Group, folders: Sequence[Path], disable: Collection[str]) -> Plugins:
    with redirect_stdout(sys.stderr):  # what a plugin prints is no part of a command's output, which may be JSON
        return Plugins(group, folders=folders, disable=disable)


def plugin_entries(name: str, config: Config | None) -> list[Entry]:
    """Everything of that name, whatever its kind, or brought by the plugin of that name.

    Raises:
        UnknownNameError: there is nothing of that name.
    """
    entries = all_plugins(config).entries
    found = [entry for entry in entries if name in (entry.name, entry.plugin)]
    exact = [entry for entry in found if entry.name == name]
    if not found:
        raise UnknownNameError("plugin", name, sorted({entry.name for entry in entries}))
    return exact or found


def recipe_names(config: Config | None) -> dict[str, Path | str]:
    """The names that `extends` knows, and where each stands."""
    return _book(config).names()


def check_recipes(path: Path, config: Config | None) -> Iterator[tuple[str, bool]]:
    """A line for every recipe file at `path` or below it, and whether it is right; one that many inherit is told once.

    Raises:
        UsageError: there is no recipe.
    """
    names = [str(file) for file in recipe_files(path)] if path.is_dir() else [str(path)]
    if not names:
        raise UsageError(f"{path}: there is no recipe.yaml in it or below it")
    plugins = engine_plugins(config)
    told = set()
    for name in names:
        try:
            check_whole(find_recipe(name, config), plugins)
        except UsageError as error:
            if str(error) not in told:
                yield str(error), False
            told.add(str(error))
        else:
            yield f"{name}: ok", True


def recipe_files(folder: Path) -> list[Path]:
    """Every recipe file in a folder and below it."""
    return sorted(file for name in RECIPE_FILES for file in folder.rglob(name))


def explain(name: str, config: Config | None) -> list[ExplainedField]:
    """Explain every effective field of a recipe. Raises RecipeError."""
    plugins = engine_plugins(config)
    resolved = find_recipe(name, config)
    check_whole(resolved, plugins)
    fields = explain_fields(resolved, plugins.catalogue)
    if resolved.recipe.layers is not None:
        return fields
    layer = _network(resolved.recipe.backbone, plugins).default_layer
    return [replace(field, value=layer) if field.name == "layers" else field for field in fields]


def describe_layers(name: str, config: Config | None) -> tuple[list[Layer], str | None]:
    """A backbone's layers in the order they run, and the name of its default. Raises UnknownNameError."""
    network = _network(BackboneChoice(name=name), engine_plugins(config))
    return network.describe_layers(), network.default_layer


@dataclass(frozen=True, kw_only=True)
class WeightsRow:
    """A backbone's default weights. `state` is cached, packaged, partial, missing or damaged."""

    backbone: str
    state: str
    size: int | None
    path: str
    sha256: str | None

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


def weights_rows(backbones: Sequence[str], config: Config | None) -> list[WeightsRow]:
    """Whether the weights of these backbones, or of all with a name of their own, are here."""
    rows = []
    for name, source in _sources(backbones, config, all_if_none=True):
        found = cache.find(source)
        rows.append(
            WeightsRow(
                backbone=name, state=found.state, size=found.size, path=str(found.path), sha256=found.sha256 or None
            )
        )
    return rows


def fetch_weights(backbones: Sequence[str], config: Config | None) -> Iterator[str]:
    """Fetch weights; yields a line for each. Raises WeightsError."""
    for name, source in _sources(backbones, config, all_if_none=False):
        with progress(f"weights of {name}") as show:
            path = fetching.fetch(
                source,
                backbone=name,
                on_bytes=lambda done, total: show(
                    done / total if total else 0, f"{done / 1e6:.0f} of {(total or 0) / 1e6:.0f} MB"
                ),
            )
        yield f"{name}: {path}"


def verify_weights(backbones: Sequence[str], config: Config | None) -> Iterator[tuple[str, bool]]:
    """A line for each file of weights that is here, and whether it is sound; for those asked for also if missing."""
    for name, source in _sources(backbones, config, all_if_none=True):
        state = cache.find(source).state
        if state in ("missing", "partial"):
            if backbones:
                yield f"{name}: {state}; `dreamd weights fetch {name}` brings them", False
            continue
        try:
            yield f"{name}: ok, sha256 {cache.verify(source)}", True
        except WeightsError as error:
            yield f"{name}: {error}", False


def _sources(
    backbones: Sequence[str], config: Config | None, *, all_if_none: bool
) -> Iterator[tuple[str, sources.Source]]:
    plugins = engine_plugins(config)
    names = list(backbones)
    if not names and all_if_none:
        names = [name for name in plugins.catalogue.names(Kind.BACKBONE) if "*" not in name]
    elif not names:
        names = [_book(config).for_default().recipe.backbone.name]
    for name in names:
        try:
            source = plugins.get(Kind.BACKBONE, name).source(name)
        except WeightsError as error:
            if backbones:
                raise
            log.warning("%s: %s", name, error)  # one plugin's mistake keeps nobody from the others
            continue
        if source is not None:
            yield name, source
        elif backbones:
            raise WeightsError(f"{name} has no default weights; a recipe gives it `weights: PATH`")


def _book(config: Config | None) -> RecipeBook:
    return config.recipe_book() if config else RecipeBook(None)


def find_recipe(name: str, config: Config | None) -> Resolved:
    """The recipe of a file, of a folder or picture in the inbox, or of a name. Raises UsageError, RecipeError."""
    book = _book(config)
    path = Path(name).absolute()
    if not path.exists():
        if "/" in name or path.suffix:
            raise UsageError(f"{name}: there is no such file or folder")
        return book.for_name(name)
    folder = path if path.is_dir() else path.parent
    if config is not None and (folder == config.inbox or config.inbox in folder.parents):
        return book.for_folder(PurePosixPath(folder.relative_to(config.inbox)))
    file = recipe_file(path) if path.is_dir() else path
    if file is None:
        raise UsageError(f"{name}: has no recipe.yaml, and is no folder of an inbox (give its --config)")
    if file.suffix not in (".yaml", ".yml", ".json"):
        raise UsageError(f"{name}: is no recipe, and no picture in an inbox (give its --config)")
    return book.for_file(file)


def check_whole(resolved: Resolved, plugins: Plugins) -> None:
    """Check names, parameters, layers and whether a file of weights is there. Raises RecipeError.

    The network is built to know its layers, without its weights.
    """
    recipe = resolved.recipe
    resolved.check(plugins.catalogue)
    with resolved.locating():
        if recipe.layers is not None:
            layer_modules(recipe, _network(recipe.backbone, plugins))
        file = recipe.backbone.weights
        if file not in ("default", "random") and not Path(file).is_file():
            raise RecipeError(f"there is no file {printable(file)}", field=("backbone", "weights"))


def _network(choice: BackboneChoice, plugins: Plugins) -> Backbone:
    registered = plugins.get(Kind.BACKBONE, choice.name)
    with redirect_stdout(sys.stderr):
        return build_network(registered, choice.name, choice.parameters)
