"""Backbones: frozen networks whose layers can be looked at.

Pictures reach a network normalised by its own mean and standard deviation. A layer is a module that runs exactly once
in a forward pass; its activation is what the module returns.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from dreamd.engine.network.lookout import Lookout
from dreamd.errors import UnknownLayerError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""The mean and standard deviation of ImageNet's pixels in [0, 1], with which torchvision's models were trained."""

_PROBE_SIDE = 224
"""The side in pixels of the picture that shows a network's layers."""

_STRIP_ROWS = 1024
"""The rows of the strip that shows receptive fields."""


@dataclass(frozen=True)
class Layer:
    """A layer as a person sees it.

    Attributes:
        name: its name in recipes.
        shape: the shape of its activation for a 224×224 picture (or the backbone's own size), without the batch.
        stride: pixels from one of its cells to the next; None where cells have no place in the picture.
        receptive_field: pixels that one cell sees across; None where a cell sees the whole picture.
    """

    name: str
    shape: tuple[int, ...]
    stride: int | None
    receptive_field: int | None


@dataclass(frozen=True, kw_only=True)
class Backbone:
    """A network to dream with.

    Attributes:
        network: the network, which takes normalised pictures `[N, 3, H, W]`.
        mean: the mean of the pixels it was trained on, in [0, 1], one a channel.
        std: the standard deviation of those pixels.
        layers: the name of the module of each layer, in the order they run. None: every module that runs exactly
            once, by its own name.
        default_layer: the layer for recipes that name none. None: the deepest whose cells are 16 pixels apart, where
            classifiers see parts of things.
        input_size: the side in pixels of pictures for a network that takes one size only. They are brought to it
            inside the ascent.
        min_side: the shortest side in pixels that the network takes; smaller pictures are padded inside the ascent.
        labels: the names of the classes that its scores are of, in their order, or a function that returns them, which
            is called when a recipe first names one. None: it has none.
        adapt: turns a state dict as it is published into one with this network's keys.
    """

    network: nn.Module
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    layers: Mapping[str, str] | None = None
    default_layer: str | None = None
    input_size: int | None = None
    min_side: int = 32
    labels: Sequence[str] | Callable[[], Sequence[str]] | None = None
    adapt: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]] = dict

    def frozen(self) -> Backbone:
        """Return the same backbone ready to dream: frozen, in evaluation mode, its layers listed.

        ReLUs stop working in place, since what a hook saw before them would be overwritten.
        """
        self.network.eval().requires_grad_(False)
        for module in self.network.modules():
            if getattr(module, "inplace", False) is True:
                module.inplace = False  # type: ignore[assignment]
        if self.layers is not None and self.default_layer is not None:
            return self
        shapes = _modules_in_order(self)
        return replace(
            self,
            layers=self.layers or {name: name for name in shapes},
            default_layer=self.default_layer or _deepest_of_stride_16(shapes, self.input_size or _PROBE_SIDE),
        )

    def module_name(self, layer: str | int) -> str:
        """Return the module of a layer, given by its name or its number in the order they run, from 1.

        Raises:
            UnknownLayerError: there is no such layer.
        """
        layers = self._layers()
        if isinstance(layer, int):
            if not 1 <= layer <= len(layers):
                raise UnknownLayerError(layer, layers)
            return list(layers.values())[layer - 1]
        if layer not in layers:
            raise UnknownLayerError(layer, layers)
        return layers[layer]

    def class_labels(self) -> tuple[str, ...]:
        """Return the names of its classes, in the order of its scores; none where it has none."""
        return tuple(self.labels() if callable(self.labels) else self.labels or ())

    def describe_layers(self) -> list[Layer]:
        """List every layer with its shape, stride and receptive field, in the order they run.

        Sets the network's parameters to zero: describe a backbone that is made for it.
        """
        return _describe(self)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of every layer's activation as `Layer` has it, in the order they run. Takes one pass."""
        with _looking(self) as look:
            return _shapes(look, self.input_size or _PROBE_SIDE)

    def _layers(self) -> Mapping[str, str]:
        if self.layers is None:
            raise RuntimeError("a backbone has its layers once it is frozen()")
        return self.layers


