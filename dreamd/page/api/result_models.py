"""What the operations on results take and answer, as types."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from dreamd.page.api.models import Query
from dreamd.page.gallery.deeds import MOST_SELECTED
from dreamd.page.gallery.results import RESULTS_AT_ONCE
from dreamd.tree.tables.marks import Way
from dreamd.tree.tables.seeking import Order, Show


class ResultQuery(Query):
    """Which results to list, and in what order."""

    folder: Annotated[str | None, Field(description="Only those of this folder of the inbox and those below it.")] = (
        None
    )
    search: Annotated[
        str,
        Field(
            description="Words, each of which the path of the picture or of its result must hold, or a name in the "
            "recipe: of a preset, a network, a layer, a loss and so on."
        ),
    ] = ""
    show: Annotated[
        Show, Field(description="`all` that are not put away, the `favourites` among them, or the `trash`.")
    ] = Show.ALL
    sort: Annotated[Order, Field(description="What comes first; `longest` took the most time.")] = Order.NEWEST
    before: Annotated[str | None, Field(description="Only those behind this place: `more` of the last answer.")] = None
    limit: Annotated[int, Field(ge=1, le=RESULTS_AT_ONCE, description="At most so many.")] = 60


class ZipQuery(Query):
    """Which results to send."""

    jobs: Annotated[str, Field(description=f"The ids of the jobs, with commas between; {MOST_SELECTED} at most.")]


class Selection(BaseModel):
    """The jobs whose results are meant."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    jobs: Annotated[list[str], Field(min_length=1, max_length=MOST_SELECTED, description="The ids of the jobs.")]


class ApiResult(BaseModel):
    """A dream that came out."""

    id: Annotated[str, Field(description="The id of its job.")]
    name: Annotated[str, Field(description="The name of the picture that it was made from.")]
    folder: Annotated[str, Field(description="That picture's folder in the inbox.")]
    result: Annotated[str, Field(description="Its path in the outbox.")]
    finished_at: Annotated[float | None, Field(description="Seconds since the epoch.")]
    seconds: Annotated[float | None, Field(description="How long it took.")]
    width: Annotated[int | None, Field(description="In pixels; null where its sidecar is gone.")]
    height: Annotated[int | None, Field(description="In pixels; null where its sidecar is gone.")]
    frames: Annotated[int | None, Field(description="How many a film or an animation has; null for a picture.")]
    film_seconds: Annotated[float | None, Field(description="How long it lasts; null for a picture.")]
    is_there: Annotated[bool, Field(description="Whether its file is in the outbox, or in the trash.")]
    is_favourite: Annotated[bool, Field(description="Whether somebody has made it a favourite.")]
    put_away: Annotated[Way | None, Field(description="How it was put away; null when it was not.")]


class ResultList(BaseModel):
    """Results, in the order that was asked for."""

    results: list[ApiResult]
    more: Annotated[str | None, Field(description="Ask with `before` set to this for those behind; null: no more.")]


class Marked(BaseModel):
    """What was marked."""

    jobs: Annotated[list[str], Field(description="The ids of the jobs; those without a result are left out.")]


class Deletion(BaseModel):
    """What became of results that were to be deleted."""

    trashed: Annotated[list[str], Field(description="The jobs whose results are in the trash now.")]
    dismissed: Annotated[
        list[str], Field(description="Those whose results were not in the outbox any more: they are no longer listed.")
    ]


class Restoration(BaseModel):
    """What became of results that were to come back."""

    restored: Annotated[list[str], Field(description="The jobs whose results are in the outbox again, and listed.")]
    lost: Annotated[list[str], Field(description="Those that the trash has no more.")]
