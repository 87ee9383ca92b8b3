"""Makes a sheet: dreams what is not kept yet, one after another in one session, then draws all.

Every recipe is built before anything is dreamed, so that a wrong one costs no time. Each dream is kept when it is
done; whenever the process ends, the next one goes on from there. Knows no terminal.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dreamd.errors import DreamdError, NoGradientError, UsageError
from dreamd.json_text import to_json
from dreamd.pictures.contact_sheet import Sheet, draw_sheet
from dreamd.pictures.picture import bytes_of
from dreamd.sheets.drawing import lay_out, save_pages
from dreamd.sheets.keeping import Keep, Kept, thumbnail_name
from dreamd.sheets.outcome import Outcome
from dreamd.sheets.plan import Cell, Plan
from dreamd.sheets.start import Start, checksum
from dreamd.worker.display import OpenProgress, Show
from dreamd.worker.session import Session
from dreamd.worker.single import build, dream_picture

_WAITING = "not dreamed yet"
"""The note of a dream that the process ended before."""

_NO_GRADIENT = "no gradient reaches the picture"
"""The note of a dream that changed nothing, or of a layer that nothing can be asked of."""


@dataclass(frozen=True, kw_only=True)
class Made:
    """A sheet that was made.

    Attributes:
        outcomes: what came of each of the plan's cells.
        dreamed: how many dreams were dreamed now and not found.
        pages: the files of its pages.
        record: the file of what is known of it, for programs.
        values: the content of that file.
    """

    outcomes: Sequence[Outcome]
    dreamed: int
    pages: Sequence[Path]
    record: Path
    values: dict[str, object]


class SheetMaker:
    """Makes sheets in one session."""

    def __init__(self, session: Session, keep: Keep, progress: OpenProgress) -> None:
        """Make nothing yet.

        Args:
            session: what dreams.
            keep: where dreams are kept.
            progress: opens the display of the progress.
        """
        self._session = session
        self._keep = keep
        self._progress = progress

    def make(self, plan: Plan, start: Start, target: Path | None, *, about: Mapping[str, object] | None = None) -> Made:
        """Make a sheet. What cannot be dreamed is told in its place.

        Args:
            plan: what is on it.
            start: the picture that the dreams begin with.
            target: the file of its first page, whose suffix chooses the format; None for the record alone.
            about: what else the record is to say.

        Raises:
            UsageError: a recipe is wrong, or there is no picture; nothing was dreamed then.
            KeyboardInterrupt: somebody pressed Ctrl-C; the sheet was drawn from what was done.
        """
        with self._progress(plan.title) as show:
            keys = self._keys(plan, start, show)
        original = self._keep_original(plan, start)
        problems: dict[str, str] = {}
        missing = {key: cell for key, cell in zip(keys, plan.cells, strict=True) if key and not self._keep.find(key)}
        try:
            with self._progress(plan.title) as show:
                self._dream_all(missing, start, problems, show)
        finally:
            outcomes = [self._outcome(key, cell, problems) for key, cell in zip(keys, plan.cells, strict=True)]
            title = f"{plan.title}; on {start.name}"
            pages = []
            if target is not None:
                sheet = lay_out(plan, outcomes, title=title, original=original, side=start.side)
                pages = self._draw(sheet, target)
            values = {**_values(plan, title, outcomes, pages), **(about or {})}
            values |= {"folder": str(self._keep.folder), "original": thumbnail_name(original)}
            record = self._keep.record(_name(plan, original), values)
            self._keep.shrink()
        dreamed = sum(self._keep.find(key) is not None for key in missing)
        return Made(outcomes=outcomes, dreamed=dreamed, pages=pages, record=record, values=values)

    def _draw(self, sheet: Sheet, target: Path) -> list[Path]:
        """Draw the pages, and remove those that an earlier sheet of that name had more."""
        before = self._keep.pages_of(target)
        pages = save_pages(draw_sheet(sheet), target)
        for page in before - {page.absolute() for page in pages}:
            page.unlink(missing_ok=True)
        return pages

    def _keys(self, plan: Plan, start: Start, show: Show) -> list[str | None]:
        """Build every recipe; returns the name that each dream is kept under, None for what cannot be dreamed."""
        keys: list[str | None] = []
        for number, cell in enumerate(plan.cells):
            show(number / len(plan.cells), "looking at the recipes")
            if cell.recipe is None:
                keys.append(None)
                continue
            with cell.recipe.locating():
                picture = start.picture(self._session, cell.recipe.recipe)
            built = build(self._session, cell.recipe, show)
            keys.append(self._session.fingerprint(checksum(picture), built))
        if not any(keys):
            raise UsageError(f"{plan.title}: there is nothing that can be dreamed")
        return keys

    def _keep_original(self, plan: Plan, start: Start) -> Path:
        """Keep the picture that the first dream begins with, and return its file."""
        first = next(cell.recipe for cell in plan.cells if cell.recipe is not None)
        picture = start.picture(self._session, first.recipe)
        name = f"original-{checksum(picture)}"
        self._keep.keep(name, bytes_of(picture.pixels))
        return self._keep.picture(name)

    def _dream_all(self, missing: dict[str, Cell], start: Start, problems: dict[str, str], show: Show) -> None:
        """Dream and keep; what cannot be dreamed is noted under its key in `problems`."""
        for number, (key, cell) in enumerate(missing.items()):
            words = f"{number} of {len(missing)} done, {', '.join(cell.values)}"
            show(number / len(missing), words)
            try:
                self._dream(key, cell, start, _Share(show, number, len(missing), words))
            except NoGradientError:
                problems[key] = _NO_GRADIENT
            except DreamdError as error:
                problems[key] = str(error)

    def _dream(self, key: str, cell: Cell, start: Start, show: Show) -> None:
        assert cell.recipe is not None
        begin = time.perf_counter()
        picture = start.picture(self._session, cell.recipe.recipe)
        dream = dream_picture(self._session, picture, build(self._session, cell.recipe, show), show)
        kept = Kept(
            seconds=round(time.perf_counter() - begin, 3),
            loss_before=dream.loss_before,
            loss_after=dream.loss_after,
            moved=not np.array_equal(dream.picture.pixels, picture.pixels),
        )
        self._keep.keep(key, bytes_of(dream.picture.pixels), kept)

    def _outcome(self, key: str | None, cell: Cell, problems: dict[str, str]) -> Outcome:
        if key is None:
            return Outcome(cell=cell, state="skipped", note=cell.note)
        if kept := self._keep.find(key):
            note = cell.note if kept.moved else _NO_GRADIENT
            return Outcome(cell=cell, state="done", note=note, picture=self._keep.picture(key), kept=kept)
        if (problem := problems.get(key)) is None:
            return Outcome(cell=cell, state="waiting", note=_WAITING)
        return Outcome(cell=cell, state="skipped" if problem == _NO_GRADIENT else "failed", note=problem)


class _Share:
    """Shows how far one of several dreams is."""

    def __init__(self, show: Show, number: int, count: int, words: str) -> None:
        self._show, self._number, self._count, self._words = show, number, count, words

    def __call__(self, share: float, words: str) -> None:
        self._show((self._number + share) / self._count, f"{self._words}: {words}")


def _values(plan: Plan, title: str, outcomes: Sequence[Outcome], pages: Sequence[Path]) -> dict[str, object]:
    """Return what is known of a sheet, as values of JSON."""
    return {
        "kind": plan.kind,
        "title": title,
        "made_at": time.time(),
        "fields": [{"field": axis.field, "values": list(axis.values)} for axis in plan.axes],
        "pages": [str(page.absolute()) for page in pages],
        "cells": [outcome.values() for outcome in outcomes],
    }


def _name(plan: Plan, original: Path) -> str:
    """Return the name of a sheet's record, which is the same when it is made again with more values."""
    about = [plan.base, [axis.field for axis in plan.axes], original.stem]
    return f"{plan.kind}-{hashlib.sha256(to_json(about).encode()).hexdigest()[:16]}"