_RANDOM_FILLINGS = frozenset({Tensor.normal_, Tensor.uniform_})
"""What `torch.nn.init` fills with. Modes do not see all of its functions, `kaiming_normal_` for one."""


class _WithoutInitialisation(TorchFunctionMode):
    """Skips `torch.nn.init`, as torch's documentation of `TorchFunctionMode` shows, and random parameters."""

    def __torch_function__(
        self, func: Any, _types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", None) == "torch.nn.init":
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        if func in _RANDOM_FILLINGS and isinstance(args[0], nn.Parameter):
            return args[0]
        return func(*args, **kwargs)


@contextmanager
def without_initialisation() -> Iterator[None]:
    """Have networks built inside leave their parameters as the memory was, for when weights are loaded anyway."""
    with _WithoutInitialisation():
        yield


def _modules_in_order(backbone: Backbone) -> dict[str, torch.Size]:
    """Run the network; returns the modules that ran exactly once, in their order, with the shape of what they gave."""
    order: list[tuple[str, torch.Size]] = []

    def noted(name: str) -> Callable[[nn.Module, tuple[Any, ...], Any], None]:
        def note(_module: nn.Module, _inputs: tuple[Any, ...], output: Any) -> None:
            if isinstance(output, Tensor):
                order.append((name, output.shape))

        return note

    hooks = [module.register_forward_hook(noted(name)) for name, module in backbone.network.named_modules() if name]
    try:
        with torch.no_grad():
            backbone.network(torch.zeros(1, 3, *[backbone.input_size or _PROBE_SIDE] * 2))
    finally:
        for hook in hooks:
            hook.remove()
    runs = Counter(name for name, _ in order)
    return {name: shape for name, shape in order if runs[name] == 1}


def distinct_layers(network: nn.Module, layers: Mapping[str, str]) -> Iterator[str]:
    """Yield those of some layers, module by name, whose activations no other of them has.

    A dropout gives what it was given; a sequence gives what its last module gives; a batch norm that has modules of
    its own, as timm's have, gives what its activation gives.
    """
    modules = set(layers.values())
    for name, module_name in layers.items():
        module, (parent, _, _) = network.get_submodule(module_name), module_name.rpartition(".")
        if isinstance(module, nn.Identity | nn.Dropout):
            continue
        if parent in modules and isinstance(network.get_submodule(parent), nn.BatchNorm2d):
            continue
        if isinstance(module, nn.Sequential) and len(module):
            last = list(dict(module.named_children()))[-1]
            if f"{module_name}.{last}" in modules:
                continue
        yield name


def _deepest_of_stride_16(shapes: Mapping[str, torch.Size], side: int) -> str:
    """Return the deepest layer of stride 16 or near it: without padding there are fewer cells than pixels by stride."""
    maps = [name for name, shape in shapes.items() if len(shape) == 4 and shape[1] > 1]
    fitting = [name for name in maps if 11 < side / shapes[name][2] < 23]
    return (fitting or maps or list(shapes))[-1]


class _ReachOfConvolutions(TorchFunctionMode):
    """Convolutions of one channel in place of many, which show as well how far a not-a-number reaches.

    What a VGG19 takes half a minute for is then done in a second.
    """

    def __torch_function__(
        self, func: Any, _types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return (_reach if func is torch.conv2d else func)(*args, **kwargs or {})


def _reach(
    x: Tensor, weight: Tensor, _bias: Tensor | None = None, *window: Any, groups: int = 1, **named_window: Any
) -> Tensor:
    """A convolution `[N, C, H, W]` → `[N, C', H', W']` with zeros, whose `window` is stride, padding and dilation."""
    del groups
    one = F.conv2d(x.sum(1, keepdim=True), torch.zeros(1, 1, *weight.shape[2:]), None, *window[:3], **named_window)
    return one.expand(-1, weight.shape[0], -1, -1)


def _describe(backbone: Backbone) -> list[Layer]:
    # An infinity among uninitialised parameters would look like the not-a-number of `_receptive_fields`.
    for parameter in backbone.network.parameters():
        parameter.data.zero_()
    side = backbone.input_size or _PROBE_SIDE
    with _looking(backbone) as look:
        shapes = _shapes(look, side)
        strides = _strides_of_one_size(shapes, side) if backbone.input_size else _strides(shapes, look)
        fields = {} if backbone.input_size else _receptive_fields(look, strides, max(32, backbone.min_side))
    return [Layer(name, shape, strides.get(name), fields.get(name)) for name, shape in shapes.items()]


_Look = Callable[[Tensor], Mapping[str, Tensor]]
"""A function from normalised pictures to what each layer sees in them."""


@contextmanager
def _looking(backbone: Backbone) -> Iterator[_Look]:
    """Look at all layers at once, for their shapes and for not-a-number alone."""
    layers = backbone._layers()
    lookout = Lookout(backbone.network, list(layers.values()))

    def look(x: Tensor) -> dict[str, Tensor]:
        with torch.no_grad(), _ReachOfConvolutions():
            return dict(zip(layers, lookout(x), strict=True))

    try:
        yield look
    finally:
        lookout.close()


def _shapes(look: _Look, side: int) -> dict[str, tuple[int, ...]]:
    """Return the shape of every layer's activation for a square picture, without the batch."""
    return {name: tuple(output.shape[1:]) for name, output in look(torch.zeros(1, 3, side, side)).items()}


def _strides(shapes: Mapping[str, tuple[int, ...]], look: _Look) -> dict[str, int]:
    """Return the pixels from cell to cell, told by how many more cells a larger picture has, whatever its borders."""
    larger = _shapes(look, 2 * _PROBE_SIDE)
    more = {name: larger[name][1] - shape[1] for name, shape in shapes.items() if len(shape) == 3}
    return {name: round(_PROBE_SIDE / cells) for name, cells in more.items() if cells > 0}


def _strides_of_one_size(shapes: Mapping[str, tuple[int, ...]], side: int) -> dict[str, int]:
    """Return the same for networks that take one size only, for layers `[C, H, W]` or `[H, W, C]` of several cells."""
    maps = {name: shape[1] for name, shape in shapes.items() if len(shape) == 3 and shape[1] in (shape[0], shape[2])}
    return {name: round(side / cells) for name, cells in maps.items() if cells > 1}


def _receptive_fields(look: _Look, strides: Mapping[str, int], width: int) -> dict[str, int]:
    """Find the receptive field in pixels of every layer that has one narrower than 1,024.

    A row of not-a-number pixels is put into a strip of 1,024 rows, as wide as the network needs. Not-a-number passes
    through every operation that touches it, even times zero, so it shows exactly which cells see that row. Over one
    stride of neighbouring rows, the numbers of cells that see each of them add up to the receptive field.
    """
    seen_by: dict[str, list[int | None]] = {name: [] for name in strides}
    for offset in range(max(strides.values(), default=0)):
        strip = torch.zeros(1, 3, _STRIP_ROWS, width)
        strip[:, :, _STRIP_ROWS // 2 + offset] = torch.nan
        outputs = look(strip)
        for name, cells in seen_by.items():
            cells.append(_cells_that_see(outputs[name]))
    counts = {name: cells[: strides[name]] for name, cells in seen_by.items()}
    return {name: sum(filter(None, cells)) for name, cells in counts.items() if None not in cells}


def _cells_that_see(output: Tensor) -> int | None:
    """Count the rows of an activation `[1, C, H, W]` where a not-a-number shows; None when it reaches an edge."""
    if output.dim() != 4 or output.shape[2] < 3:
        return None
    reached = output.sum((1, 3))[0].isnan()  # a sum is many times faster than any()
    return None if bool(reached[0]) or bool(reached[-1]) else int(reached.sum())
