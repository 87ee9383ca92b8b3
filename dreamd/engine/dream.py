"""A dream: a schedule of ascents over a batch of equally large pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

from dreamd.engine.ascent import AscentSettings, GradientStep, ascend, bands
from dreamd.engine.backbone import Backbone
from dreamd.engine.fitting import FittedGradient
from dreamd.engine.objective import Gradient, Objective
from dreamd.engine.precision import Precision, cast, products_in
from dreamd.errors import PluginError


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a dream is.

    Attributes:
        ascent: the ascent that runs, from 1.
        ascents: how many there will be, as far as the schedule has said.
        iteration: iterations of this ascent that are done.
        iterations: iterations of this ascent.
    """

    ascent: int
    ascents: int
    iteration: int
    iterations: int

    @property
    def share(self) -> float:
        """The share of the dream that is done, 0 to 1, counting every ascent alike."""
        return min(1.0, (self.ascent - 1 + self.iteration / self.iterations) / max(self.ascent, self.ascents))


@dataclass(frozen=True, kw_only=True)
class Dreamer:
    """A backbone made ready to dream towards an objective.

    Attributes:
        backbone: frozen, on its device, in its precision.
        objective: what the ascents make larger.
        settings: how they climb.
        schedule: `(image, ascend) → images`; a plugin's function with its parameters filled in.
        steps: what is done to each gradient.
        precision: the backbone's.
        device: the backbone's.
        memory: bytes that the process may hold; larger pictures are dreamed in tiles. None: never in tiles.
    """

    backbone: Backbone
    objective: Objective
    settings: AscentSettings
    schedule: Callable[[Tensor, Ascend], Iterable[Tensor]]
    steps: Sequence[GradientStep] = ()
    precision: Precision = Precision.FP32
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    memory: int | None = None


@dataclass(frozen=True)
class Dreamed:
    """What came out.

    Attributes:
        images: `[N, 3, H, W]` in [0, 1], on the CPU.
        loss_before: each picture's loss at the start of the last ascent.
        loss_after: at its end.
        tiling: how the pictures were cut up at the largest size, in words; None when they were not.
    """

    images: Tensor
    loss_before: list[float]
    loss_after: list[float]
    tiling: str | None = None


