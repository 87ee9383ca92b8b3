"""A dream: a schedule of ascents over a batch of equally large pictures.

Knows the whole engine. Knows no files and no recipes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

from dreamd.engine.ascent import Ascended, AscentSettings, GradientStep, Midway, Optimizer, ascend, bands, plain
from dreamd.engine.backbone import Backbone
from dreamd.engine.chain import Chain, Scene
from dreamd.engine.chance import Random
from dreamd.engine.checkpoint import Checkpoint, FinishedAscent, UnfinishedAscent, checksum
from dreamd.engine.objective import Gradient, Objective, Prepare, WholeGradient
from dreamd.engine.outset import Outset, held_beside
from dreamd.engine.speed.deterministic import gpu_algorithms
from dreamd.engine.speed.devices import moved, on_cpu
from dreamd.engine.speed.graphs import GraphedGradient, Graphs
from dreamd.engine.speed.precision import Precision, cast, products_in
from dreamd.engine.tiles.fitting import BatchTooLargeError, FittedGradient, cost_of
from dreamd.engine.tiles.footprint import SMALLEST_TILE, is_out_of_memory, pictures_that_fit
from dreamd.errors import NotANumberError, PluginError

_LEAST_PIXELS = 224 * 224
"""The fewest pixels that a picture is reckoned with. A schedule may dream small ones larger, as the article's does."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a dream is.

    Attributes:
        ascent: the ascent that runs, from 1.
        ascents: how many there will be, as far as the schedule has said.
        iteration: iterations of this ascent that are done.
        iterations: iterations that this ascent has.
    """

    ascent: int
    ascents: int
    iteration: int
    iterations: int

    @property
    def share(self) -> float:
        """Return the share of the dream that is done, 0 to 1, counting every ascent alike."""
        return min(1.0, (self.ascent - 1 + self.iteration / self.iterations) / max(self.ascent, self.ascents))


@dataclass(frozen=True, kw_only=True)
class Dreamer:
    """A backbone made ready to dream towards an objective.

    Attributes:
        backbone: the network, frozen, on `device`, in `precision`.
        objective: what the ascents make larger.
        settings: how the ascents climb.
        schedule: `(image, ascend) → images`; a plugin's function with its parameters filled in.
        steps: what is done to each gradient, in order.
        optimizer: makes a move of each gradient.
        optimizer_pictures: how many pictures the optimizer remembers.
        chain: what stands around the gradient.
        precision: what the backbone computes in.
        exact: in fp32, whether the backbone is the reference, as it was loaded, and not arranged for speed.
        device: where the backbone is.
        deterministic: on a GPU, take only algorithms that give the same bits each time; otherwise the fastest.
        memory: bytes that the process may hold; larger pictures are dreamed in tiles. None: never in tiles.
        graphs: where recordings of gradients are kept, on a GPU; None: nothing is recorded.
    """

    backbone: Backbone
    objective: Objective
    settings: AscentSettings
    schedule: Callable[[Tensor, Ascend], Iterable[Tensor]]
    steps: Sequence[GradientStep] = ()
    optimizer: Optimizer = plain
    optimizer_pictures: int = 1
    chain: Chain = field(default_factory=Chain)
    precision: Precision = Precision.FP32
    exact: bool = True
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    deterministic: bool = True
    memory: int | None = None
    graphs: Graphs | None = None

    @property
    def is_reference(self) -> bool:
        """Return whether the network computes as it was loaded: in fp32, in torch's own order, layer by layer."""
        return self.exact and self.precision is Precision.FP32


