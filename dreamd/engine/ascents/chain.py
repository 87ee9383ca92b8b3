"""The chain around a gradient: parameters → picture → view, and the view's gradient back to the parameters.

    parameters ─decode→ picture ─transforms→ view ─[gradient_at]→ gradient at the view
        ↑                                                             │ transforms transposed
        └── settle ← optimizer ← decode transposed ← gradient steps ←─┘

Everything here is computed in float32 and pulled back by autograd. `gradient_at` knows nothing of it. Pictures are
normalised `x` where they climb, and lie in [0, 1] where a parameterization, a transform or a loss of the picture sees
them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from dreamd.engine.ascents.chance import Random
from dreamd.engine.objectives.objective import Term, add_up
from dreamd.engine.objectives.references import Reference, Referring
from dreamd.errors import PluginError

GradientAt = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Normalised pictures `[N, 3, H, W]` → their gradient, which holds until the next call, and their losses `[N]`."""

Shifted = Callable[[Tensor, GradientAt], tuple[Tensor, Tensor]]
"""Takes the gradient of normalised pictures that it shifts first, and shifts the gradient back."""

ASKED_OF_WHOLE_PICTURES = frozenset({"original", "mask"})
"""What a transform may ask for that only whole pictures have, and no views of parts of them."""

Look = Callable[[Tensor], list[Tensor]]
"""Normalised pictures `[N, 3, H, W]` → what the layer of each term of the objective sees in them."""


@dataclass(frozen=True)
class Parameterization:
    """What climbs in place of pixels.

    Attributes:
        encode: pictures `[N, 3, H, W]` in [0, 1] → parameters `[N, ...]`.
        decode: `(parameters, shape) → pictures` of the shape that `encode` was given, differentiable.
    """

    encode: Callable[[Tensor], Tensor]
    decode: Callable[[Tensor, torch.Size], Tensor]


@dataclass(frozen=True)
class Transform:
    """Pictures `[N, 3, H, W]` in [0, 1] → pictures.

    Attributes:
        function: `(image, **asked) → image`.
        asks: the names of the fields of `Given` that the function takes as keyword parameters.
    """

    function: Callable[..., Tensor]
    asks: frozenset[str] = frozenset()

    def __call__(self, image: Tensor, given: Given) -> Tensor:
        """Return the changed pictures."""
        return self.function(image, **{name: getattr(given, name) for name in self.asks})


@dataclass(frozen=True)
class Given:
    """What a transform may ask for by name.

    Attributes:
        random: random numbers, each picture's own.
        original: the pictures as they came, `[N, 3, H, W]` in [0, 1], at the size of those that are changed.
        mask: where to dream, `[N, 1, H, W]` from 0 to 1, at the same size; None for everywhere.
        progress: how far the ascent is, from 0 to 1.
        fps: the frames a second of the film that is made, 30 where there is none.
    """

    random: Random
    original: Tensor | None = None
    mask: Tensor | None = None
    progress: float = 0.0
    fps: float = 30.0


@dataclass(frozen=True)
class Chain:
    """What stands around the gradient. Empty, an ascent moves bare pixels.

    Attributes:
        parameterization: what climbs, from the picture inwards; () for pixels.
        transforms: what is done to the pictures before each gradient; differentiable.
        settle: what is done to the pictures after each move.
        picture_terms: losses of the pictures themselves, taken of the whole, before any shift or transform.
        start: what is done to the pictures once, before the dream.
        finish: what is done to the pictures once, after the dream.
    """

    parameterization: tuple[Parameterization, ...] = ()
    transforms: tuple[Transform, ...] = ()
    settle: tuple[Transform, ...] = ()
    picture_terms: tuple[Term, ...] = ()
    start: tuple[Transform, ...] = ()
    finish: tuple[Transform, ...] = ()

    @property
    def is_bare(self) -> bool:
        """Whether an ascent moves pixels by the gradient of the picture alone."""
        return not (self.parameterization or self.transforms or self.settle or self.picture_terms)

    @property
    def draws(self) -> bool:
        """Whether an ascent by it draws random numbers, so that equal pictures give different results."""
        return any("random" in step.asks for step in (*self.transforms, *self.settle))

    @property
    def asks_for_original(self) -> bool:
        """Whether a transform or a loss of the picture needs the pictures as they came."""
        steps = (*self.transforms, *self.settle, *self.start, *self.finish)
        return any("original" in step.asks for step in steps) or any(map(looks_at_the_original, self.picture_terms))


