"""The ascent as a schedule sees it: a function of pictures, which is kept, resumed and counted behind its back.

Knows one scale at a time. Knows no schedule.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from dreamd.engine.ascent import Ascended, Midway, ascend, bands
from dreamd.engine.chain import Scene
from dreamd.engine.chance import Random
from dreamd.engine.checkpoint import Checkpoint, FinishedAscent, UnfinishedAscent, checksum
from dreamd.engine.dreamer import Dreamer, Progress, preparation
from dreamd.engine.objective import Gradient
from dreamd.engine.outset import Outset
from dreamd.engine.speed.devices import moved, on_cpu
from dreamd.engine.tiles.fitting import FittedGradient
from dreamd.errors import NotANumberError, PluginError


class Ascend:
    """The recipe's ascent at one scale, as a schedule sees it: `ascend(image) -> image`."""

    def __init__(
        self,
        dreamer: Dreamer,
        gradient: Gradient | FittedGradient,
        generators: Sequence[torch.Generator],
        on_progress: Callable[[Progress], None],
        checkpoint: Checkpoint | None = None,
        outset: Outset | None = None,
    ) -> None:
        self._dreamer = dreamer
        self._outset = outset
        self._random = Random(generators, dreamer.device)
        self._gradient = gradient
        self._prepare = preparation(dreamer)
        self._generators = generators
        self._on_progress = on_progress
        self._checkpoint = checkpoint
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
        """Return whether equal pictures give equal results, so that a schedule need not ascend one twice."""
        draws = self._dreamer.settings.jitter != 0 or self._dreamer.chain.draws
        return not draws and getattr(self._gradient, "deterministic", True)

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

    def _climb(self, image: Tensor, overwrite: bool, given: int = 0) -> Tensor:
        height, width = image.shape[2:]
        x = moved(_at_least(image, self._dreamer.backbone.min_side), self._dreamer.device)
        x = (x.sub_(self._mean) if overwrite else x - self._mean).div_(self._std)
        end = self._ascend_from(x, given)
        check_finite(end.x)
        self.first_loss, self.last_loss = end.first_loss, end.last_loss
        result = end.x.mul_(self._std).add_(self._mean).clamp_(0, 1)[:, :, :height, :width]
        return on_cpu(result) if image.device.type == "cpu" else result

    def _ascend_from(self, x: Tensor, given: int) -> Ascended:
        since = self._since(x, given)
        return ascend(
            x,
            lambda pictures: self._gradient(pictures, self._prepare),
            self._dreamer.settings,
            steps=self._dreamer.steps,
            generators=self._generators,
            on_iteration=self._report,
            overwrite=True,
            optimizer=self._dreamer.optimizer,
            scene=None if self._outset is None else self._scene(self._outset, x.shape),
            since=since,
            on_midway=lambda midway: self._keep_midway(midway, given),
        )

    def _scene(self, outset: Outset, shape: torch.Size) -> Scene:
        """What stands around the gradient at this size, with everything that it compares with looked at."""
        size = (shape[2], shape[3])
        outset.prepare(size, self._seen_in)
        return Scene(
            chain=self._dreamer.chain,
            mean=self._mean,
            std=self._std,
            given=outset.given(size, self._random),
            look=self._seen,
            originals=outset.originals,
        )

    def _seen_in(self, pictures: Tensor) -> list[Tensor]:
        """What the terms' layers see in pictures in [0, 1], on any device."""
        return self._seen((moved(pictures, self._dreamer.device) - self._mean) / self._std)

    def _seen(self, x: Tensor) -> list[Tensor]:
        return self._gradient.seen(x, self._prepare)

    def _since(self, x: Tensor, given: int) -> Midway | None:
        """Where this ascent stood when it was broken off, with everything as it was then."""
        kept = None if self._checkpoint is None else self._checkpoint.load_unfinished(self.ascents)
        fitted = isinstance(self._gradient, FittedGradient)
        if kept is None or kept.given != given or kept.generators.shape != self._random.states().shape:
            return None
        if kept.iteration >= self._dreamer.settings.iterations or fitted != (kept.fit is not None):
            return None
        self._random.set_states(kept.generators)
        if isinstance(self._gradient, FittedGradient) and kept.fit is not None:
            self._gradient.take_up(kept.fit)
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
                fit=self._gradient.fit if isinstance(self._gradient, FittedGradient) else None,
            )
        )

    def _report(self, iteration: int) -> None:
        self._on_progress(
            Progress(
                ascent=self.ascents,
                ascents=max(self._planned, self.ascents),
                iteration=iteration,
                iterations=self._dreamer.settings.iterations,
            )
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
            fit=self._gradient.fit if isinstance(self._gradient, FittedGradient) else None,
        )

    def _is_the_same(self, kept: FinishedAscent, image: Tensor, given: int) -> bool:
        """Return whether what was kept is the ascent that is asked for now, in the same kind of dream."""
        losses = (kept.first_loss.shape, kept.last_loss.shape)
        fitted = isinstance(self._gradient, FittedGradient)
        same_dream = losses == (image.shape[:1],) * 2 and kept.generators.shape == self._random.states().shape
        same_pictures = kept.given == given and kept.images.shape == image.shape
        return same_dream and same_pictures and fitted == (kept.fit is not None)

    def _take_up(self, kept: FinishedAscent, device: torch.device) -> Tensor:
        """Put everything as it was after an ascent that was kept; returns its result."""
        self._random.set_states(kept.generators)
        if isinstance(self._gradient, FittedGradient) and kept.fit is not None:
            self._gradient.take_up(kept.fit)
        self.first_loss, self.last_loss = kept.first_loss, kept.last_loss
        self._report(self._dreamer.settings.iterations)
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
