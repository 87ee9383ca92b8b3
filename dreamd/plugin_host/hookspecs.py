"""Every hook that a plugin may implement. The docstrings are the reference.

A plugin is a module (an entry point, or a file in a plugins folder) with functions of these names, marked
`@dreamd.api.hookimpl`. Each receives a callable, `register`, and calls it once for every thing it brings:

    from dreamd.api import hookimpl

    def contrast(activation, *, power: float = 2.0):
        '''The mean of a power of the activation.

        Args:
            power: 1 counts every neuron alike; more favours the strongest.
        '''
        return activation.abs().pow(power).flatten(1).mean(1)

    @hookimpl
    def dreamd_losses(register):
        register("contrast", contrast)

Then `loss: {name: contrast, power: 3}` in a recipe works. A **keyword-only parameter is a field**: its annotation
validates it, its default is the default, its line in the docstring's `Args:` documents it. Annotations are made of
`bool`, `int`, `float`, `str`, `None`, `list`, `tuple`, `dict`, `Literal`, `Annotated[..., pydantic.Field(ge=0)]`.
One keyword parameter is no field, but is given by the engine to a gradient step that names it:

    progress: float                 how far the ascent is, 0 <= progress < 1

A loss is **maximised, always**: what should become smaller is returned with a minus.

A plugin may state the version of `dreamd.api` that it was written for, `DREAMD_API = 1`, and is then refused with a
clear word where that version is not to be had.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, BinaryIO, Protocol

import pluggy

from dreamd.weights.sources import Source

if TYPE_CHECKING:
    from numpy import uint8
    from numpy.typing import NDArray
    from torch import Tensor

    from dreamd.engine.backbone import Backbone
    from dreamd.executors.executor import Executor, ExecutorContext
    from dreamd.job import Job

hookspec = pluggy.HookspecMarker("dreamd")


class RegisterBackbone(Protocol):
    """`register` of `dreamd_backbones`."""

    def __call__(
        self,
        name: str,
        build: Callable[..., Backbone],
        *,
        weights: Source | Callable[[str], Source] | None = None,
    ) -> None:
        """Register a backbone.

        Args:
            name: its name in recipes, or a pattern with `*` for a whole family: `timm/*`.
            build: `build(name, *, ...) -> Backbone` makes the network with freshly initialised parameters; dreamd
                loads the weights into it, freezes it and moves it to the device.
            weights: what `weights: default` means: a `Download`, a `Packaged` file, or a function of the name that
                returns one. None: there are no default weights, and a recipe must give `weights: PATH`.

        Raises:
            PluginError: the name is taken or malformed, or a parameter has no annotation that YAML could fill.
        """


class RegisterLoss(Protocol):
    """`register` of `dreamd_losses`."""

    def __call__(self, name: str, loss: Callable[..., Tensor]) -> None:
        """Register a loss: `loss(activation [N, C, H, W], *, ...) -> [N]`, one value a picture, maximised.

        Each value must depend on its own picture alone, so that a picture comes out the same in any batch.

        A loss that depends on sums over the cells alone may say so, `@dreamd.api.summed(part=..., finish=...)`: then
        pictures of any size take no memory for the layer's whole activation. `part(activation [N, C, h, w], *, ...)`
        gives the sums of any part of the cells, `[N]` or `[N, K]`; `finish(sums, *, ...) -> [N]` the loss of the sums
        of all. `plugins/dreamd_plugins/l2.py` is an example.
        """


class RegisterSchedule(Protocol):
    """`register` of `dreamd_schedules`."""

    def __call__(self, name: str, schedule: Callable[..., Iterable[Tensor]]) -> None:
        """Register a schedule: `schedule(image, ascend, *, ...)` yields images, the last of which is the result.

        `image` is `[N, 3, H, W]` in [0, 1]; `ascend(image) -> image` is the recipe's ascent at one scale, on a picture
        of any size, clamped to [0, 1]. `ascend.plan(n)` tells the progress bar how many ascents there will be;
        `ascend.deterministic` says whether equal inputs give equal results. The result has the size of `image`.

        `ascend(image, overwrite=True)` may use the memory of `image`, which the schedule must not need any more.

        `image` may lie on a GPU; `ascend` takes pictures on any device, and its result lies on the same. A schedule
        must do the same again when its ascents give the same: a dream that was broken off is gone on with by running
        its schedule again, with the results that were kept in place of the ascents.
        """


class RegisterGradient(Protocol):
    """`register` of `dreamd_gradients`."""

    def __call__(self, name: str, step: Callable[..., Tensor]) -> None:
        """Register a gradient step: `step(gradient [N, 3, H, W], *, ...) -> [N, 3, H, W]`, picture by picture.

        The gradient is the step's own: it may change it in place.
        """


class CheckSize(Protocol):
    """What a decoder asks before it takes memory for a picture's pixels."""

    def __call__(self, width: int, height: int) -> None:
        """Raise PictureError when a picture of so many pixels is larger than `limits.max_pixels` allows."""