class Ascend:
    """The recipe's ascent at one scale, as a schedule sees it: `ascend(image) -> image`."""

    def __init__(
        self,
        dreamer: Dreamer,
        gradient: Gradient | FittedGradient,
        generators: Sequence[torch.Generator],
        on_progress: Callable[[Progress], None],
    ) -> None:
        self._dreamer = dreamer
        self._gradient = gradient
        self._generators = generators
        self._on_progress = on_progress
        self._mean, self._std = (
            torch.tensor(values, device=dreamer.device).view(1, 3, 1, 1)
            for values in (dreamer.backbone.mean, dreamer.backbone.std)
        )
        self._planned = 1
        self.ascents = 0
        self.first_loss: Tensor | None = None
        self.last_loss: Tensor | None = None

    @property
    def deterministic(self) -> bool:
        """Whether equal pictures give equal results, so that a schedule need not ascend one twice."""
        return self._dreamer.settings.jitter == 0 and getattr(self._gradient, "deterministic", True)

    def plan(self, ascents: int) -> None:
        """Say how many ascents there will be, for the progress bar."""
        self._planned = ascents

    def __call__(self, image: Tensor, *, overwrite: bool = False) -> Tensor:
        """Ascend from pictures `[N, 3, H, W]` in [0, 1] of any size; returns the same shape, clamped to [0, 1].

        `overwrite` lets the ascent use the memory of `image`, when the schedule does not need it any more: of a very
        large picture every copy counts.
        """
        self.ascents += 1
        settings = self._dreamer.settings

        def report(iteration: int) -> None:
            self._on_progress(
                Progress(
                    ascent=self.ascents,
                    ascents=max(self._planned, self.ascents),
                    iteration=iteration,
                    iterations=settings.iterations,
                )
            )

        height, width = image.shape[2:]
        x = _at_least(image, self._dreamer.backbone.min_side).to(self._dreamer.device)
        x = (x.sub_(self._mean) if overwrite else x - self._mean).div_(self._std)
        end = ascend(
            x,
            self._gradient_at,
            settings,
            steps=self._dreamer.steps,
            generators=self._generators,
            on_iteration=report,
            overwrite=True,
        )
        _check_finite(end.x)
        self.first_loss, self.last_loss = end.first_loss, end.last_loss
        return end.x.mul_(self._std).add_(self._mean).clamp_(0, 1)[:, :, :height, :width]

    def _gradient_at(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self._gradient(x, self._prepare)

    def _prepare(self, x: Tensor) -> Tensor:
        size = self._dreamer.backbone.input_size
        if size is not None and x.shape[2:] != (size, size):
            x = F.interpolate(x, (size, size), mode="bilinear", antialias=True)
        return cast(x, self._dreamer.precision)


def dream(
    images: Tensor,
    dreamer: Dreamer,
    *,
    seeds: Sequence[int],
    on_progress: Callable[[Progress], None] = lambda _progress: None,
    on_frame: Callable[[Tensor], None] = lambda _images: None,
) -> Dreamed:
    """Dream a batch of pictures.

    Args:
        images: `[N, 3, H, W]`, float32 in [0, 1].
        dreamer: what to dream with.
        seeds: of each picture's random shifts, N of them.
        on_progress: called after every iteration, in this thread.
        on_frame: given the pictures at the start, and each time the schedule yields; they may change afterwards.

    Raises:
        PluginError: the schedule yields nothing, or something of another shape; or the loss is not a number.
    """
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    shape = images.shape
    with products_in(dreamer.precision), Gradient(dreamer.backbone.network, dreamer.objective) as whole:
        gradient = _fitted(whole, dreamer, generators)
        ascend_once = Ascend(dreamer, gradient, generators, on_progress)
        with torch.no_grad():
            on_frame(images)
            frames = dreamer.schedule(images, ascend_once)
            del images  # unless the caller or the schedule keeps them, their memory is free for the ascent
            result = _last_of(frames, shape, on_frame)
    _check_finite(result)
    return Dreamed(
        result.cpu(),
        _values(ascend_once.first_loss, shape),
        _values(ascend_once.last_loss, shape),
        gradient.tiling if isinstance(gradient, FittedGradient) else None,
    )


def _fitted(
    whole: Gradient, dreamer: Dreamer, generators: Sequence[torch.Generator]
) -> Gradient | FittedGradient:  # fmt: skip
    """The gradient within the memory that the dreamer has. A network that takes one size only needs always as much."""
    if dreamer.memory is None or dreamer.backbone.input_size is not None:
        return whole
    return FittedGradient(
        whole,
        memory=dreamer.memory,
        shortest=dreamer.backbone.min_side,
        pictures=_PICTURES_HELD + bool(dreamer.settings.momentum),
        generators=generators,
    )


_PICTURES_HELD = 4
"""The one given, the ascent's, its gradient, and what the schedule or a gradient step is making."""


def _last_of(frames: Iterable[Tensor], shape: torch.Size, on_frame: Callable[[Tensor], None]) -> Tensor:
    """The last image that a schedule yields. Raises PluginError when it is no image of that shape."""
    last: object = None
    if not isinstance(frames, Iterable):
        raise PluginError(f"the schedule returned a {type(frames).__name__}; it must yield pictures")
    for last in frames:
        if isinstance(last, Tensor) and last.ndim == 4:
            on_frame(last)
    if isinstance(last, Tensor) and last.shape == shape:
        return last
    gave = f"pictures of shape {list(last.shape)}" if isinstance(last, Tensor) else f"a {type(last).__name__}"
    raise PluginError(f"the schedule gave {'nothing' if last is None else gave} for pictures of shape {list(shape)}")


def _check_finite(image: Tensor) -> None:
    if not all(bool(image[:, :, band].isfinite().all()) for band in bands(image)):
        raise PluginError(
            "the dream came out as not-a-number: the loss, a gradient step or the schedule divides by zero or overflows"
        )


def _values(loss: Tensor | None, shape: torch.Size) -> list[float]:
    """Losses as numbers; of pictures that never ascended, 0."""
    return [0.0] * shape[0] if loss is None else [float(value) for value in loss]


def _at_least(image: Tensor, side: int) -> Tensor:
    """The picture with its edges repeated to the right and below, until no side is shorter."""
    below, right = (max(0, side - length) for length in image.shape[2:])
    return F.pad(image, (0, right, 0, below), mode="replicate") if below or right else image
