"""What atlas and sweep share: their options, where dreams are kept, and what is printed of a sheet."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dreamd.commands.terminal.completing import complete_recipe
from dreamd.commands.terminal.options import (
    FOLDER,
    PATH,
    config_option,
    config_or_none,
    device_option,
    json_option,
    set_option,
)
from dreamd.commands.terminal.printing import print_json, print_lines
from dreamd.errors import DreamdError
from dreamd.wording import printable

if TYPE_CHECKING:
    from dreamd.plugin_host.host import Plugins
    from dreamd.settings.config import Config
    from dreamd.settings.recipes.recipe_book import RecipeBook
    from dreamd.settings.yamlfile import Document
    from dreamd.sheets.dreaming import Made
    from dreamd.sheets.plan import Plan
    from dreamd.sheets.start import Start

log = logging.getLogger(__name__)

_SIDES = (32, 1024)
"""The shortest and the longest side in pixels that the dreams of a sheet may have."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the shared options say.

    Attributes:
        on: the picture to dream on, `noise:640x480`, or `noise`; None for clouds that dreamd paints.
        recipe_name: a recipe file, a sidecar, a preset or a named recipe; None for the command's own.
        assignments: fields of the recipe, as `--set` takes them.
        side: the longest side of each dream in pixels.
        out: the sheet's file, or None for a name of the command's.
        device: what to dream on; None for a GPU if there is one.
        as_json: print what is known of the sheet as JSON.
        config: the config, if there is one.
        plugin_folders: more folders of drop-in plugins.
    """

    on: str | None
    recipe_name: str | None
    assignments: tuple[str, ...]
    side: int
    out: Path | None
    device: str | None
    as_json: bool
    config: Config | None
    plugin_folders: tuple[Path, ...]

    @property
    def book(self) -> RecipeBook:
        """Where recipes are looked up by name."""
        from dreamd.commands.recipes.lookup import book_of

        return book_of(self.config)

    def base(self, preset: str, *over: Document) -> list[Document]:
        """Return the recipe's documents: the named one or a preset, the command's own over it, then the `--set`s."""
        from dreamd.commands.recipes.lookup import documents_of
        from dreamd.settings.recipes.merging import set_fields

        defaults = [self.config.defaults] if self.config else []
        named = documents_of(self.recipe_name or preset, self.book)
        return [*defaults, *named, *over, *self._noise_size(), set_fields(self.assignments)]

    def _noise_size(self) -> list[Document]:
        """Return what gives noise its size: the size that was asked for, else that of the painted clouds."""
        from dreamd.settings.yamlfile import Document
        from dreamd.worker.result_names import NOISE

        noise = NOISE.fullmatch(self.on or "")
        if noise is None:
            return []
        width, height = shape(self.side)
        return [Document(f"--on {self.on}", {"image": {"size": noise[1] or f"{width}x{height}"}})]

    def plugins(self) -> Plugins:
        """Load the engine's plugins."""
        from dreamd.commands.plugins.loading import engine_plugins

        return engine_plugins(self.config, self.plugin_folders)