@dataclass(frozen=True)
class Dreamed:
    """What came out of a dream.

    Attributes:
        images: the pictures `[N, 3, H, W]` in [0, 1], on the CPU.
        loss_before: each picture's loss at the start of the last ascent.
        loss_after: each picture's loss at the end of the last ascent.
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
        checkpoint: Checkpoint | None = None,
        outset: Outset | None = None,
    ) -> None:
        self._dreamer = dreamer
        self._outset = outset
        self._random = Random(generators, dreamer.device)
        self._gradient = gradient
        self._prepare = _preparation(dreamer)
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
        _check_finite(end.x)
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


def dream(
    images: Tensor,
    dreamer: Dreamer,
    *,
    seeds: Sequence[int],
    on_progress: Callable[[Progress], None] = lambda _progress: None,
    checkpoint: Checkpoint | None = None,
    on_frame: Callable[[Tensor], None] = lambda _images: None,
    mask: Tensor | None = None,
) -> Dreamed:
    """Dream a batch of pictures.

    Args:
        images: the pictures `[N, 3, H, W]`, float32 in [0, 1].
        dreamer: what to dream with.
        seeds: N seeds, of each picture's random numbers.
        on_progress: called in this thread after every iteration, and once for an ascent that had been kept. On a GPU
            it is called a little before the iteration is over there.
        checkpoint: keeps each finished ascent, and where a long one stands. A dream that was broken off goes on from
            what it kept, and ends in the same bytes.
        on_frame: called with the pictures at the start, and each time the schedule yields. They may change afterwards.
        mask: where to dream, `[N, 1, H, W]` from 0 to 1; where it is 0 the pictures stay equal to the bit. None:
            everywhere.

    Raises:
        BatchTooLargeError: memory does not suffice for so many pictures at once.
        NotANumberError: the dream came out as not-a-number.
        PluginError: the schedule yields nothing, or something of another shape.
    """
    pictures = images.shape[0]
    images_given = [images]
    del images  # unless the caller or the schedule keeps them, their memory is free for the ascent
    try:
        with arithmetic_of(dreamer):
            return _run_schedule(images_given, dreamer, seeds, on_progress, checkpoint, on_frame, mask)
    except (RuntimeError, MemoryError) as error:
        if pictures == 1 or not is_out_of_memory(error):
            raise
    # Out here what the failed attempt held is gone, so that a smaller one may succeed.
    raise BatchTooLargeError(pictures)


def _run_schedule(
    images_given: list[Tensor],
    dreamer: Dreamer,
    seeds: Sequence[int],
    on_progress: Callable[[Progress], None],
    checkpoint: Checkpoint | None,
    on_frame: Callable[[Tensor], None],
    mask: Tensor | None,
) -> Dreamed:
    """Dream the only item of a list, which is taken out of it, so that nothing here keeps its memory."""
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    shape = images_given[0].shape
    with WholeGradient(dreamer.backbone.network, dreamer.objective) as whole:
        outset = _outset(dreamer, images_given[0], mask)
        gradient = _gradient_for(whole, dreamer, generators)
        ascend_once = Ascend(dreamer, gradient, generators, on_progress, checkpoint, outset)
        random = Random(generators, dreamer.device)
        with torch.no_grad():
            on_frame(images_given[0])
            given = moved(images_given.pop(), dreamer.device)
            if outset is not None:
                given = outset.started(given, random)
            frames = dreamer.schedule(given, ascend_once)
            del given
            result = _last_of(frames, shape, on_frame)
            if outset is not None:
                result = outset.finished(result, random)
    _check_finite(result)
    return Dreamed(
        on_cpu(result),
        _values(ascend_once.first_loss, shape),
        _values(ascend_once.last_loss, shape),
        gradient.fit.tiling if isinstance(gradient, FittedGradient) else None,
    )


def _outset(dreamer: Dreamer, images: Tensor, mask: Tensor | None) -> Outset | None:
    """What the dream keeps of how it began; None where nothing asks for it."""
    chain, references = dreamer.chain, dreamer.objective.references()
    if chain.is_bare and not (chain.start or chain.finish or references) and mask is None:
        return None
    return Outset(chain, references, moved(images, dreamer.device), mask, min_side=dreamer.backbone.min_side)


def batch_size(dreamer: Dreamer, height: int, width: int, *, most: int) -> int:
    """Return how many pictures of a size in pixels can be dreamed together within the dreamer's memory: 1 to `most`.

    Pictures that are dreamed in tiles are dreamed alone. Call it where no dream runs: it looks into the same network,
    and the first time it takes as long as a small gradient.
    """
    if dreamer.memory is None or most == 1:
        return most
    only = dreamer.backbone.input_size
    with arithmetic_of(dreamer), WholeGradient(dreamer.backbone.network, dreamer.objective) as whole:
        side = only or max(SMALLEST_TILE, dreamer.backbone.min_side)
        cost = cost_of(whole, dreamer.device, _preparation(dreamer), side, _pictures_held(dreamer))
    pixels = max(height * width, _LEAST_PIXELS)
    return max(1, min(most, pictures_that_fit(dreamer.memory, pixels, only**2 if only else pixels, cost)))


@contextmanager
def arithmetic_of(dreamer: Dreamer) -> Iterator[None]:
    """Compute inside as the dreamer's precision and its choice of algorithms say."""
    algorithms = gpu_algorithms(
        dreamer.device, deterministic=dreamer.deterministic, fastest=not dreamer.is_reference
    )  # fmt: skip
    with products_in(dreamer.precision), algorithms:
        yield


