"""The channels of a layer that a recipe asks for: by number, by label, or by what the layer sees."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, SerializerFunctionWrapHandler, Tag, model_serializer, model_validator

from dreamd.settings.fields import Count, FieldModel, Index

Strength = Literal["strongest", "weakest", "random"]
"""What channels may be chosen by."""


class ChannelChoice(FieldModel):
    """Channels that are chosen by what the layer sees; each picture has its own.

    Give one of `strongest`, `weakest` and `random`.

    Attributes:
        strongest: how many, of those whose mean over the picture is greatest.
        weakest: how many, of those whose mean over the picture is least.
        random: how many, drawn by the recipe's `seed`.
        when: `once` chooses them in the picture as it came, at the start of the dream; `octave` chooses them anew at
            the start of each ascent, in the picture as it is then.
    """

    strongest: Count | None = None
    weakest: Count | None = None
    random: Count | None = None
    when: Literal["once", "octave"] = "once"

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if sum(count is not None for count in (self.strongest, self.weakest, self.random)) != 1:
            raise ValueError("give one of strongest, weakest and random")
        return self

    @model_serializer(mode="wrap")
    def _without_the_others(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {field: value for field, value in handler(self).items() if value is not None}

    @property
    def by(self) -> Strength:
        """What they are chosen by."""
        if self.strongest is not None:
            return "strongest"
        return "weakest" if self.weakest is not None else "random"

    @property
    def count(self) -> int:
        """How many are chosen."""
        return self.strongest or self.weakest or self.random or 0


def _kind_of_channel(value: object) -> str:
    return "label" if isinstance(value, str) else "number"


def _kind_of_channels(value: object) -> str:
    return "choice" if isinstance(value, dict | ChannelChoice) else "list"


Channel = Annotated[
    Annotated[Index, Tag("number")] | Annotated[str, Field(min_length=1), Tag("label")],
    Discriminator(_kind_of_channel),
]
"""A channel by its number, from 0, or by its label."""

Channels = Annotated[
    Annotated[tuple[Channel, ...], Field(min_length=1), Tag("list")] | Annotated[ChannelChoice, Tag("choice")],
    Discriminator(_kind_of_channels),
]
"""Channels by number and label, or how they are chosen."""
