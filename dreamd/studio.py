"""What the page and its studio say to each other: one line of JSON a message.

The studio is a process of the page's own that dreams small: recipes that are tried before they are saved, and atlases.
JSON and not pickle, because it decodes pictures from anywhere. Pictures go along as base64, so that what is tried
lies nowhere in a tree: a process that ends leaves nothing behind.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from dreamd.json_text import to_json, without_halves

LINE_BYTES = 8 << 20
"""The most bytes of a message."""

TRIAL_SIDE = 256
"""The longest side in pixels of a picture on which a recipe is tried."""


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", val_json_bytes="base64", ser_json_bytes="base64")

    def line(self) -> bytes:
        """Return the message as a line."""
        return to_json(without_halves(self.model_dump(mode="json"))).encode() + b"\n"


class TryOrder(_Message):
    """To the studio: dream a picture by a recipe, small.

    Attributes:
        id: names this order in the answers.
        recipe: the effective recipe as JSON.
        picture: a JPEG, PNG or WebP file.
    """

    type: Literal["try"] = "try"
    id: str
    recipe: str
    picture: bytes


class AtlasOrder(_Message):
    """To the studio: make the atlas of a network, and keep it among the sheets.

    Attributes:
        id: names this order in the answers.
        backbone: the network.
    """

    type: Literal["atlas"] = "atlas"
    id: str
    backbone: str


class CancelOrder(_Message):
    """To the studio: an order is not wanted any more, whether it runs or waits."""

    type: Literal["cancel"] = "cancel"
    id: str


class Going(_Message):
    """From the studio: how far an order is.

    Attributes:
        share: how much of it is done, 0 to 1.
        words: the same in a few words.
        picture: the dream as it is now, a JPEG file; None where there is no new one.
    """

    type: Literal["going"] = "going"
    id: str
    share: float
    words: str
    picture: bytes | None = None


class Ended(_Message):
    """From the studio: an order has ended.

    Attributes:
        picture: the dream, a WebP file; None for an atlas, and where something went wrong.
        seconds: that it took.
        problem: what went wrong, for a person; None where all is well.
    """

    type: Literal["ended"] = "ended"
    id: str
    picture: bytes | None = None
    seconds: float = 0.0
    problem: str | None = None


StudioOrder = TryOrder | AtlasOrder | CancelOrder
"""What the studio is told."""

StudioAnswer = Going | Ended
"""What the studio answers."""

_ORDER: TypeAdapter[StudioOrder] = TypeAdapter(Annotated[StudioOrder, Field(discriminator="type")])
_ANSWER: TypeAdapter[StudioAnswer] = TypeAdapter(Annotated[StudioAnswer, Field(discriminator="type")])


def read_order(line: bytes) -> StudioOrder:
    """Read a line to the studio. Raises ValidationError for what is none."""
    return _ORDER.validate_json(line)


def read_answer(line: bytes) -> StudioAnswer:
    """Read a line of the studio. Raises ValidationError for what is none."""
    return _ANSWER.validate_json(line)
