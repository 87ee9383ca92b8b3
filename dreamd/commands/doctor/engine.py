"""The doctor's look at what dreams are made with: device, plugins, recipes and weights. Imports torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import PurePosixPath

from dreamd.commands.doctor.finding import Finding, found_by
from dreamd.commands.plugins.known_engine import KnownEngine
from dreamd.commands.plugins.loading import daemon_catalogue
from dreamd.commands.recipes.lookup import check_whole, find_recipe, recipe_files
from dreamd.engine.speed.precision import fastest
from dreamd.errors import DreamdError, RecipeError
from dreamd.plugin_host.catalogue import merged
from dreamd.plugin_host.host import Plugins
from dreamd.plugin_host.kinds import Kind
from dreamd.settings.config import Config
from dreamd.settings.recipes.merging import Resolved
from dreamd.settings.recipes.recipe import BackboneChoice
from dreamd.weights import cache
from dreamd.worker.machine.device import choose_device, device_name


def look_at_device(wanted: str) -> str:
    """Tell the device that a worker takes for a wanted one, such as `auto` or `cuda:1`.

    Raises:
        DreamdError: it cannot be used, or there should be a GPU that torch can use.
    """
    device = choose_device(wanted)
    if device.warning:
        raise DreamdError(device.warning)
    return f"{device.label} ({device_name(device.torch)}), precision auto is {fastest(device.torch)}"


def look_at_plugins(config: Config, engine: Plugins) -> Iterator[Finding]:
    """Look at the plugins that are not used. Those that somebody disabled are no trouble."""
    catalogue = merged([engine.catalogue, daemon_catalogue(config)])
    for problem in catalogue.problems:
        if not problem.deliberate:
            yield Finding("plugin", False, f"{problem.plugin} ({problem.origin}): {problem.reason}")
    used = {entry.plugin for entry in catalogue.entries}
    yield Finding("plugins", True, f"{len(used)} in use; `dreamd plugins list` shows what they bring")


def look_at_recipes_and_weights(config: Config, plugins: Plugins) -> Iterator[Finding]:
    """Look at each recipe, and at the weights of every backbone that the right ones name."""
    engine = KnownEngine(config, plugins)
    sound: dict[str, BackboneChoice] = {}
    wrong: dict[str, None] = {}
    looks: list[Callable[[], Resolved]] = [partial(config.recipe_book().for_folder, PurePosixPath())]
    looks += [partial(find_recipe, str(file), config) for file in recipe_files(config.inbox)]
    for look in looks:
        try:
            resolved = look()
            check_whole(resolved, engine)
        except RecipeError as error:
            wrong[str(error)] = None
            continue
        backbones = [dream.backbone for _, dream in resolved.recipe.dreams]
        sound.update({f"{backbone.name} {backbone.weights}": backbone for backbone in backbones})
    yield from (Finding("recipe", False, text) for text in wrong)
    if not wrong:
        yield Finding("recipes", True, f"{len(looks) - 1} in the inbox, and what its other folders inherit")
    for backbone in sound.values():
        yield found_by("weights", partial(_look_at_weights, backbone, plugins))


def _look_at_weights(backbone: BackboneChoice, plugins: Plugins) -> str:
    """Look whether a backbone's weights are here; those of a file are, since its recipe has been checked."""
    name = backbone.name
    if backbone.weights != "default":
        return f"{name}: {backbone.weights}"
    source = plugins.get(Kind.BACKBONE, name).source(name)
    if source is None:
        raise DreamdError(f"{name} has none of its own: give `backbone: {{name: {name}, weights: PATH}}`")
    found = cache.find(source)
    if found.state in ("missing", "partial"):
        raise DreamdError(f"{name}: {found.state}; `dreamd weights fetch {name}`, or put the file at {found.path}")
    cache.verify(source)
    return f"{name}: here and sound"