def sheet_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that atlas and sweep share, as one `Wanted`."""

    @click.option(
        "--on", metavar="PICTURE", help="The picture to dream on, or noise, or noise:256x256 (default: painted clouds)."
    )
    @click.option(
        "--recipe",
        "recipe_name",
        shell_complete=complete_recipe,
        help="A recipe file, a sidecar, a preset or a named recipe.",
    )
    @set_option
    @click.option(
        "--size", "side", type=click.IntRange(*_SIDES), default=256, show_default=True,
        help="The longer side of each dream, in pixels.",
    )  # fmt: skip
    @click.option("--out", type=PATH, metavar="FILE", help="The sheet; a second page is FILE-2.")
    @device_option
    @click.option("--plugins", "plugin_folders", multiple=True, type=FOLDER, help="A folder of drop-in plugins.")
    @config_option
    @json_option
    @wraps(command)
    def with_options(config_file: Path, **options: Any) -> None:
        shared = {name: options.pop(name) for name in Wanted.__annotations__ if name != "config"}
        command(wanted=Wanted(config=config_or_none(config_file), **shared), **options)

    return with_options


def make(plan: Plan, wanted: Wanted, plugins: Plugins, target: Path) -> int:
    """Make a sheet, print where it is, and return the exit code.

    Args:
        plan: what is on it.
        wanted: what the shared options say.
        plugins: the engine's.
        target: where it goes when `--out` says nothing else.

    Raises:
        UsageError: something that was asked for cannot be; nothing was dreamed then.
    """
    from dreamd.commands.terminal.progress import progress
    from dreamd.sheets.dreaming import SheetMaker
    from dreamd.sheets.keeping import Keep
    from dreamd.worker.result_names import NOISE, check_source, format_of
    from dreamd.worker.single import open_session

    target = wanted.out or target
    format_of(target)
    if wanted.on is not None and NOISE.fullmatch(wanted.on) is None:
        check_source(Path(wanted.on), target)
    begin = time.perf_counter()
    with redirect_stdout(sys.stderr):  # what a plugin prints is no part of the output, which may be JSON
        maker = SheetMaker(open_session(wanted.device, plugins), Keep(sheets_folder(wanted.config)), progress)
        made = _made(maker, plan, _start(wanted), target)
    if wanted.as_json:
        print_json(made.values)
    else:
        print_lines(_lines(made, time.perf_counter() - begin))
    failures = [outcome for outcome in made.outcomes if outcome.state == "failed"]
    for outcome in failures:
        click.echo(printable(f"dreamd: {', '.join(outcome.cell.values)}: {outcome.note}"), err=True)
    return 1 if failures else 0


def sheets_folder(config: Config | None) -> Path:
    """Return where dreams of sheets are kept: in the config's state folder, else among the user's caches.

    Raises:
        DreamdError: there is no config, and this user has no folder for caches.
    """
    from dreamd.files.caches import user_cache
    from dreamd.tree.layout import StateFolder

    if config is not None:
        folder = StateFolder(config.state).sheets
        nearest = next(place for place in (folder, *folder.parents) if place.exists())
        if os.access(nearest, os.W_OK):
            return folder
        log.warning("%s cannot be written by this user; the dreams are kept among the user's caches", nearest)
    try:
        return user_cache() / "sheets"
    except RuntimeError as error:
        raise DreamdError("no folder to keep dreams in: this user has no home folder; set XDG_CACHE_HOME") from error


def file_name(*parts: str) -> Path:
    """Return the name of a sheet in the current folder, made of what is on it."""
    words = ["".join(sign if sign.isalnum() or sign in "._" else "-" for sign in part) for part in parts]
    return Path(f"{'-'.join(word.strip('-') for word in words)[:120]}.jpg")


def _made(maker: Any, plan: Plan, start: Start, target: Path) -> Made:
    try:
        made: Made = maker.make(plan, start, target)
    except KeyboardInterrupt:
        click.echo(f"{target} shows what is done, and that is kept; the same command goes on from there", err=True)
        raise
    return made


def shape(side: int) -> tuple[int, int]:
    """Return the width and height in pixels of what dreams begin with when no picture is given."""
    return side, round(side * 3 / 4)


def _start(wanted: Wanted) -> Start:
    """Return the picture that was given, or noise, or clouds."""
    import numpy as np

    from dreamd.commands.demo.painting import clouds
    from dreamd.pictures.picture import Picture
    from dreamd.sheets.start import Start
    from dreamd.worker.result_names import NOISE

    if wanted.on is None:
        painted = np.array(clouds(*shape(wanted.side)))
        return Start(Picture(pixels=painted, alpha=None, format="PNG"), "clouds", wanted.side)
    if NOISE.fullmatch(wanted.on) is not None:
        return Start(None, "noise", wanted.side)
    return Start(Path(wanted.on), Path(wanted.on).name, wanted.side)


def _lines(made: Made, seconds: float) -> Iterator[str]:
    """Say where the pages are, and what is on them."""
    yield from map(str, made.pages)
    states = [outcome.state for outcome in made.outcomes]
    words = [f"{states.count('done')} of {len(states)} dreamed, {made.dreamed} of them now, in {seconds:.0f} s"]
    if skipped := states.count("skipped"):
        words.append(f"{skipped} cannot be dreamed")
    if failed := states.count("failed"):
        words.append(f"{failed} failed")
    yield f"{'; '.join(words)}. As data: {made.record}"
