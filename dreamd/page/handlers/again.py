"""Dreaming a picture again: what of it can be, the fields to sweep, and doing it; and looking at what came of it."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from dreamd.errors import UsageError
from dreamd.job import Job
from dreamd.page.again.comparisons import Comparison
from dreamd.page.again.fields import SweepFields
from dreamd.page.again.looking import ComparisonView
from dreamd.page.again.sources import has_source, problem_with
from dreamd.page.again.wishes import MOST_AT_ONCE, Wish, Wishes
from dreamd.page.handlers.answers import JsonAnswer, NotThereError, answering
from dreamd.page.handlers.requests import read_json, read_texts
from dreamd.page.parts import Parts
from dreamd.wording import printable

_LISTED = 60
"""The most comparisons that are listed."""


class _Asked(BaseModel):
    """What a page asks for.

    Attributes:
        of: what is dreamed again.
        recipes: the names of presets and named recipes; of a sweep, none.
        text: a recipe that was written for this, or what a sweep goes over; None for none.
        base: the name of the recipe that a sweep goes over.
        sweep: `FIELD=V1,V2,…`; None for no sweep.
        small: whether the dreams are made small, to be looked at only.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    of: Literal["original", "result"] = "original"
    recipes: list[str] = []
    text: str | None = None
    base: str | None = None
    sweep: str | None = None
    small: bool = False


class AgainHandlers:
    """Answers what is asked about dreaming again."""

    def __init__(self, parts: Parts) -> None:
        self._config = parts.config
        self._recipes = parts.recipes
        self._again = parts.again
        self._comparisons = parts.comparisons
        self._view = ComparisonView(parts.config, parts.comparisons, parts.jobs)
        self._results = parts.results
        self._fields = SweepFields(parts.config, parts.recipes)

    def routes(self) -> list[BaseRoute]:
        """List the addresses that are answered here."""
        return [
            Route("/api/again/{job}", answering(self.choices), methods=["GET"]),
            Route("/api/again/{job}", answering(self.dream), methods=["POST"]),
            Route("/api/sweep/fields", answering(self.fields), methods=["POST"]),
            Route("/api/comparisons", answering(self.latest), methods=["GET"]),
            Route("/api/comparisons/{about}", answering(self.comparison), methods=["GET"]),
        ]

    async def choices(self, request: Request) -> Response:
        """Tell what of a job can be dreamed again, why the rest cannot, and the recipe that it was to be dreamed by."""
        job = await self._job(request)
        problems = {of: await asyncio.to_thread(problem_with, job, of, self._config) for of in ("original", "result")}
        folder = await asyncio.to_thread(self._again.home_of, job)
        recipe = self._recipes.text_of(job.recipe)
        return JsonAnswer({
            "job": job.id, "state": job.state, "name": printable(job.name), "folder": folder, "problems": problems,
            "recipe": recipe, "most": MOST_AT_ONCE,
        })  # fmt: skip

    async def dream(self, request: Request) -> Response:
        """Dream the picture of a job again, and answer with the id of the comparison of what comes of it."""
        job = await self._job(request)
        asked = _asked(await read_json(request))
        wishes, field = await asyncio.to_thread(self._wishes, job, asked)
        made = await self._again.compare(job, asked.of, wishes, field)
        return JsonAnswer({"comparison": made.id, "dreams": [dream.model_dump() for dream in made.dreams]}, 201)

    async def fields(self, request: Request) -> Response:
        """List the fields of a recipe that can be swept, with values that are worth a try."""
        folder, recipe = await read_texts(request, "folder", "recipe")
        found = await asyncio.to_thread(self._fields.fields, folder, recipe)
        return JsonAnswer([asdict(field) for field in found])

    async def latest(self, _request: Request) -> Response:
        """List the comparisons that were made last."""
        found = await asyncio.to_thread(self._comparisons.latest, _LISTED)
        return JsonAnswer([_told(comparison) for comparison in found])

    async def comparison(self, request: Request) -> Response:
        """Answer with a comparison as it is now, or with some jobs side by side, by their ids with commas between."""
        shown = await asyncio.to_thread(self._view.look, request.path_params["about"])
        dreams = [
            {**asdict(dream), "told": None if dream.told is None else dream.told.model_dump(mode="json")}
            for dream in shown.dreams
        ]
        differences = [asdict(difference) for difference in shown.differences]
        return JsonAnswer({**_told(shown.comparison), "dreams": dreams, "differences": differences})

    def _wishes(self, job: Job, asked: _Asked) -> tuple[list[Wish], str]:
        """Return what is wished for, and the field that is swept; "" for no sweep."""
        wishes = Wishes(self._recipes, self._again.home_of(job), is_small=asked.small)
        if asked.sweep is None:
            return wishes.named(asked.recipes, asked.text), ""
        base = asked.text or asked.base
        if base is None:
            raise UsageError("a sweep needs a recipe to go over: base or text")
        return wishes.swept(base, asked.sweep), asked.sweep.partition("=")[0].strip()

    async def _job(self, request: Request) -> Job:
        job = await asyncio.to_thread(self._results.any_job, request.path_params["job"])
        if job is None or not has_source(job):
            raise NotThereError("there is no result of this job, and no picture of it that failed")
        return job


def _asked(values: dict[str, object]) -> _Asked:
    try:
        return _Asked.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def _told(comparison: Comparison) -> dict[str, object]:
    """Tell what was asked for."""
    return {
        "id": comparison.id, "made_at": comparison.made_at, "source": comparison.source, "of": comparison.of,
        "picture": comparison.picture, "field": comparison.field, "number": len(comparison.dreams),
    }  # fmt: skip
