"""What the API takes and answers, as types. The OpenAPI document is made from these docstrings and fields."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

LONGEST_WAIT_SECONDS = 60
"""The most seconds for which one request waits for a job."""

MOST_LISTED = 200
"""The most jobs that are listed at a time."""


class Query(BaseModel):
    """The parameters of an operation, as they stand behind the question mark."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Nothing(Query):
    """No parameters."""


class State(StrEnum):
    """Where a picture is on its way."""

    RECEIVED = "received"
    QUEUED = "queued"
    RUNNING = "running"
    HELD = "held"
    DONE = "done"
    FAILED = "failed"
    GONE = "gone"

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens by itself."""
        return self in (State.DONE, State.FAILED, State.GONE)


class PostQuery(Query):
    """Where a picture goes, and how it is dreamed."""

    name: Annotated[str, Field(description="What the picture is called, such as `cat.jpg`.")]
    folder: Annotated[str, Field(description="The folder of the inbox; it is made where it is missing.")] = "."
    recipe: Annotated[
        str | None,
        Field(
            description="How this picture is dreamed: the name of a preset or named recipe, or fields of a recipe as "
            "JSON or YAML, over the folder's own. Left out: as the folder says. Each recipe has a folder of its own "
            "below the folder, where the picture is put."
        ),
    ] = None


class AgainQuery(Query):
    """What is dreamed again, and how."""

    of: Annotated[
        Literal["original", "result"],
        Field(
            description="`original`: the picture anew, as long as it is kept, or lies among those that failed. "
            "`result`: the dream further."
        ),
    ] = "original"
    recipe: Annotated[
        str,
        Field(
            description="How it is dreamed: as for `POST /jobs`, over the folder that the picture was in. A done job's "
            "own recipe is in its sidecar."
        ),
    ]
    folder: Annotated[str | None, Field(description="The folder to put it into; left out: that of the job.")] = None


class ListQuery(Query):
    """Which jobs to list."""

    state: Annotated[
        Literal["queued", "running", "held", "done", "failed"] | None,
        Field(description="Only jobs in this state; left out: in any."),
    ] = None
    before: Annotated[str | None, Field(description="Only jobs older than this one: the `job` of the last known.")] = (
        None
    )
    limit: Annotated[int, Field(ge=1, le=MOST_LISTED, description="At most so many.")] = 50


class JobQuery(Query):
    """How long to wait."""

    wait: Annotated[
        float,
        Field(
            ge=0,
            le=LONGEST_WAIT_SECONDS,
            allow_inf_nan=False,
            description="Answer when the job is over, or after so many seconds, whichever comes first.",
        ),
    ] = 0


class FolderQuery(Query):
    """A folder with all that is below it."""

    folder: Annotated[str, Field(description="A folder of the inbox; `.` is all of it.")] = "."


class ApiJob(BaseModel):
    """One picture and what became of it."""

    id: Annotated[str, Field(description="What to ask for. It stays the same while the picture is tried again.")]
    job: Annotated[str | None, Field(description="The job's id in dreamd's log; null until the picture is claimed.")]
    state: Annotated[
        State,
        Field(
            description="`received`: it lies in the inbox. `queued`, `running`, `held` (see `reason`; it goes on by "
            "itself when that is mended). Over: `done`; `failed`; `gone` (somebody took it out of the inbox)."
        ),
    ]
    folder: Annotated[str, Field(description="The picture's folder in the inbox.")]
    name: Annotated[str, Field(description="The picture's name in that folder.")]
    share: Annotated[float | None, Field(description="How much of a running dream is done, 0 to 1.")] = None
    eta_seconds: Annotated[
        float | None,
        Field(
            description="In how many seconds it will be done; null when that cannot be told: nothing is known of its "
            "recipe yet or of one before it, it is held or paused, or more than a hundred come before it."
        ),
    ] = None
    attempts: Annotated[int, Field(description="How often it was begun.")] = 0
    claimed_at: Annotated[float | None, Field(description="Seconds since the epoch.")] = None
    started_at: Annotated[float | None, Field(description="When its last attempt began.")] = None
    finished_at: Annotated[float | None, Field(description="When it was done or failed.")] = None
    seconds: Annotated[float | None, Field(description="How long the dream took.")] = None
    cause: Annotated[
        Literal["recipe", "weights", "plugin", "space", "folder"] | None, Field(description="Why it is held.")
    ] = None
    failure: Annotated[
        Literal["picture", "crash", "memory", "time", "worker", "error", "cancelled", "replaced", "gone"] | None,
        Field(description="Why it failed; null also where an earlier version of dreamd did not say."),
    ] = None
    reason: Annotated[str | None, Field(description="Why it is held or failed, for a person.")] = None
    remedy: Annotated[
        str | None, Field(description="What to do about the cause, or why to try it again would not help.")
    ] = None
    result: Annotated[str | None, Field(description="The result's path in the outbox, once it is done.")] = None


class ApiTrouble(BaseModel):
    """All pictures that are not dreamed for one cause."""

    kind: Annotated[
        Literal["held", "failed", "left"],
        Field(description="Whether they wait for something, have failed, or cannot be taken out of the inbox."),
    ]
    cause: Annotated[str, Field(description="The `cause` or `failure` of their jobs, or `left`.")]
    title: Annotated[str, Field(description="The same for a person.")]
    reason: Annotated[str, Field(description="What all have in common; empty where each has a reason of its own.")]
    remedy: Annotated[str, Field(description="What to do, or why to try them again would not help.")]
    can_retry: Annotated[bool, Field(description="Whether to try them again may help.")]
    can_dream_again: Annotated[
        bool, Field(description="Whether to dream their originals again with another recipe may help.")
    ]
    count: Annotated[int, Field(description="How many pictures there are.")]
    is_more: Annotated[bool, Field(description="Whether there are more than that.")]
    folders: Annotated[list[str], Field(description="The folders of the inbox that they are of.")]
    jobs: Annotated[list[str], Field(description="The `job` of each, of the newest thousand.")]


class TroubleList(BaseModel):
    """What keeps pictures from being dreamed, by cause."""

    troubles: list[ApiTrouble]


class JobList(BaseModel):
    """Jobs, the newest first."""

    jobs: list[ApiJob]
    more: Annotated[str | None, Field(description="Ask with `before` set to this for older ones; null: no more.")]


class Overview(BaseModel):
    """What the daemon is doing."""

    state: Annotated[str, Field(description="`starting`, `running`, `draining` or `stopped`.")]
    not_ready: Annotated[list[str], Field(description="Why a picture that comes now would not be dreamed now.")]
    queued: int = 0
    running: int = 0
    held: int = 0
    done: int = 0
    failed: int = 0
    paused: Annotated[list[str], Field(description="The folders from which nothing is started.")] = []
    done_per_hour: float = 0.0
    eta_seconds: Annotated[float | None, Field(description="Until the queue is empty, at that rate.")] = None


class RecipeNames(BaseModel):
    """What `recipe` may name."""

    recipes: list[str]


class NetworkNeed(BaseModel):
    """A network that a recipe dreams with."""

    name: Annotated[str, Field(description="The backbone's name.")]
    weights: Annotated[
        Literal["here", "missing", "unknown"],
        Field(description="Whether its weights are here; `unknown`: a plugin that is not dreamd's own brings it."),
    ]


class Preset(BaseModel):
    """A preset or a named recipe, by what one chooses it by."""

    name: Annotated[str, Field(description="What `recipe` takes.")]
    kind: Annotated[
        Literal["preset", "named"], Field(description="Whether it ships with dreamd, or is the tree's own.")
    ]
    words: Annotated[str, Field(description="What it makes.")]
    networks: list[NetworkNeed]
    picture: Annotated[
        str | None, Field(description="The address of its small picture, below that of the API; null: it has none.")
    ]
    problem: Annotated[str | None, Field(description="Why it cannot be used; null: it can.")]


class PresetList(BaseModel):
    """What there is to choose from."""

    undreamed: Annotated[str, Field(description="The address of the picture that the small pictures are dreams of.")]
    presets: list[Preset]


class Paused(BaseModel):
    """What is paused now."""

    said: Annotated[str, Field(description="What the command line would say.")]
