"""Flow: how tensors go through a network from module to module, found by running it once.

From it follows what can be computed together: a batch norm with the convolution before it, a clamp with either. What
counts is each tensor's way and not a network's kind, so that any network of torch's own modules gains by it.

Knows networks of torch's own modules. Knows no weights and no devices.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves


@dataclass(frozen=True)
class Pair:
    """A convolution whose output goes into a batch norm and nowhere else.

    Attributes:
        convolution: the name of the convolution's module.
        norm: the name of the batch norm's module.
        shown_by: the modules that give what the convolution gives: itself, and those that end with it.
    """

    convolution: str
    norm: str
    shown_by: tuple[str, ...]


@dataclass(frozen=True)
class Clamp:
    """A ReLU or another clamp of a convolution's output, which goes nowhere else.

    Attributes:
        convolution: the name of the convolution's module.
        norm: the name of the batch norm between the two; None for none.
        activation: the name of the clamp's module.
        shown_before: the modules that give or are given what is clamped.
        shown_after: the modules that give or are given the clamp's result.
        is_own: whether the result goes into one convolution or pooling and nowhere else, so that the gradient that
            comes back belongs to nobody else.
        pooling: the name of the max pooling's module that the result goes into and nowhere else; None for none.
    """

    convolution: str
    norm: str | None
    activation: str
    shown_before: tuple[str, ...]
    shown_after: tuple[str, ...]
    is_own: bool
    pooling: str | None


@dataclass(frozen=True)
class Flow:
    """What of a network can be computed together, or in place.

    Attributes:
        pairs: the batch norms that can be computed with the convolutions before them, in the order they run.
        clamps: the clamps that can be computed with the convolutions before them.
        overwriting: the other clamps whose input nothing else needs: these modules can work in place.
    """

    pairs: tuple[Pair, ...] = ()
    clamps: tuple[Clamp, ...] = ()
    overwriting: tuple[str, ...] = ()


CLAMPS = (nn.ReLU, nn.ReLU6, nn.Hardtanh)
"""The modules that clamp. Their gradient can be told from their result, so that what they were given is not kept."""

_ADDING = (torch.add, Tensor.add, Tensor.add_, Tensor.__add__, Tensor.__radd__, Tensor.__iadd__)
_MAKE_ANEW = (torch.conv2d, F.batch_norm, torch.cat, *_ADDING)
"""The functions whose result is their own, and whose gradient does not need it."""

_OWN_GRADIENT = (torch.conv2d, F.pad, F.max_pool2d, F.avg_pool2d)
"""The functions whose gradient for what they were given is a tensor of its own."""

_Key = tuple[int, int]
"""A tensor's identity and its version: what is written over becomes another."""


def flow_of(network: nn.Module, side: int) -> Flow:
    """Find the flow of a frozen network, by running it once.

    Args:
        network: the network, in evaluation mode, on the CPU.
        side: the side in pixels of the picture to run it on.
    """
    trace = _Trace(network)
    with torch.no_grad(), trace:
        network(torch.zeros(1, 3, side, side))
    pairs = tuple(trace.pairs())
    clamps = tuple(trace.clamps(pairs))
    fused = {clamp.activation for clamp in clamps}
    return Flow(pairs, clamps, tuple(name for name in trace.overwriting() if name not in fused))


@dataclass(frozen=True)
class _Run:
    """A module that ran, and the tensors that it was given and gave; None where that is none or several."""

    name: str
    given: _Key | None
    gave: _Key | None


