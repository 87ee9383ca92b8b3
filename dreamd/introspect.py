"""What the commands `recipe`, `plugins`, `layers` and `weights` find out. Loads the engine's plugins, and so torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from dreamd import weights
from dreamd.build import build_network, layer_modules
from dreamd.catalogue import Catalogue, Entry, Kind, merged
from dreamd.config import Config
from dreamd.engine.backbone import Layer
from dreamd.errors import RecipeError, UnknownNameError, UsageError, WeightsError
from dreamd.plugins import Plugins
from dreamd.progress import progress
from dreamd.recipe import RECIPE_FILES, RecipeBook, Resolved, check_recipe, explained, recipe_file


def engine_plugins(config: Config | None) -> Plugins:
    """The engine's plugins, those in the config's folders included."""
    if config is None:
        return Plugins("dreamd.engine")
    return Plugins("dreamd.engine", folders=config.plugins.engine, disable=config.plugins.disable)


def engine_catalogue(config: Config | None) -> Catalogue:
    """What the engine's plugins bring."""
    return engine_plugins(config).catalogue


def all_plugins(config: Config | None) -> Catalogue:
    """What all plugins bring, the daemon's included."""
    folders, disable = (config.plugins.daemon, config.plugins.disable) if config else ((), ())
    return merged([engine_catalogue(config), Plugins("dreamd.daemon", folders=folders, disable=disable).catalogue])


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


def check_recipes(path: Path, config: Config | None) -> Iterator[str]:
    """A line for every recipe file at `path` or below it that is right.

    Raises:
        RecipeError: of the first one that is wrong.
        UsageError: there is no recipe.
    """
    files = sorted(file for name in RECIPE_FILES for file in path.rglob(name)) if path.is_dir() else [path]
    if not files:
        raise UsageError(f"{path}: there is no recipe.yaml in it or below it")
    plugins = engine_plugins(config)
    for file in files:
        _check_whole(_resolved(str(file), config), plugins)
        yield f"{file}: ok"


def explain(name: str, config: Config | None) -> list[tuple[str, str, str]]:
    """Every effective field of a recipe as (name, value as JSON, origin). Raises RecipeError."""
    plugins = engine_plugins(config)
    resolved = _resolved(name, config)
    _check_whole(resolved, plugins)
    return explained(resolved, plugins.catalogue)


def describe_layers(name: str, config: Config | None) -> list[Layer]:
    """A backbone's layers in the order they run. Raises UnknownNameError."""
    registered = engine_plugins(config).get(Kind.BACKBONE, name)
    return build_network(registered, name, {}).describe_layers()


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
        state = weights.status(source)
        rows.append(
            WeightsRow(
                backbone=name, state=state.state, size=state.size, path=str(state.path), sha256=state.sha256 or None
            )
        )
    return rows


def fetch_weights(backbones: Sequence[str], config: Config | None) -> Iterator[str]:
    """Fetch weights; yields a line for each. Raises WeightsError."""
    for name, source in _sources(backbones, config, all_if_none=False):
        with progress(f"weights of {name}") as show:
            path = weights.fetch(
                source,
                backbone=name,
                progress=lambda done, total: show(
                    done / total if total else 0, f"{done / 1e6:.0f} of {(total or 0) / 1e6:.0f} MB"
                ),
            )
        yield f"{name}: {path}"


def verify_weights(backbones: Sequence[str], config: Config | None) -> Iterator[tuple[str, bool]]:
    """A line for each file of weights that is here, and whether it is sound; for those asked for also if missing."""
    for name, source in _sources(backbones, config, all_if_none=True):
        if not backbones and weights.status(source).state in ("missing", "partial"):
            continue
        try:
            yield f"{name}: ok, sha256 {weights.verify(source)}", True
        except WeightsError as error:
            yield f"{name}: {error}", False


def _sources(
    backbones: Sequence[str], config: Config | None, *, all_if_none: bool
) -> Iterator[tuple[str, weights.Source]]:
    plugins = engine_plugins(config)
    names = list(backbones)
    if not names and all_if_none:
        names = [name for name in plugins.catalogue.names(Kind.BACKBONE) if "*" not in name]
    elif not names:
        names = [_book(config).for_default().recipe.backbone.name]
    for name in names:
        source = plugins.get(Kind.BACKBONE, name).source(name)
        if source is not None:
            yield name, source
        elif backbones:
            raise WeightsError(f"{name} has no default weights; a recipe gives it `weights: PATH`")


def _book(config: Config | None) -> RecipeBook:
    return config.recipe_book() if config else RecipeBook(None)


def _resolved(name: str, config: Config | None) -> Resolved:
    """The recipe of a file, of a folder or picture in the inbox, or of a name."""
    book = _book(config)
    path = Path(name).absolute()
    if not path.exists():
        return book.for_name(name)
    folder = path if path.is_dir() else path.parent
    if config is not None and (folder == config.inbox or config.inbox in folder.parents):
        return book.for_folder(PurePosixPath(folder.relative_to(config.inbox)))
    file = recipe_file(path) if path.is_dir() else path
    if file is None:
        raise UsageError(f"{path}: has no recipe.yaml, and is no folder of an inbox (give --config)")
    return book.for_file(file)


def _check_whole(resolved: Resolved, plugins: Plugins) -> None:
    """Check names, parameters and layers; the network is built for that, without its weights."""
    recipe = resolved.recipe
    try:
        check_recipe(recipe, plugins.catalogue)
        if recipe.layers is not None:
            registered = plugins.get(Kind.BACKBONE, recipe.backbone.name)
            layer_modules(recipe, build_network(registered, recipe.backbone.name, recipe.backbone.parameters))
    except RecipeError as error:
        raise resolved.located(error) from error
