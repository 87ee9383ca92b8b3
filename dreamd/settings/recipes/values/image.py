"""The section `image` of a recipe: what is done to the picture before the dream."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator

from dreamd.plugin_host.parameters import USUAL
from dreamd.settings.fields import Count, FieldModel

_SIZE = re.compile(r"[1-9][0-9]{0,4}x[1-9][0-9]{0,4}")
"""A size in pixels: width and height, at most 99,999 each."""


class Image(FieldModel):
    """What is done to the picture before the dream.

    Attributes:
        max_side: the longest side in pixels, to which a larger picture is shrunk first; null keeps its own size.
        mask: where to dream: `alpha` for where the picture is opaque, or the path of a grey picture, white for where.
            Edges may be soft; what is black stays equal to the bit. null is everywhere.
        size: width and height in pixels, as 640x480, of a dream from nothing: of the noise that a dream file, or
            `dreamd dream noise`, begins with. A picture that is given keeps its own size.
        pages: of a file with several pictures, such as a TIFF with pages, `first` dreams the first, and `all` dreams
            each, into the pages of one TIFF. Frames of an animation are no pages: they are always dreamed as a film.
    """

    max_side: Count | None = Field(default=None, json_schema_extra={USUAL: [256, 4096]})
    mask: Annotated[str, Field(min_length=1)] | None = None
    size: str = Field(default="640x480", json_schema_extra={"pattern": f"^{_SIZE.pattern}$"})
    pages: Literal["first", "all"] = "first"

    @field_validator("size")
    @classmethod
    def _is_a_size(cls, value: str) -> str:
        if _SIZE.fullmatch(value) is None:
            raise ValueError("must be WIDTHxHEIGHT in pixels, such as 640x480")
        return value

    @property
    def sides(self) -> tuple[int, int]:
        """The width and height of a dream from nothing, in pixels."""
        width, _, height = self.size.partition("x")
        return int(width), int(height)
