"""The ascent as a schedule sees it: a function of pictures, which is kept, resumed and counted behind its back.

Knows one scale at a time. Knows no schedule.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from dreamd.engine.ascents.ascent import Ascended, Midway, ascend, bands
from dreamd.engine.ascents.chance import Random
from dreamd.engine.ascents.climbing import Climbing, Climbings
from dreamd.engine.checkpoint import Checkpoint, FinishedAscent, UnfinishedAscent, checksum
from dreamd.engine.dreamer import Dreamer, Progress
from dreamd.engine.glimpse import Glimpse, reduced
from dreamd.engine.speed.devices import moved, on_cpu
from dreamd.errors import NotANumberError, PluginError


class Ascend:
    """The recipe's ascent at one scale, as a schedule sees it: `ascend(image) -> image`."""

    def __init__(
        self,
        dreamer: Dreamer,
        climbings: Climbings,
        generators: Sequence[torch.Generator],
        on_progress: Callable[[Progress], None],
        checkpoint: Checkpoint | None = None,
        on_glimpse: Callable[[Progress, Glimpse], None] | None = None,
    ) -> None:
        self._dreamer = dreamer
        self._climbings = climbings
        self._random = Random(generators, dreamer.device)
        self._generators = generators
        self._on_progress = on_progress
        self._checkpoint = checkpoint
        self._on_glimpse = on_glimpse
        self._planned = 1
        self.ascents = 0
        self.first_loss: Tensor | None = None
        self.last_loss: Tensor | None = None

    @property
    def deterministic(self) -> bool:
        """Return whether equal pictures give equal results from now on: a schedule need not ascend one twice."""
        return self._climbings.deterministic_from(self.ascents + 1)

    def plan(self, ascents: int) -> None:
        """Say how many ascents there will be, for the progress bar."""
        self._planned = ascents

    def __call__(self, image: Tensor, *, overwrite: bool = False) -> Tensor:
        """Ascend from pictures `[N, 3, H, W]` in [0, 1] of any size; returns the same shape, clamped to [0, 1].

        Args:
            image: the pictures, on any device; the result lies on the same.
            overwrite: let the ascent use the memory of `image`, which the schedule does not need any more. With a very
                large picture every copy counts.

        Raises:
            PluginError: `image` is no pictures.
            NotANumberError: the ascent came out as not-a-number.
        """
        _check_is_pictures(image)
        self.ascents += 1
        if self._checkpoint is None:
            return self._climb(image, overwrite)
        given = checksum(image)
        kept = self._checkpoint.load(self.ascents)
        if kept is not None and self._is_the_same(kept, image, given):
            return self._take_up(kept, image.device)
        result = self._climb(image, overwrite, given)
        self._checkpoint.keep(self._finished_ascent(result, given))
        return result

    @property
    def _climbing(self) -> Climbing:
        return self._climbings.at(self.ascents)

    def _climb(self, image: Tensor, overwrite: bool, given: int = 0) -> Tensor:
        height, width = image.shape[2:]
        mean, std = self._climbing.mean, self._climbing.std
        x = moved(_at_least(image, self._dreamer.backbone.min_side), self._dreamer.device)
        x = (x.sub_(mean) if overwrite else x - mean).div_(std)
        end = self._ascend_from(x, given, (height, width))
        check_finite(end.x)
        self.first_loss, self.last_loss = end.first_loss, end.last_loss
        result = end.x.mul_(std).add_(mean).clamp_(0, 1)[:, :, :height, :width]
        # In torch's own order of memory, as it will be when it was kept: sums in another order differ in the last bit.
        result = result.contiguous()
        return on_cpu(result) if image.device.type == "cpu" else result

    def _ascend_from(self, x: Tensor, given: int, size: tuple[int, int]) -> Ascended:
        self._climbing.choose(x, self.ascents)
        since = self._since(x, given)
        climb = self._climbing.climb
        return ascend(
            x,
            self._climbing.gradient,
            climb.settings,
            steps=climb.steps,
            generators=self._generators,
            on_iteration=self._report,
            overwrite=True,
            optimizer=climb.optimizer,
            scene=self._climbing.scene(x.shape, self._random),
            since=since,
            on_midway=lambda midway: self._keep_midway(midway, given),
            on_look=None if self._on_glimpse is None else partial(self._show, self._on_glimpse, size),
        )

    def _show(
        self,
        on_glimpse: Callable[[Progress, Glimpse], None],
        size: tuple[int, int],
        iteration: int,
        pictures: Callable[[], Tensor],
    ) -> None:
        """Let somebody look at the pictures, whose size is without what was added for the network."""
        mean, std = self._climbing.mean, self._climbing.std

        def glimpse(side: int) -> Tensor:
            small = reduced(pictures()[:, :, : size[0], : size[1]], side)
            return small.mul(std).add(mean).clamp(0, 1)

        on_glimpse(self._progress(iteration), glimpse)

    def _since(self, x: Tensor, given: int) -> Midway | None:
        """Where this ascent stood when it was broken off, with everything as it was then."""
        kept = None if self._checkpoint is None else self._checkpoint.load_unfinished(self.ascents)
        fitted = self._climbing.fit is not None
        if kept is None or kept.given != given or kept.generators.shape != self._random.states().shape:
            return None
        if kept.iteration >= self._climbing.climb.settings.iterations or fitted != (kept.fit is not None):
            return None
        self._random.set_states(kept.generators)
        self._climbing.take_up(kept.fit)
        device = x.device
        state = {name: moved(value, device) for name, value in kept.state.items()}
        return Midway(kept.iteration, moved(kept.parameters, device), state, moved(kept.first_loss, device))

    def _keep_midway(self, midway: Midway, given: int) -> None:
        if self._checkpoint is None or not self._checkpoint.is_due():
            return
        self._checkpoint.keep_unfinished(
            UnfinishedAscent(
                number=self.ascents,
                given=given,
                iteration=midway.iteration,
                parameters=midway.parameters,
                state=midway.state,
                first_loss=midway.first_loss,
                generators=self._random.states(),
                fit=self._climbing.fit,
            )
        )

    def _report(self, iteration: int) -> None:
        self._on_progress(self._progress(iteration))

    def _progress(self, iteration: int) -> Progress:
        return Progress(
            ascent=self.ascents,
            ascents=max(self._planned, self.ascents),
            iteration=iteration,
            iterations=self._climbing.climb.settings.iterations,
        )

    def _finished_ascent(self, result: Tensor, given: int) -> FinishedAscent:
        assert self.first_loss is not None
        assert self.last_loss is not None
        return FinishedAscent(
            number=self.ascents,
            given=given,
            images=result,
            first_loss=self.first_loss,
            last_loss=self.last_loss,
            generators=self._random.states(),
            fit=self._climbing.fit,
        )

    def _is_the_same(self, kept: FinishedAscent, image: Tensor, given: int) -> bool:
        """Return whether what was kept is the ascent that is asked for now, in the same kind of dream."""
        losses = (kept.first_loss.shape, kept.last_loss.shape)
        fitted = self._climbing.fit is not None
        same_dream = losses == (image.shape[:1],) * 2 and kept.generators.shape == self._random.states().shape
        same_pictures = kept.given == given and kept.images.shape == image.shape
        return same_dream and same_pictures and fitted == (kept.fit is not None)

    def _take_up(self, kept: FinishedAscent, device: torch.device) -> Tensor:
        """Put everything as it was after an ascent that was kept; returns its result."""
        self._random.set_states(kept.generators)
        self._climbing.take_up(kept.fit)
        self.first_loss, self.last_loss = kept.first_loss, kept.last_loss
        self._report(self._climbing.climb.settings.iterations)
        return moved(kept.images, device)


def _check_is_pictures(image: object) -> None:
    if not isinstance(image, Tensor) or image.dim() != 4 or image.shape[1] != 3 or 0 in image.shape:
        what = f"a tensor of shape {list(image.shape)}" if isinstance(image, Tensor) else f"a {type(image).__name__}"
        raise PluginError(f"the schedule has {what} ascend; it must be pictures [N, 3, H, W]")


def check_finite(image: Tensor) -> None:
    """Raise NotANumberError when a value of pictures `[N, 3, H, W]` is none."""
    finite = torch.stack([image[:, :, band].isfinite().all() for band in bands(image)])
    if not bool(finite.all()):  # the only time that an ascent waits for a GPU
        raise NotANumberError(
            "the dream came out as not-a-number: the loss, a gradient step or the schedule divides by zero or "
            "overflows, or ascent.lr is far too large"
        )


def _at_least(image: Tensor, side: int) -> Tensor:
    """Return the pictures with their edges repeated to the right and below, until no side is shorter."""
    below, right = (max(0, side - length) for length in image.shape[2:])
    return F.pad(image, (0, right, 0, below), mode="replicate") if below or right else image
