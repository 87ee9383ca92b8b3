"""Every hook that a plugin may have. The docstrings are the reference in docs/plugins.md.

A plugin is a module with functions of these names, marked `@dreamd.api.hookimpl`. dreamd calls each with a function,
`register`. The plugin calls that once for everything it brings:

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

Now `loss: {name: contrast, power: 3}` works in a recipe. A **keyword-only parameter is a field** of the recipe. Its
annotation validates the field, its default is the field's default, and its line below `Args:` documents it. Annotations
are made of `bool`, `int`, `float`, `str`, `None`, `list`, `tuple`, `dict`, `Literal` and
`Annotated[..., pydantic.Field(ge=0)]`.

A parameter annotated `dreamd.api.Picture` is the path of a picture in the recipe. The function gets the picture,
`[1, 3, H, W]` in [0, 1]. One annotated `dreamd.api.Seen`, of a loss, gets what the loss's layer sees in that picture,
`[1, C, h, w]`. Such a parameter is called `picture` or `…_picture`. One annotated `dreamd.api.Vector`, of a loss, is
the path of a file of numbers, one for each channel of the layer. The loss gets them as one cell, `[1, C, 1, 1]`; the
parameter is called `vector` or `…_vector`. Seen or read, a loss gets the channels that the recipe chooses.

Some keyword parameters are not fields. A function that has one gets it from the engine:

    progress: float                 of gradient steps, optimizers and transforms: how far the ascent is, from 0 to 1
    original: Tensor                of losses: what the loss's layer sees in the original, moved as the picture is
                                    of transforms: the pictures as they came
    random, mask, parameters, momentum      see `dreamd_transforms` and `dreamd_optimizers`

A loss is **maximised, always**. Return what should become smaller with a minus.

A plugin may say which version of `dreamd.api` it was written for: `DREAMD_API = 1`. Where that version cannot be had,
dreamd leaves the plugin out and says so.
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

    from dreamd.engine.network.backbone import Backbone
    from dreamd.executors.executor import Executor
    from dreamd.job import Job
    from dreamd.pictures.film import Film, FilmPlan, FilmWriter

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
            name: the name that recipes use. A `*` makes it a family: `timm/*` answers to `timm/resnet50`.
            build: `build(name, *, ...) -> Backbone`. Make the network with fresh parameters. dreamd loads the weights
                into it, freezes it and moves it to the device.
            weights: where `weights: default` comes from: a `Download`, a `Packaged` file, or a function that takes the
                name and returns one of these. With None there are no default weights, and a recipe must give a path.

        Raises:
            PluginError: the name is taken or malformed, or YAML cannot fill a parameter.
        """


class RegisterLoss(Protocol):
    """`register` of `dreamd_losses`."""

    def __call__(self, name: str, loss: Callable[..., Tensor]) -> None:
        """Register a loss: `loss(activation [N, C, H, W], *, ...) -> [N]`, one value for each picture.

        A value may depend on its own picture only, so that a picture comes out the same in any batch. A recipe may
        name a loss for each layer; the layer `picture` is the picture itself, in [0, 1].

        Is your loss made from sums over the cells of the activation? Then say so with
        `@dreamd.api.summed(part=..., finish=...)`, and large pictures need no memory for the whole activation.
        `part(activation [N, C, h, w], *, ...)` returns the sums of some of the cells, `[N]` or `[N, K]`.
        `finish(sums, *, ...) -> [N]` makes the loss from the sums of all cells. See `plugins/dreamd_plugins/l2.py`.
        """


class RegisterSchedule(Protocol):
    """`register` of `dreamd_schedules`."""

    def __call__(self, name: str, schedule: Callable[..., Iterable[Tensor]]) -> None:
        """Register a schedule: `schedule(image, ascend, *, ...)` yields pictures. The last one is the result.

        `image` is `[N, 3, H, W]` in [0, 1], and the result must be as large. `ascend(image) -> image` runs the recipe's
        ascent at one scale. It takes a picture of any size, on any device, and returns it on the same device, clamped
        to [0, 1].

        `ascend.plan(n)` tells the progress bar how many ascents you will make. `ascend.deterministic` says whether
        equal pictures give equal results. `ascend(image, overwrite=True)` may use the memory of `image`: do not use
        that picture again.

        Do the same each time. When a dream is interrupted, dreamd later runs the schedule again from its start, and
        gives it the ascents that were finished before.
        """


