"""Makes the atlas of a network among the sheets, where the page finds it. Knows no command line and draws no sheet."""

from __future__ import annotations

from dataclasses import asdict
from importlib.resources import files
from pathlib import Path

from dreamd.plugin_host.host import Plugins
from dreamd.plugin_host.kinds import Kind
from dreamd.settings.config import Config
from dreamd.settings.recipes.merging import resolve
from dreamd.sheets.atlas import over_for_atlas, plan_layers
from dreamd.sheets.dreaming import SheetMaker
from dreamd.sheets.keeping import Keep
from dreamd.sheets.start import Start
from dreamd.sheets.studio.orders import Report
from dreamd.studio import AtlasOrder
from dreamd.tree.layout import StateFolder
from dreamd.worker.recipes.backbones import build_network
from dreamd.worker.session import Session

_SIDE = 192
"""The longest side of an atlas's tiles on the page, in pixels."""


def make_atlas(session: Session, plugins: Plugins, config: Config, order: AtlasOrder, report: Report) -> None:
    """Dream every layer that stands for others, and keep the dreams with a record of them.

    What is kept already is not dreamed again. Whenever this is ended, the record says what is there.

    Raises:
        DreamdError: there is no such network, its weights are not here, or nothing of it can be dreamed.
        CancelledError: it is not wanted any more.
    """
    report.tell(0.0, "loading")
    book = config.recipe_book()
    base = [*([config.defaults] if config.defaults else []), *book.documents_of_name("classic")]
    base += over_for_atlas(order.backbone, quick=True)
    choice = resolve(base).recipe.backbone
    network = build_network(plugins.get(Kind.BACKBONE, choice.name), choice.name, choice.parameters)
    plan = plan_layers(base, order.backbone, network, every=False)
    maker = SheetMaker(session, Keep(StateFolder(config.state).sheets), report.opened)
    facts = {layer["name"]: layer for layer in map(asdict, network.describe_layers())}
    maker.make(plan, Start(_portrait(), "portrait", _SIDE), None, about={"backbone": order.backbone, "layers": facts})


def _portrait() -> Path:
    """Return the picture that ships, of which the small pictures of presets are dreams too."""
    return Path(str(files("dreamd") / "presets" / "samples" / "undreamed.webp"))
