"""What a comparison shows: each dream as it is now, and what differs between their recipes.

Reads files: call it from a thread. Knows no HTTP.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from dreamd.errors import UsageError
from dreamd.job import Job
from dreamd.page.access.callers import PERSON
from dreamd.page.again.comparisons import Compared, Comparison, Comparisons, is_comparison_id
from dreamd.page.again.wishes import MOST_AT_ONCE
from dreamd.page.api.job_view import ApiJobs, Found
from dreamd.page.api.models import ApiJob
from dreamd.page.handlers.answers import NotThereError
from dreamd.page.outbox import result_of, sidecar_of
from dreamd.settings.config import Config
from dreamd.tree.layout import trash_folder
from dreamd.wording import printable

_MOST_DIFFERENCES = 40
"""The most fields that are told of what differs."""


@dataclass(frozen=True, kw_only=True)
class ShownDream:
    """One dream of a comparison, as it is now.

    Attributes:
        label: what it is called beside the others.
        told: its job; None where its picture could not be posted, or is forgotten.
        problem: why there is no job.
        is_there: whether its result is in the outbox, or in the trash.
        is_discarded: whether it is in the trash.
    """

    label: str
    told: ApiJob | None
    problem: str | None
    is_there: bool
    is_discarded: bool


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A field that is not the same in all recipes.

    Attributes:
        field: its dotted name.
        values: its value in each dream's recipe, as JSON; None where it has none, or the recipe is not known yet.
    """

    field: str
    values: tuple[str | None, ...]


@dataclass(frozen=True, kw_only=True)
class ShownComparison:
    """A comparison as it is now.

    Attributes:
        comparison: what was asked for.
        dreams: the dreams, in its order.
        differences: what differs between their recipes.
    """

    comparison: Comparison
    dreams: tuple[ShownDream, ...]
    differences: tuple[Difference, ...]


class ComparisonView:
    """Looks at comparisons of one tree."""

    def __init__(self, config: Config, comparisons: Comparisons, jobs: ApiJobs) -> None:
        self._config = config
        self._comparisons = comparisons
        self._jobs = jobs

    def look(self, about: str) -> ShownComparison:
        """Look at a comparison, by its id, or at some done jobs side by side, by theirs with commas between.

        Raises:
            NotThereError: there is no such comparison, or none of these jobs.
            UsageError: these are too many jobs.
        """
        comparison = self._comparisons.find(about) if is_comparison_id(about) else self._of_jobs(about.split(","))
        found = [self._find(dream) for dream in comparison.dreams]
        dreams = tuple(map(self._shown, comparison.dreams, found))
        recipes = [each.job.recipe if each is not None and each.job is not None else "" for each in found]
        return ShownComparison(comparison=comparison, dreams=dreams, differences=tuple(differences(recipes)))

    def _of_jobs(self, ids: Sequence[str]) -> Comparison:
        if len(ids) > MOST_AT_ONCE:
            raise UsageError(f"these are {len(ids)} jobs; at most {MOST_AT_ONCE} are compared")
        found = [each for id_ in dict.fromkeys(ids) if (each := self._find(Compared(label="", id=id_)))]
        if not found:
            raise NotThereError("there is no such comparison, and there are no jobs of these ids")
        dreams = tuple(Compared(label=_name_of(each.job) or each.told.name, id=each.told.id) for each in found)
        first = found[0].told
        about = ",".join(dream.id or "" for dream in dreams)
        source = first.job or first.id if self._are_of_one_picture(found) else ""
        return Comparison(id=about, made_at=0.0, source=source, of="original", picture=first.name, dreams=dreams)

    def _are_of_one_picture(self, found: Sequence[Found]) -> bool:
        sidecars = [each.job and sidecar_of(each.job, self._config.outbox) for each in found]
        return len({sidecar and sidecar.get("input_sha256") for sidecar in sidecars}) == 1

    def _find(self, dream: Compared) -> Found | None:
        try:
            return None if dream.id is None else self._jobs.find(dream.id, PERSON)
        except NotThereError:
            return None

    def _shown(self, dream: Compared, found: Found | None) -> ShownDream:
        problem = dream.problem
        if found is None and problem is None:
            problem = "The journal has forgotten this job."
        job = None if found is None else found.job
        path = None if job is None or not job.result else result_of(job, self._config.outbox)
        is_discarded = job is not None and path is not None and trash_folder(job.id) in path.parents
        told = None if found is None else found.told
        return ShownDream(
            label=dream.label, told=told, problem=problem, is_there=path is not None, is_discarded=is_discarded
        )


def differences(recipes: Sequence[str]) -> Iterator[Difference]:
    """Yield the fields in which recipes differ, of those that are known.

    Args:
        recipes: the recipes as jobs keep them, in JSON; "" for one that is not known.
    """
    flat = [dict(_flattened(json.loads(recipe))) if recipe else None for recipe in recipes]
    fields = dict.fromkeys(field for each in flat if each is not None for field in each)
    differing = (field for field in fields if len({each.get(field) for each in flat if each is not None}) > 1)
    for _, field in zip(range(_MOST_DIFFERENCES), differing, strict=False):
        yield Difference(field=field, values=tuple(None if each is None else each.get(field) for each in flat))


def _flattened(value: object, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield each field of a recipe with its value as JSON: `ascent.lr`, `layers[0].name`."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _flattened(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list) and value:
        for index, inner in enumerate(value):
            yield from _flattened(inner, f"{name}[{index}]")
    else:
        yield name, json.dumps(value, ensure_ascii=False)


def _name_of(job: Job | None) -> str:
    return printable(PurePosixPath(job.result).name) if job is not None and job.result else ""
