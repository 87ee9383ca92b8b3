"""The section `film` of a recipe: how the frames of a film follow each other."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from dreamd.settings.fields import Count, FieldModel, Flag, Integer, Number, Share
from dreamd.settings.recipes.values.choices import PluginChoice

Codec = Literal["auto", "h264", "hevc", "vp9", "av1"]
"""What a film's frames may be coded with."""


class Film(FieldModel):
    """How frames follow each other, in a film that is dreamed and in one that is made out of a picture.

    Attributes:
        every: dream every so many frames; those between follow the motion of the film. 2 takes half the time.
        keep: how much of the dream of the frame before is carried along the motion into the next, so that the film does
            not flicker; 0 dreams each frame for itself.
        effort: the share of the recipe's iterations for a frame into which a dream is carried: that need not dream it
            all again. With `keep: 0.9`, 0.2 dreams as much in the end as each frame for itself, and more piles up.
        cuts: whether a frame that shows another scene than the one before begins anew.
        frames: make a film of so many frames out of one picture, each frame out of the one before; null dreams pictures
            as pictures.
        fps: the frames a second of such a film.
        step: what is done to each frame of such a film before the next is dreamed out of it, in order.
        tone: how far the colours of such a film are held to those of its first frame, from 0 to 1: else they drift.
        back: whether such a film runs backwards to its first frame after the last, so that it can go round.
        loop: how often an animation is shown, 0 for ever; null is as the original has it, and for ever where a picture
            became one.
    """

    every: Integer = Field(default=1, ge=1, le=16)
    keep: Share = 0.9
    effort: Share = 0.2
    cuts: Flag = True
    frames: Count | None = None
    fps: Number = Field(default=30.0, ge=1.0, le=120.0)
    step: tuple[PluginChoice, ...] = (PluginChoice(name="zoom"),)
    tone: Share = 0.5
    back: Flag = False
    loop: Integer | None = Field(default=None, ge=0, le=65_535)
