"""Backbones: frozen networks whose layers can be looked at.

Pictures reach a network normalised by its own mean and standard deviation. A layer is a module that runs exactly once
in a forward pass; its activation is what the module returns.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from dreamd.errors import UnknownNameError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Of ImageNet's pixels in [0, 1]; torchvision's models were trained with them."""

_PROBE_SIDE = 224


class EnoughError(BaseException):
    """Ends a forward pass when the deepest wanted layer has run.

    No `Exception`, so that a network which catches those does not swallow it.
    """


@dataclass(frozen=True)
class Layer:
    """A layer as a person sees it.

    Attributes:
        name: its name in recipes.
        shape: of its activation for a 224×224 picture (or the backbone's own size), without the batch.
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
        network: takes pictures `[N, 3, H, W]`, normalised.
        mean: of the pixels it was trained on, in [0, 1], one a channel.
        std: their standard deviation.
        layers: layer name → name of the module, in the order they run. None: every module that runs exactly once,
            by its own name.
        default_layer: the layer for recipes that name none. None: the deepest whose cells are 16 pixels apart, where
            classifiers see parts of things.
        input_size: the only side in pixels that the network takes, if there is but one; pictures are brought to it
            inside the ascent.
        min_side: the shortest side in pixels that the network takes; smaller pictures are padded inside the ascent.
        adapt: turns a state dict as people have it into one with this network's keys.
    """

    network: nn.Module
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    layers: Mapping[str, str] | None = None
    default_layer: str | None = None
    input_size: int | None = None
    min_side: int = 32
    adapt: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]] = dict

    def frozen(self) -> Backbone:
        """The same backbone, ready to dream: frozen, in evaluation mode, its layers listed.

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
        """The module of a layer, given by its name or its number in the order they run, from 1.

        Raises:
            UnknownNameError: there is no such layer.
        """
        layers = self._layers()
        if isinstance(layer, int):
            if not 1 <= layer <= len(layers):
                raise UnknownNameError("layer number", layer, [f"1 to {len(layers)}"])
            return list(layers.values())[layer - 1]
        if layer not in layers:
            raise UnknownNameError("layer", layer, layers)
        return layers[layer]

    def describe_layers(self) -> list[Layer]:
        """Every layer with its shape, stride and receptive field, in the order they run.

        Overwrites the network's parameters (see `_footprints`): describe a backbone that is made for it.
        """
        return _described(self)

    def _layers(self) -> Mapping[str, str]:
        if self.layers is None:
            raise RuntimeError("a backbone has its layers once it is frozen()")
        return self.layers


class Lookout:
    """Runs a network only as far as the deepest of some modules, and returns what these saw.

    Holds hooks in the network until it is closed.
    """

    def __init__(self, network: nn.Module, modules: Sequence[str]) -> None:
        self._network = network
        self._modules = tuple(modules)
        self._seen: dict[str, Tensor] = {}
        wanted = dict.fromkeys(self._modules)
        self._hooks = [network.get_submodule(name).register_forward_hook(self._hook(name)) for name in wanted]

    def __call__(self, x: Tensor) -> list[Tensor]:
        """The activations of the modules, in the order they were given, for normalised pictures `[N, 3, H, W]`."""
        self._seen.clear()
        with suppress(EnoughError):
            self._network(x)
        seen = [self._seen[name] for name in self._modules]
        self._seen.clear()
        return seen

    def close(self) -> None:
        """Take the hooks out of the network."""
        for hook in self._hooks:
            hook.remove()

    def _hook(self, name: str) -> Callable[[nn.Module, tuple[Any, ...], Any], None]:
        def look(_module: nn.Module, _inputs: tuple[Any, ...], output: Any) -> None:
            self._seen[name] = output
            if len(self._seen) == len(self._hooks):
                raise EnoughError

        return look


class _WithoutInitialisation(TorchFunctionMode):
    """Skips `torch.nn.init`, as torch's documentation of `TorchFunctionMode` shows."""

    def __torch_function__(
        self, func: Any, _types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", None) == "torch.nn.init":
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        return func(*args, **kwargs)


@contextmanager
def without_initialisation() -> Iterator[None]:
    """Networks built inside leave their parameters as the memory was: for when weights are loaded anyway."""
    with _WithoutInitialisation():
        yield


def _modules_in_order(backbone: Backbone) -> dict[str, torch.Size]:
    """All modules that run exactly once and return a tensor, in the order they finish, with its shape."""
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


def _deepest_of_stride_16(shapes: Mapping[str, torch.Size], side: int) -> str:
    maps = [name for name, shape in shapes.items() if len(shape) == 4 and shape[1] > 1]
    fitting = [name for name in maps if round(side / shapes[name][2]) == 16]
    return (fitting or maps or list(shapes))[-1]


def _described(backbone: Backbone) -> list[Layer]:
    layers = backbone._layers()
    side = backbone.input_size or _PROBE_SIDE
    shapes = [tuple(output.shape[1:]) for output in _outputs(backbone, torch.zeros(1, 3, side, side))]
    fields = {} if backbone.input_size else _receptive_fields(backbone)
    return [
        Layer(name, shape, _stride(shape, side), fields.get(name)) for name, shape in zip(layers, shapes, strict=True)
    ]


def _outputs(backbone: Backbone, x: Tensor) -> list[Tensor]:
    lookout = Lookout(backbone.network, list(backbone._layers().values()))
    try:
        with torch.no_grad():
            return lookout(x)
    finally:
        lookout.close()


def _stride(shape: tuple[int, ...], side: int) -> int | None:
    """Pixels from cell to cell, for activations `[C, H, W]` that have more than one cell."""
    return round(side / shape[1]) if len(shape) == 3 and shape[1] > 1 else None


_STRIP_ROWS = 1024
_LARGEST_STRIDE = 32


def _receptive_fields(backbone: Backbone) -> dict[str, int]:
    """The receptive field in pixels of every layer that has one narrower than 1,024.

    A row of not-a-number pixels is put into a strip of 1,024 rows. Not-a-number passes through every operation that
    touches it, even times zero, so it shows exactly which cells see that row. Over one stride of neighbouring rows,
    the numbers of cells that see each of them add up to the receptive field. The parameters are set to zero for it: an
    infinity among uninitialised ones would look the same.
    """
    for parameter in backbone.network.parameters():
        parameter.data.zero_()
    seen_by: dict[str, list[int | None]] = {name: [] for name in backbone._layers()}
    rows: dict[str, int] = {}
    for offset in range(_LARGEST_STRIDE):
        strip = torch.zeros(1, 3, _STRIP_ROWS, 32)
        strip[:, :, _STRIP_ROWS // 2 + offset] = torch.nan
        for name, output in zip(seen_by, _outputs(backbone, strip), strict=True):
            seen_by[name].append(_cells_that_see(output))
            rows[name] = output.shape[2] if output.dim() == 4 else 1
    strides = {name: max(1, round(_STRIP_ROWS / rows[name])) for name in seen_by}
    counts = {name: seen_by[name][: strides[name]] for name in seen_by}
    return {name: sum(filter(None, cells)) for name, cells in counts.items() if None not in cells}


def _cells_that_see(output: Tensor) -> int | None:
    """In how many rows of an activation `[1, C, H, W]` a not-a-number shows; None when it reaches an edge."""
    if output.dim() != 4 or output.shape[2] < 3:
        return None
    reached = output.isnan().any(3).any(1)[0]
    return None if bool(reached[0]) or bool(reached[-1]) else int(reached.sum())
