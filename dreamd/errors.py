"""Everything dreamd can explain to a person.

An error's text is what the user reads: it names the file, line and field, what is wrong, and what to do. Whatever is
not a `DreamdError` is a bug and shows its traceback. Imports nothing, so that every other module may import it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

from dreamd.wording import suggestion

HoldCause = Literal["recipe", "weights", "plugin", "space", "folder"]
"""Why a job waits: its recipe is wrong, weights are missing, a plugin is broken, the disk is full, or a folder
cannot be written."""

REMEDIES: dict[HoldCause, str] = {
    "recipe": "mend the recipe, or the plugin it asks for; it goes on by itself",
    "weights": "fetch the weights, or put the file where the recipe says; it goes on by itself",
    "plugin": "mend the plugin; it goes on by itself (an installed package: after `systemctl reload dreamd` or SIGHUP)",
    "space": "make room on the disk; it goes on by itself",
    "folder": "mount the folder's disk, or mend its permissions; it goes on by itself",
}
"""What a person can do about each cause of a hold."""

FailureCause = Literal["picture", "crash", "memory", "time", "worker", "error", "cancelled", "replaced", "gone"]
"""Why a job failed. The picture is broken or too large; it ended every worker that had it; it took too much memory or
time; its worker was ended for another reason; a plugin or dreamd failed; a person cancelled it; a person put a mended
dream file in its place; its picture was taken away."""


class FailureAdvice(NamedTuple):
    """What a person can do about a failure.

    Attributes:
        can_retry: whether another try may end otherwise.
        can_dream_again: whether there is a picture that another recipe may dream.
        remedy: what to do before it, or why it would not help.
    """

    can_retry: bool
    can_dream_again: bool
    remedy: str


FAILURES: dict[FailureCause, FailureAdvice] = {
    "picture": FailureAdvice(False, False, "the picture itself is at fault: mend it, or drop another one"),
    "crash": FailureAdvice(
        False, True, "it ends whatever worker dreams it: dream it again with another recipe, or drop another picture"
    ),
    "memory": FailureAdvice(
        True, True, "allow more memory (workers.memory) or smaller pictures (image.max_side); then retry"
    ),
    "time": FailureAdvice(True, True, "allow more time (limits.timeout_seconds), or shorten the recipe; then retry"),
    "worker": FailureAdvice(True, True, "its worker was ended and not by the picture, as far as one knows; retry"),
    "error": FailureAdvice(True, True, "mend what the reason names; then retry"),
    "cancelled": FailureAdvice(True, True, "somebody cancelled it; to retry takes that back"),
    "replaced": FailureAdvice(False, False, "a mended dream file was put in its place"),
    "gone": FailureAdvice(False, False, "somebody took the picture away while it was worked on"),
}
"""What a person can do about each cause of a failure."""

FieldPath = tuple[str | int, ...]
"""Where a value stands in a YAML file: `("layers", 0, "name")`."""


class DreamdError(Exception):
    """Something went wrong that a person can understand and act on."""

    exit_code: ClassVar[int] = 1


class UsageError(DreamdError):
    """The command line, a config or a recipe asks for something that cannot be."""

    exit_code = 2


class FieldError(UsageError):
    """A field of a YAML file is wrong.

    Args:
        problem: what is wrong with the field and what would be right.
        file: the file, or a name for where the text came from; None when it is not known yet.
        line: the line in the file, from 1; None for the whole file.
        field: the path of the field; () for the whole file.
    """

    def __init__(
        self,
        problem: str,
        *,
        file: Path | str | None = None,
        line: int | None = None,
        field: FieldPath = (),
    ) -> None:
        self.problem = problem
        self.file = file
        self.line = line
        self.field = field
        super().__init__(self._text())

    def _text(self) -> str:
        place = "" if self.file is None else f"{self.file}:" if self.line is None else f"{self.file}:{self.line}:"
        name = f"{dotted(self.field)}:" if self.field else ""
        return " ".join(part for part in (place, name, self.problem) if part)


class ConfigError(FieldError):
    """`config.yaml` is wrong."""


class RecipeError(FieldError):
    """A recipe is wrong; its jobs are held until it is mended."""


@contextmanager
def within(place: FieldPath) -> Iterator[None]:
    """Inside, have every RecipeError tell its field as one that stands in another: a part's, a stage's."""
    try:
        yield
    except RecipeError as error:
        if not place:
            raise
        field = (*place, *error.field)
        raise RecipeError(error.problem, file=error.file, line=error.line, field=field) from error


class PluginError(UsageError):
    """A plugin cannot be loaded, or breaks its contract."""


class NotANumberError(PluginError):
    """A dream came out as not-a-number."""


class NoGradientError(PluginError):
    """What is to grow does not depend on the picture."""


class WeightsError(DreamdError):
    """Weights cannot be had, or are not what they should be."""


class SpaceError(DreamdError):
    """A disk is full."""


class FolderError(DreamdError):
    """A folder, or the disk or share it is on, is not there, cannot be used, or answers with errors."""


class PictureError(DreamdError):
    """A picture cannot be dreamed, and never will be: it is broken, too large, or no picture at all."""


class UnknownNameError(UsageError):
    """A name that nobody has registered.

    Args:
        what: the kind of thing, in words: "layer", "loss".
        word: the name that was asked for.
        known: the names there are.
    """

    def __init__(self, what: str, word: object, known: Iterable[str]) -> None:
        super().__init__(f"no {what} {str(word)!r}; {suggestion(str(word), known)}")


class UnknownLayerError(UnknownNameError):
    """A backbone has no such layer.

    Args:
        layer: the layer that was asked for: its name, or its number in the order they run, from 1.
        layers: the names of the layers there are.
    """

    def __init__(self, layer: str | int, layers: Collection[str]) -> None:
        if isinstance(layer, int):
            super().__init__("layer number", layer, [f"1 to {len(layers)}"])
        else:
            super().__init__("layer", layer, layers)


def hold_cause(error: BaseException) -> HoldCause | None:
    """Return why to hold a job that raised an error; None when holding would not help."""
    causes: tuple[tuple[type[BaseException], HoldCause], ...] = (
        (PluginError, "plugin"),
        (WeightsError, "weights"),
        (SpaceError, "space"),
        (FolderError, "folder"),
        (UsageError, "recipe"),
    )
    return next((cause for kind, cause in causes if isinstance(error, kind)), None)


def dotted(field: FieldPath) -> str:
    """Write a field's path as people do: `layers[0].name`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in field)
    return text.removeprefix(".")