class RegisterGradient(Protocol):
    """`register` of `dreamd_gradients`."""

    def __call__(self, name: str, step: Callable[..., Tensor]) -> None:
        """Register a gradient step: `step(gradient [N, 3, H, W], *, ...) -> [N, 3, H, W]`.

        Treat each picture alone. You may change the gradient in place.
        """


class RegisterParameterization(Protocol):
    """`register` of `dreamd_parameterizations`."""

    def __call__(self, name: str, encode: Callable[..., Tensor], decode: Callable[..., Tensor]) -> None:
        """Register a parameterization: what an ascent moves in place of pixels.

        `encode(image [N, 3, H, W], *, ...) -> [N, ...]` in float32, complex numbers as two real ones;
        `decode(parameters, shape, *, ...) -> image` of that shape, by operations that torch has gradients of. Decoding
        what was encoded gives the image again, as far as the parameters can. Each picture is its own.

        The image lies in [0, 1] where it is the recipe's first; the next gets what the one before encoded. A keyword
        parameter that both have is one field, with the same annotation and default in both.
        """


class RegisterOptimizer(Protocol):
    """`register` of `dreamd_optimizers`."""

    def __call__(
        self,
        name: str,
        step: Callable[..., Tensor],
        *,
        pictures: int | Callable[..., int] = 1,
        steady: bool = False,
    ) -> None:
        """Register an optimizer: `step(gradient [N, ...], state, *, ...) -> move`, of the same shape, upwards.

        The ascent goes as far as the recipe's rate times the move. `state` is a dict of tensors, empty at the start of
        an ascent; what the step remembers it keeps there, and there alone: it is what a checkpoint keeps. Each picture
        is its own. Nothing may wait for a GPU (`.item()`, `if` on a tensor's value): use `torch.where`.

        Args:
            name: its name in recipes.
            step: the function. Of the keyword parameters it is given `parameters`, what moves, `[N, ...]`; `progress`;
                and `momentum`, the recipe's `ascent.momentum`, which only an optimizer that takes it may be used with.
            pictures: how many pictures what it remembers is as large as, or a function of its parameters.
            steady: whether it needs the same gradient at the same place. Recipes that shift or transform the picture
                before each gradient are then refused.
        """


class RegisterTransform(Protocol):
    """`register` of `dreamd_transforms`."""

    def __call__(self, name: str, transform: Callable[..., Tensor], *, differentiable: bool = False) -> None:
        """Register a transform: `transform(image [N, 3, H, W] in [0, 1], *, ...) -> image`, picture by picture.

        A recipe names it under `start` (once, before the dream), `transforms` (before each gradient), `settle` (after
        each move) or `finish` (once, after the dream). Under `transforms` it may return K views of each picture, all of
        one size, `[N * K, 3, h, w]`, those of a picture behind each other; elsewhere it keeps the shape.

        Args:
            name: its name in recipes.
            transform: the function. Of the keyword parameters it is given `random`, a `dreamd.api.Random`; `original`,
                the pictures as they came, at the same size; `mask`, where to dream, `[N, 1, H, W]` from 0 to 1, or
                None; `progress`, from 0 to 1; and `fps`, the frames a second of the film that is made, or 30.
            differentiable: whether torch has gradients of all that it does, so that it may stand under `transforms`.
        """


class CheckSize(Protocol):
    """What a decoder calls before it takes memory for a picture's pixels."""

    def __call__(self, width: int, height: int) -> None:
        """Raise PictureError when a picture of this size has more pixels than `limits.max_pixels`."""


class RegisterDecoder(Protocol):
    """`register` of `dreamd_decoders`."""

    def __call__(
        self,
        name: str,
        decode: Callable[[BinaryIO, CheckSize], NDArray[uint8]],
        *,
        extensions: tuple[str, ...],
    ) -> None:
        """Register a decoder: `decode(file, check_size) -> [H, W, 3]`, 8 bit, sRGB, upright.

        Return `[H, W, 4]` for a picture with an alpha channel. `file` is open for reading, and no longer than
        `limits.max_bytes`.

        Args:
            name: the name that messages use.
            decode: is called in a worker, for files with these endings. Call `check_size(width, height)` as soon as you
                know the size, before you take memory for the pixels. Raise `dreamd.api.PictureError` for a broken file:
                the picture then fails with that text. Any other error is blamed on the plugin.
            extensions: the endings of the files' names, in small letters: `(".dng", ".cr2")`. You cannot have those
                that dreamd reads by itself.

        Raises:
            PluginError: the name or an ending is taken or malformed.
        """


