"""`dreamd weights list`, `fetch`, `cancel` and `verify`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dreamd.commands.by_page import done
from dreamd.commands.terminal.completing import complete_backbone
from dreamd.commands.terminal.options import InOrder, config_at, config_option, config_or_none, json_option
from dreamd.commands.terminal.printing import print_findings, print_json, print_lines, wrap
from dreamd.errors import DreamdError, WeightsError

if TYPE_CHECKING:
    from dreamd.commands.plugins.known_engine import KnownEngine
    from dreamd.settings.config import Config
    from dreamd.weights.sources import Source

log = logging.getLogger(__name__)


@click.group(cls=InOrder)
def weights() -> None:
    """Fetch and check networks' weights."""


def weights_options(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the names of backbones, and a config."""
    return click.argument("backbones", metavar="[BACKBONE]...", nargs=-1, shell_complete=complete_backbone)(
        config_option(function)
    )


@weights.command("list")
@weights_options
@json_option
def list_weights(backbones: tuple[str, ...], config_file: Path, as_json: bool) -> None:
    """Show which weights are here.

    Of BACKBONE, or of every backbone with a name of its own.
    """
    rows = list(_rows(backbones, config_or_none(config_file)))
    if as_json:
        print_json([asdict(row) for row in rows])
    else:
        print_lines(_lines(rows, fold=not backbones))


@weights.command()
@weights_options
def fetch(backbones: tuple[str, ...], config_file: Path) -> None:
    """Download weights, to be used offline afterwards.

    Those of BACKBONE, or of the one that the config's defaults name.
    """
    print_lines(_fetch(backbones, config_or_none(config_file)))


@weights.command()
@click.argument("backbone", shell_complete=complete_backbone)
@config_option
def cancel(backbone: str, config_file: Path) -> None:
    """Stop the daemon from fetching weights.

    What has come of BACKBONE's weights is kept, and `fetch` goes on with it.
    """
    from dreamd.tree.fetch_orders import cancel_fetch

    config = config_at(config_file)
    print_lines(done(config, "weights/cancel", {"backbone": backbone}, lambda: [cancel_fetch(config, backbone)]))


@weights.command()
@weights_options
def verify(backbones: tuple[str, ...], config_file: Path) -> None:
    """Check the weights that are here against their SHA-256.

    Of BACKBONE, or of every backbone whose weights are here. Exits with 1 when some are damaged.
    """
    print_findings(_verify(backbones, config_or_none(config_file)), exit_code=1)


@dataclass(frozen=True, kw_only=True)
class WeightsRow:
    """A backbone's default weights. `state` is cached, packaged, partial, missing or damaged."""

    backbone: str
    state: str
    size: int | None
    path: str
    sha256: str | None


def _rows(backbones: Sequence[str], config: Config | None) -> Iterator[WeightsRow]:
    from dreamd.weights import cache

    for name, source in _sources(backbones, config, default=_named_backbones):
        found = cache.find(source)
        yield WeightsRow(
            backbone=name, state=found.state, size=found.size, path=str(found.path), sha256=found.sha256 or None
        )


def _lines(rows: Sequence[WeightsRow], *, fold: bool) -> Iterator[str]:
    """Write a line for each backbone's weights; when folding, name those that are missing at the end only."""
    shown = [row for row in rows if not (fold and row.state == "missing")]
    width = max((len(row.backbone) for row in shown), default=0)
    for row in shown:
        size = f"{row.size / 1e6:.0f} MB" if row.size else ""
        yield f"{row.backbone:<{width}}  {row.state:<8}  {size:>7}  {row.path}"
    missing = [row.backbone for row in rows if row not in shown]
    if missing:
        yield f"missing, `dreamd weights fetch NAME` brings {'it' if len(missing) == 1 else 'them'}:"
        yield from wrap("  ", ", ".join(missing))


def _fetch(backbones: Sequence[str], config: Config | None) -> Iterator[str]:
    """Fetch weights; yield a line for each. Raises WeightsError."""
    from dreamd.commands.terminal.progress import progress
    from dreamd.weights import fetching

    for name, source in _sources(backbones, config, default=_default_backbone):
        with progress(f"weights of {name}") as show:
            path = fetching.fetch(
                source,
                backbone=name,
                on_bytes=lambda done, total: show(
                    done / total if total else 0, f"{done / 1e6:.0f} of {(total or 0) / 1e6:.0f} MB"
                ),
            )
        if config is not None:
            _tell_daemon(config)
        yield f"{name}: {path}"


def _tell_daemon(config: Config) -> None:
    """Have a running daemon look at what is held for weights; it finds them by itself where that cannot be."""
    from dreamd.tree.control import wake

    with suppress(DreamdError):
        wake(config)


def _verify(backbones: Sequence[str], config: Config | None) -> Iterator[tuple[str, bool]]:
    """Say of each file of weights that is here whether it is sound; of those asked for also if they are missing."""
    from dreamd.weights import cache

    for name, source in _sources(backbones, config, default=_named_backbones):
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
    backbones: Sequence[str], config: Config | None, *, default: Callable[[Config | None, KnownEngine], list[str]]
) -> Iterator[tuple[str, Source]]:
    """Find where the weights of backbones come from.

    Args:
        backbones: the names that were asked for.
        config: the config, if there is one.
        default: names the backbones to look at when none was asked for.

    Raises:
        WeightsError: a backbone that was asked for has no default weights, or its plugin is wrong about them.
    """
    from dreamd.commands.plugins.known_engine import KnownEngine

    engine = KnownEngine(config)
    found: dict[str, Source | None] = {}
    for name in backbones or default(config, engine):
        try:
            found[name] = engine.source(name)
        except WeightsError as error:
            if backbones:
                raise
            log.warning("%s: %s", name, error)  # one plugin's mistake keeps nobody from the others
    engine.remember_sources(found)
    for name, source in found.items():
        if source is not None:
            yield name, source
        elif backbones:
            raise WeightsError(f"{name} has no default weights; a recipe gives it `weights: PATH`")


def _named_backbones(_config: Config | None, engine: KnownEngine) -> list[str]:
    """Name every backbone that has a name of its own, and is not one of a family like `timm/*`."""
    from dreamd.plugin_host.kinds import Kind

    return [name for name in engine.catalogue.names(Kind.BACKBONE) if "*" not in name]


def _default_backbone(config: Config | None, _engine: KnownEngine) -> list[str]:
    """Name the backbones of the config's defaults."""
    from dreamd.commands.recipes.lookup import book_of

    return [dream.backbone.name for _, dream in book_of(config).for_default().recipe.dreams]