def _preparation(dreamer: Dreamer) -> Prepare:
    """Return what brings pictures to what the dreamer's network takes: its only size, its precision."""
    size = dreamer.backbone.input_size

    def prepare(x: Tensor) -> Tensor:
        if size is not None and x.shape[2:] != (size, size):
            x = F.interpolate(x, (size, size), mode="bilinear", antialias=True)
        return x if dreamer.is_reference else cast(x, dreamer.precision)

    return prepare


def _gradient_for(
    whole: WholeGradient, dreamer: Dreamer, generators: Sequence[torch.Generator]
) -> Gradient | FittedGradient:
    """Return a gradient that keeps within the dreamer's memory. A network that takes one size only needs no care."""
    gradient: Gradient = whole
    if dreamer.graphs is not None and not dreamer.objective.references():  # what a recording has seen would stay
        way = (dreamer.precision, dreamer.exact, dreamer.deterministic, dreamer.backbone.input_size)
        gradient = GraphedGradient(whole, dreamer.graphs, way)
    if dreamer.memory is None or dreamer.backbone.input_size is not None:
        return gradient
    return FittedGradient(
        whole,
        gradient=gradient,
        memory=dreamer.memory,
        shortest=dreamer.backbone.min_side,
        pictures=_pictures_held(dreamer),
        generators=generators,
    )


def _pictures_held(dreamer: Dreamer) -> int:
    """Count the whole pictures that are held beside a gradient.

    The one given, the ascent's, its gradient, what the schedule or a gradient step is making, what the optimizer
    remembers, and what the chain holds.
    """
    remembered = bool(dreamer.settings.momentum) if dreamer.optimizer is plain else dreamer.optimizer_pictures
    return 4 + remembered + held_beside(dreamer.chain, dreamer.objective.references())


def _last_of(frames: Iterable[Tensor], shape: torch.Size, on_frame: Callable[[Tensor], None]) -> Tensor:
    """Run a schedule; returns the last image that it yields. Raises PluginError when that is none of that shape."""
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


def _check_is_pictures(image: object) -> None:
    if not isinstance(image, Tensor) or image.dim() != 4 or image.shape[1] != 3 or 0 in image.shape:
        what = f"a tensor of shape {list(image.shape)}" if isinstance(image, Tensor) else f"a {type(image).__name__}"
        raise PluginError(f"the schedule has {what} ascend; it must be pictures [N, 3, H, W]")


def _check_finite(image: Tensor) -> None:
    finite = torch.stack([image[:, :, band].isfinite().all() for band in bands(image)])
    if not bool(finite.all()):  # the only time that an ascent waits for a GPU
        raise NotANumberError(
            "the dream came out as not-a-number: the loss, a gradient step or the schedule divides by zero or "
            "overflows, or ascent.lr is far too large"
        )


def _values(loss: Tensor | None, shape: torch.Size) -> list[float]:
    """Return losses as numbers; 0 for pictures that never ascended."""
    return [0.0] * shape[0] if loss is None else loss.tolist()


def _at_least(image: Tensor, side: int) -> Tensor:
    """Return the pictures with their edges repeated to the right and below, until no side is shorter."""
    below, right = (max(0, side - length) for length in image.shape[2:])
    return F.pad(image, (0, right, 0, below), mode="replicate") if below or right else image