class RegisterFilm(Protocol):
    """`register` of `dreamd_films`."""

    def __call__(
        self,
        name: str,
        open: Callable[[BinaryIO, CheckSize], Film | None],  # noqa: A002 (what it does)
        create: Callable[[FilmPlan, Film | None], FilmWriter],
        *,
        extensions: tuple[str, ...],
    ) -> None:
        """Register what reads and writes films or animations.

        `open(file, check_size)` returns a `dreamd.api.Film`, or None for a file that holds a single picture.
        `create(plan, source)` returns a `dreamd.api.FilmWriter`. `source` is the film that was dreamed, as your `open`
        gave it, so that you can copy its sound; None where another plugin read it, or a picture became a film.

        Args:
            name: the name that messages use.
            open: is called in a worker, for files with these endings. `file` is open for reading, and no longer than
                `limits.max_film_bytes`; it stays open until the film is closed. Call `check_size(width, height)` before
                you take memory for the pixels of a frame. Raise `dreamd.api.PictureError` for a broken file. Hold a few
                frames at a time, however long the film is.
            create: is called in a worker, for results with these endings.
            extensions: the endings of the files' names, in small letters: `(".mp4", ".mov")`. You cannot have those
                that another plugin of films has.
        """


class RegisterExecutor(Protocol):
    """`register` of `dreamd_executors`."""

    def __call__(self, name: str, make: Callable[..., Executor]) -> None:
        """Register an executor: `make(context, *, ...)` returns an object with the methods of `dreamd.api.Executor`.

        Its keyword parameters are what the config gives: `workers: {executor: {name: NAME, ...}}`. With a method
        `examine() -> str`, `dreamd doctor` asks it whether seats can be had; it raises DreamdError with what to do.
        """


class EngineHooks:
    """These plugins are loaded in the worker processes, where torch is."""

    @hookspec
    def dreamd_backbones(self, register: RegisterBackbone) -> None:
        """Bring networks to dream with."""

    @hookspec
    def dreamd_losses(self, register: RegisterLoss) -> None:
        """Bring losses: a loss says what should grow in what a layer sees. It is maximised, always."""

    @hookspec
    def dreamd_schedules(self, register: RegisterSchedule) -> None:
        """Bring schedules: a schedule says at which scales a picture is dreamed, and in which order."""

    @hookspec
    def dreamd_gradients(self, register: RegisterGradient) -> None:
        """Bring gradient steps: a step changes the gradient before that changes the picture."""

    @hookspec
    def dreamd_parameterizations(self, register: RegisterParameterization) -> None:
        """Bring parameterizations: what moves in place of pixels, such as a spectrum."""

    @hookspec
    def dreamd_optimizers(self, register: RegisterOptimizer) -> None:
        """Bring optimizers: which way a gradient moves the picture."""

    @hookspec
    def dreamd_transforms(self, register: RegisterTransform) -> None:
        """Bring transforms: what is done to a picture before, during and after its dream."""

    @hookspec
    def dreamd_decoders(self, register: RegisterDecoder) -> None:
        """Bring decoders: a decoder reads picture files that dreamd cannot read, such as a camera's raw files."""

    @hookspec
    def dreamd_films(self, register: RegisterFilm) -> None:
        """Bring what reads and writes films: frames with their times, and the sound as it is."""


class DaemonHooks:
    """These plugins are loaded in the daemon's own process. They must not import torch."""

    @hookspec
    def dreamd_executors(self, register: RegisterExecutor) -> None:
        """Bring executors: an executor runs jobs, on this machine or another."""

    @hookspec
    def dreamd_job_changed(self, job: Job) -> None:
        """Do something when a job is queued, running, held, done or failed.

        dreamd calls this in a thread of the plugin's own, one job at a time, in the order in which things happen. Take
        your time: wait, try again. Meanwhile up to a thousand jobs are kept for you. When the daemon ends, you have a
        few seconds left.
        """