class _Trace(TorchFunctionMode):
    """Sees which functions and modules tensors go through.

    Functions are watched, so that what a network adds or joins between its modules counts as well.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self._modules = dict(network.named_modules())
        self._hooks = ExitStack()
        self._alive: dict[int, Tensor] = {}  # no other tensor shall get the identity of one that is gone
        self._made_by: dict[_Key, Callable[..., Any]] = {}
        self._uses: dict[_Key, list[Callable[..., Any]]] = defaultdict(list)
        self._weights: dict[_Key, int] = {}
        self._norms: dict[_Key, tuple[int, _Key]] = {}
        self._parameters: Counter[int] = Counter()
        self._runs: list[_Run] = []

    def __enter__(self) -> _Trace:
        for name, module in self._modules.items():
            self._hooks.callback(module.register_forward_hook(self._noted(name)).remove)
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        self._hooks.close()

    def _noted(self, name: str) -> Callable[[nn.Module, tuple[Any, ...], Any], None]:
        given: list[_Key | None] = []

        def remember(_module: nn.Module, inputs: tuple[Any, ...]) -> None:
            given.append(_key(inputs[0]) if len(inputs) == 1 else None)

        def note(_module: nn.Module, _inputs: tuple[Any, ...], output: Any) -> None:
            self._runs.append(_Run(name, given.pop(), _key(output)))

        self._hooks.callback(self._modules[name].register_forward_pre_hook(remember).remove)
        return note

    def __torch_function__(
        self, func: Any, _types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        used = {id(value): value for value in tree_leaves((args, kwargs)) if isinstance(value, Tensor)}
        keys = {identity: (identity, value._version) for identity, value in used.items()}
        result = func(*args, **kwargs or {})
        if isinstance(result, Tensor) or func is Tensor.__setitem__:
            for identity, key in keys.items():
                self._uses[key].append(func)
                self._parameters[identity] += isinstance(used[identity], nn.Parameter)
        if isinstance(result, Tensor):
            self._note_result(func, args, result, keys)
        return result

    def _note_result(self, func: Any, args: tuple[Any, ...], result: Tensor, keys: dict[int, _Key]) -> None:
        made = (id(result), result._version)
        self._alive[id(result)] = result
        self._made_by.setdefault(made, func)
        if func is torch.conv2d and isinstance(args[1], nn.Parameter):
            self._weights[made] = id(args[1])
        elif func is F.batch_norm:
            self._norms[keys[id(args[0])]] = (id(args[1]), made)
            self._parameters[id(args[1])] += 1

    def pairs(self) -> Iterator[Pair]:
        """Yield each pair whose convolution, norm and tensor between them are used once."""
        convolutions = {id(m.weight): name for name, m in self._modules.items() if isinstance(m, nn.Conv2d)}
        norms = {id(m.running_mean): name for name, m in self._modules.items() if _is_understood(m)}
        for output, weight in self._weights.items():
            mean, _ = self._norms.get(output, (None, None))
            once = self._is_used_once(output) and self._parameters[weight] == self._parameters[mean or 0] == 1
            if weight in convolutions and mean in norms and once:
                showing = tuple(run.name for run in self._runs if run.gave == output)
                yield Pair(convolutions[weight], norms[mean], showing)

    def clamps(self, pairs: Sequence[Pair]) -> Iterator[Clamp]:
        """Yield each clamp behind a convolution, or behind one of the pairs."""
        convolutions = {id(m.weight): name for name, m in self._modules.items() if isinstance(m, nn.Conv2d)}
        norms = {pair.convolution: pair.norm for pair in pairs}
        alone = self._clamps_that_run_once()
        for raw, weight in self._weights.items():
            name = convolutions.get(weight)
            if name is None or self._parameters[weight] != 1 or not self._is_used_once(raw):
                continue
            norm = norms.get(name)
            clamped = raw if norm is None else self._norms[raw][1]
            clamp = alone.get(clamped) if self._is_used_once(clamped) else None
            if clamp is not None and clamp.gave is not None:
                uses = self._uses[clamp.gave]
                yield Clamp(
                    convolution=name,
                    norm=norm,
                    activation=clamp.name,
                    shown_before=self._showing(raw, clamped),
                    shown_after=self._showing(clamp.gave),
                    is_own=len(uses) == 1 and uses[0] in _OWN_GRADIENT,
                    pooling=self._pooling_of(clamp.gave),
                )

    def _pooling_of(self, key: _Key) -> str | None:
        """Return the max pooling that a tensor goes into and nowhere else, if it runs once."""
        poolings = [run.name for run in self._runs if type(self._modules[run.name]) is nn.MaxPool2d]
        taking = [run.name for run in self._runs if run.given == key and run.name in poolings]
        return taking[0] if len(taking) == 1 == poolings.count(taking[0]) and self._is_used_once(key) else None

    def overwriting(self) -> Iterator[str]:
        """Yield the modules that clamp, and may write over what they are given each time that they run."""
        storages = Counter(tensor.untyped_storage().data_ptr() for tensor in self._alive.values())
        for name, runs in self._runs_of_clamps().items():
            if all(run.given is not None and self._is_free(run.given, storages) for run in runs):
                yield name

    def _is_free(self, key: _Key, storages: Counter[int]) -> bool:
        """Return whether a tensor is used once, and neither its maker nor another tensor needs its memory."""
        if self._made_by.get(key) not in _MAKE_ANEW or not self._is_used_once(key):
            return False
        return storages[self._alive[key[0]].untyped_storage().data_ptr()] == 1

    def _is_used_once(self, key: _Key) -> bool:
        return len(self._uses[key]) == 1

    def _runs_of_clamps(self) -> dict[str, list[_Run]]:
        runs = defaultdict(list)
        for run in self._runs:
            if type(self._modules[run.name]) in CLAMPS:
                runs[run.name].append(run)
        return runs

    def _clamps_that_run_once(self) -> dict[_Key, _Run]:
        """Return the clamps that run once, by what they are given."""
        alone = [runs[0] for runs in self._runs_of_clamps().values() if len(runs) == 1]
        return {run.given: run for run in alone if run.given is not None and run.gave != run.given}

    def _showing(self, *keys: _Key) -> tuple[str, ...]:
        """Return the modules that give or are given any of some tensors."""
        shown = [run.name for run in self._runs if {run.given, run.gave} & set(keys)]
        return tuple(dict.fromkeys(shown))


def _key(value: object) -> _Key | None:
    return (id(value), value._version) if isinstance(value, Tensor) else None


_CHILDREN_OF_TIMMS = ["drop", "act"]
"""The names of the modules in a norm of timm's, in the order they run after it."""


def _is_understood(module: nn.Module) -> TypeGuard[nn.BatchNorm2d]:
    """Return whether a module is a batch norm whose children run after it."""
    if not isinstance(module, nn.BatchNorm2d) or module.running_mean is None:
        return False
    children = [name for name, _ in module.named_children()]
    return type(module) is nn.BatchNorm2d or children == _CHILDREN_OF_TIMMS