def looks_at_the_original(term: Term) -> bool:
    """Tell whether a term's loss compares with the original."""
    return isinstance(term.loss, Referring) and term.loss.looks_at_the_original


def changed(image: Tensor, steps: Sequence[Transform], given: Given) -> Tensor:
    """Take pictures through transforms that must keep their shape. Raises PluginError when one does not."""
    for step in steps:
        shape, image = image.shape, step(image, given)
        if image.shape != shape:
            raise PluginError(
                f"a transform made pictures of shape {list(image.shape)} of {list(shape)}; only under `transforms` may "
                "it return views of another size"
            )
    return image


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What an ascent at one size is about, beside its pictures.

    Attributes:
        chain: what stands around the gradient.
        mean: of the network's pixels, `[1, 3, 1, 1]`.
        std: their standard deviation.
        given: what transforms may ask for.
        look: shows what the terms' layers see.
        originals: the references to the original, each with the number of its term.
    """

    chain: Chain
    mean: Tensor
    std: Tensor
    given: Given
    look: Look | None = None
    originals: Sequence[tuple[int, Reference]] = ()

    def image(self, x: Tensor) -> Tensor:
        """Return normalised pictures as pictures in [0, 1]."""
        return x * self.std + self.mean

    def normalised(self, image: Tensor) -> Tensor:
        """Return pictures in [0, 1] normalised."""
        return (image - self.mean) / self.std


class Canvas:
    """The pictures of one ascent, as parameters that move.

    Attributes:
        parameters: what moves, float32 `[N, ...]`.
    """

    def __init__(self, x: Tensor, scene: Scene) -> None:
        """Encode normalised pictures `x` `[N, 3, H, W]`, which then belong to the canvas."""
        self._scene = scene
        self._shapes: list[torch.Size] = []
        self._behind = x.clone() if scene.given.mask is not None else None
        self.parameters = self._encoded(x)
        self._leaf: Tensor | None = None
        self._x: Tensor | None = None

    def pictures(self) -> Tensor:
        """Return the normalised pictures that the parameters stand for."""
        with torch.no_grad():
            return self._decoded(self.parameters)

    def gradient(self, gradient_at: GradientAt, shifted: Shifted, progress: float) -> tuple[Tensor, Tensor]:
        """Return the gradient at the normalised pictures, and their losses `[N]`.

        Args:
            gradient_at: the gradient at normalised views.
            shifted: takes the gradient of views that it shifts first, shifting the gradient back.
            progress: how far the ascent is.
        """
        self._leaf = self.parameters.detach().requires_grad_()
        with torch.enable_grad():
            self._x = self._decoded(self._leaf)
        x = self._x.detach()
        gradient, loss = self._through_transforms(
            x, gradient_at, shifted, replace(self._scene.given, progress=progress)
        )
        return self._with_picture_terms(x, gradient, loss)

    def pulled(self, gradient: Tensor) -> Tensor:
        """Return the gradient at the parameters, for one at the pictures; the graph in between is then gone."""
        leaf, x, self._leaf, self._x = self._leaf, self._x, None, None
        if leaf is None or x is None or x is leaf:
            return gradient
        (own,) = torch.autograd.grad(x, leaf, gradient)
        return own

    def settle(self, progress: float) -> None:
        """Do what is to be done after a move."""
        scene = self._scene
        if scene.chain.settle:
            image = changed(scene.image(self.pictures()), scene.chain.settle, replace(scene.given, progress=progress))
            self.parameters = self._encoded(scene.normalised(image))

    def _encoded(self, x: Tensor) -> Tensor:
        if not self._scene.chain.parameterization:
            return x.contiguous()
        value = self._scene.image(x)
        self._shapes = []
        for number, level in enumerate(self._scene.chain.parameterization):
            if number and value.shape != x.shape:
                raise PluginError(
                    f"parameterization[{number - 1}] made parameters of shape {list(value.shape)} of pictures "
                    f"{list(x.shape)}: it must be the last, since no other can encode that as pictures"
                )
            self._shapes.append(value.shape)
            value = level.encode(value)
        return value.detach().contiguous()

    def _decoded(self, parameters: Tensor) -> Tensor:
        """The normalised pictures; what the mask leaves out is what was there before, whatever the parameters say.

        Composed here and not after the move: so nothing leaks through momentum, smoothing or a spectrum, and soft edges
        are blended once and not once a step.
        """
        x = parameters
        if levels := self._scene.chain.parameterization:
            for level, shape in zip(reversed(levels), reversed(self._shapes), strict=True):
                x = level.decode(x, shape)
            x = self._scene.normalised(x)
        mask = self._scene.given.mask
        if mask is None or self._behind is None:
            return x
        return torch.where(mask > 0, torch.lerp(self._behind, x, mask), self._behind)

    def _through_transforms(
        self, x: Tensor, gradient_at: GradientAt, shifted: Shifted, given: Given
    ) -> tuple[Tensor, Tensor]:
        states = given.random.states()
        leaf = x.detach().requires_grad_()
        with torch.enable_grad():
            views = self._views(leaf, given)
        originals = self._views_of_original(states, given)
        count = len(views) // len(x)
        gradients, losses = [], []
        for number in range(count):  # as many at once as there are pictures, so that they fit as they do without views
            self._look_at_original(None if originals is None else originals[number::count], shifted)
            own, loss = shifted(views[number::count].detach(), gradient_at)
            gradients.append(own if count == 1 else own / count)
            losses.append(loss)
        if views is leaf:
            return gradients[0], losses[0]
        at_views = gradients[0] if count == 1 else torch.stack(gradients, 1).flatten(0, 1)
        (gradient,) = torch.autograd.grad(views, leaf, at_views)
        return gradient, losses[0] if count == 1 else torch.stack(losses).mean(0)

    def _views(self, x: Tensor, given: Given) -> Tensor:
        """The pictures as the network is to see them, normalised: `[N, 3, H, W]`, or several views a picture."""
        scene = self._scene
        if not scene.chain.transforms:
            return x
        image = scene.image(x)
        for step in scene.chain.transforms:
            count = len(image) // len(x)
            image = step(image, given if count == 1 else _for_views(step, given, count))
        if image.dim() != 4 or image.shape[1] != 3 or len(image) % len(x) or not image.numel():
            raise PluginError(
                f"a transform made views of shape {list(image.shape)} of pictures {list(x.shape)}; they must be "
                "[N * K, 3, H, W], the K views of a picture behind each other"
            )
        return scene.normalised(image)

    def _views_of_original(self, states: Tensor, given: Given) -> Tensor | None:
        """The original as the network would see it in the place of the pictures: by the same random numbers."""
        if not self._scene.originals or given.original is None:
            return None
        after = given.random.states()
        given.random.set_states(states)
        views = self._views(self._scene.normalised(given.original), given)
        given.random.set_states(after)
        return views.detach()

    def _look_at_original(self, view: Tensor | None, shifted: Shifted) -> None:
        scene = self._scene
        if view is None or scene.look is None:
            return
        look = scene.look

        def remember(seen: Tensor) -> tuple[Tensor, Tensor]:
            activations = look(seen)
            for index, reference in scene.originals:
                reference.value = activations[index]
            return torch.zeros_like(seen), seen.new_zeros(len(seen))

        shifted(view, remember)

    def _with_picture_terms(self, x: Tensor, gradient: Tensor, loss: Tensor) -> tuple[Tensor, Tensor]:
        scene = self._scene
        if not scene.chain.picture_terms:
            return gradient, loss
        leaf = x.detach().requires_grad_()
        with torch.enable_grad():
            image = scene.image(leaf)
            own_loss = add_up([term(image) for term in scene.chain.picture_terms])
            (own,) = torch.autograd.grad(own_loss.sum(), leaf)
        return gradient + own, loss + own_loss.detach()


def _for_views(step: Transform, given: Given, count: int) -> Given:
    """Return what a transform may ask for of so many views of each picture, which lie anywhere in it."""
    if step.asks & ASKED_OF_WHOLE_PICTURES:
        raise PluginError("a transform that asks for the original or the mask must stand before those that make views")
    return replace(given, random=given.random.repeated(count))


def resized(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Return pictures `[N, C, H, W]` in [0, 1] at another size, clamped, since bicubic overshoots at edges."""
    if image.shape[2:] == size:
        return image
    return F.interpolate(image, size, mode="bicubic", antialias=True).clamp_(0, 1)