class RegisterDecoder(Protocol):
    """`register` of `dreamd_decoders`."""

    def __call__(
        self,
        name: str,
        decode: Callable[[BinaryIO, CheckSize], NDArray[uint8]],
        *,
        extensions: tuple[str, ...],
    ) -> None:
        """Register a decoder of picture files: `decode(file, check_size) -> [H, W, 3]`, 8 bit, sRGB, upright.

        `file` is open for reading, and no longer than `limits.max_bytes`; `[H, W, 4]` has an alpha channel.

        Args:
            name: its name in messages.
            decode: is called for files with these endings, in a worker. It calls `check_size(width, height)` as soon
                as it knows the size and before it takes memory for the pixels, and raises `dreamd.api.PictureError`
                for a file that is broken: such a picture fails, with that text. Any other error is held against the
                plugin.
            extensions: the endings of its files' names, in small letters: `(".dng", ".cr2")`. Those of files that
                dreamd reads by itself are taken.

        Raises:
            PluginError: the name or an ending is taken or malformed.
        """


class RegisterExecutor(Protocol):
    """`register` of `dreamd_executors`."""

    def __call__(self, name: str, make: Callable[[ExecutorContext], Executor]) -> None:
        """Register an executor: `make(context)` returns what `dreamd.api.Executor` describes."""


class EngineHooks:
    """Entry-point group `dreamd.engine`: loaded in worker processes, where torch is."""

    @hookspec
    def dreamd_backbones(self, register: RegisterBackbone) -> None:
        """Bring networks to dream with."""

    @hookspec
    def dreamd_losses(self, register: RegisterLoss) -> None:
        """Bring losses: what of an activation is to grow. Maximised, always."""

    @hookspec
    def dreamd_schedules(self, register: RegisterSchedule) -> None:
        """Bring schedules: over which scales, and in which order, a picture ascends."""

    @hookspec
    def dreamd_gradients(self, register: RegisterGradient) -> None:
        """Bring gradient steps: what is done to a gradient before it moves the picture."""

    @hookspec
    def dreamd_decoders(self, register: RegisterDecoder) -> None:
        """Bring decoders: how picture files are read that dreamd cannot read, such as a camera's raw files."""


class DaemonHooks:
    """Entry-point group `dreamd.daemon`: loaded in the daemon process, which never imports torch."""

    @hookspec
    def dreamd_executors(self, register: RegisterExecutor) -> None:
        """Bring executors: what runs jobs, and where."""

    @hookspec
    def dreamd_job_changed(self, job: Job) -> None:
        """Be told that a job is queued, running, held, done or failed.

        Called in a thread of the plugin's own, in the order in which things happen: it may take its time, wait and try
        again. While it does, at most a thousand jobs are kept for it. When the daemon ends it has a few seconds left.
        """
