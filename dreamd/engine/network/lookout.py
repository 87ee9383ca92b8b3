"""The lookout: shows what a network's modules give and are given. The one place that says what is looked at.

Knows modules and tensors. Knows no losses.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from dreamd.errors import UsageError

Where = Literal["output", "input", "before_activation"]
"""What of a module is looked at: what it gives, what it is given, or what goes into the activation function at its
end."""


class EnoughError(BaseException):
    """The deepest wanted layer has run, which ends the forward pass.

    It is no `Exception`, so that a network which catches those does not swallow it.
    """


@dataclass(frozen=True)
class Sight:
    """Something to look at in a network.

    Attributes:
        module: the module's name.
        where: what of it.
    """

    module: str
    where: Where = "output"


@dataclass(frozen=True)
class _Glimpse:
    """A tensor as it was seen, and its version then: one that is written over afterwards has another."""

    tensor: Tensor
    version: int

    @property
    def is_spoilt(self) -> bool:
        return self.tensor._version != self.version


class Lookout:
    """Runs a network only as far as the deepest of some sights, and returns what was seen.

    A network may write over what it has just made, as ReLUs do that work in place. That is noticed: the network is run
    once more, and from then on a copy is kept of what is written over.

    Holds hooks in the network until it is closed. There may be several in one network: each looks at its own runs.

    Attributes:
        sights: what is looked at.
    """

    def __init__(self, network: nn.Module, sights: Sequence[Sight | str]) -> None:
        """Put hooks into a network.

        Args:
            network: the network.
            sights: what to look at; the name of a module stands for what it gives.

        Raises:
            UsageError: a module has no activation function, so that nothing is before it.
        """
        self.sights = tuple(Sight(sight) if isinstance(sight, str) else sight for sight in sights)
        self._network = network
        self._wanted = len(set(self.sights))
        self._seen: dict[Sight, _Glimpse] = {}
        self._inputs: dict[Sight, _Glimpse] = {}
        self._outputs: dict[Sight, Tensor] = {}
        self._copied: set[Sight] = set()
        self._is_running = False
        self._hooks: list[Any] = []
        for sight in dict.fromkeys(self.sights):
            self._look_at(sight)

    def __call__(self, x: Tensor) -> list[Tensor]:
        """Return what is seen, in the order of the sights, for normalised pictures `[N, 3, H, W]`."""
        try:
            self._run(x)
            spoilt = {sight for sight, glimpse in self._seen.items() if glimpse.is_spoilt}
            if spoilt:
                self._copied |= spoilt
                self._run(x)
            seen = [self._seen[sight].tensor for sight in self.sights]
            for tensor in seen:
                _keep_order_of_gradient(tensor)
            return seen
        finally:  # also after running out of memory: what was seen must not fill it up
            self._forget()

    def close(self) -> None:
        """Take the hooks out of the network."""
        for hook in self._hooks:
            hook.remove()

    def _run(self, x: Tensor) -> None:
        self._forget()
        self._is_running = True
        try:
            with suppress(EnoughError):
                self._network(x)
        finally:
            self._is_running = False

    def _forget(self) -> None:
        for kept in (self._seen, self._inputs, self._outputs):
            kept.clear()

    def _look_at(self, sight: Sight) -> None:
        module = self._network.get_submodule(sight.module)
        if sight.where == "output":
            self._hooks.append(module.register_forward_hook(lambda _module, _inputs, output: self._note(sight, output)))
        elif sight.where == "input":
            self._hooks.append(module.register_forward_pre_hook(lambda _module, inputs: self._note(sight, inputs[0])))
        else:
            self._hooks += self._hooks_before_activation(sight, module)

    def _hooks_before_activation(self, sight: Sight, module: nn.Module) -> list[Any]:
        """See what goes into the last activation function to run in a module, which must give what the module gives."""
        functions = activations_before(self._network, sight)
        if not functions:
            raise UsageError(_no_activation(sight.module))

        def remember_input(_module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            if self._is_running:
                self._inputs[sight] = self._glimpse(sight, inputs[0])

        def remember_output(_module: nn.Module, _inputs: object, output: Tensor) -> None:
            if self._is_running:
                self._outputs[sight] = output

        def note(_module: nn.Module, _inputs: object, output: Tensor) -> None:
            if not self._is_running:
                return
            if self._outputs.get(sight) is not output:
                raise UsageError(_no_activation(sight.module))
            self._keep(sight, self._inputs[sight])

        befores = [function.register_forward_pre_hook(remember_input) for function in functions]
        afters = [function.register_forward_hook(remember_output) for function in functions]
        return [*befores, *afters, module.register_forward_hook(note)]

    def _glimpse(self, sight: Sight, tensor: Tensor) -> _Glimpse:
        tensor = tensor.clone() if sight in self._copied else tensor
        return _Glimpse(tensor, tensor._version)

    def _note(self, sight: Sight, tensor: Tensor) -> None:
        if self._is_running:
            self._keep(sight, self._glimpse(sight, tensor))

    def _keep(self, sight: Sight, glimpse: _Glimpse) -> None:
        self._seen[sight] = glimpse
        if len(self._seen) == self._wanted:
            raise EnoughError


def _keep_order_of_gradient(tensor: Tensor) -> None:
    """Have the gradient at a tensor come in the tensor's own order of memory, however a loss leaves it.

    A batch norm's gradient of a single picture is wrong for another order (torch 2.14, on the processor).
    """
    if not tensor.requires_grad:
        return
    is_innermost = tensor.dim() == 4 and tensor.is_contiguous(memory_format=torch.channels_last)
    order = torch.channels_last if is_innermost and not tensor.is_contiguous() else torch.contiguous_format
    tensor.register_hook(lambda gradient: gradient.contiguous(memory_format=order))  # type: ignore[no-untyped-call]


def _no_activation(module: str) -> str:
    return (
        f"there is no activation function at the end of module {module!r}, so nothing comes before one; leave out "
        "`activation: before`, or name a layer that ends in one"
    )


_PROBE = (-9.0, -4.0, -2.0, -1.0, -0.3, 0.3, 1.0, 2.0, 4.0, 9.0)
"""Values at which every activation function in use is bent somewhere."""


def is_activation(module: nn.Module) -> bool:
    """Tell whether a module is an activation function: without parts, cell by cell, and no straight line.

    It is tried out, so that a library's own count as well as torch's.
    """
    if isinstance(module, nn.PReLU):
        return True
    if any(True for _ in (*module.children(), *module.parameters(), *module.buffers())):
        return False
    values = torch.tensor(_PROBE).view(1, len(_PROBE), 1, 1)
    try:
        with torch.no_grad():
            there, half, back, twice, nought = (
                module.forward(each)
                for each in (values.clone(), values[:, :5].clone(), -values, 2 * values, 0 * values)
            )
            if there.shape != values.shape or not torch.equal(there[:, :5], half):
                return False
            is_straight = torch.allclose(there + back, 2 * nought, atol=1e-5)
            return not (is_straight and torch.allclose(twice - nought, 2 * (there - nought), atol=1e-5))
    except (RuntimeError, TypeError, ValueError, IndexError, AttributeError, NotImplementedError):
        return False  # it takes something else than one picture's activation


def activations_before(network: nn.Module, sight: Sight) -> list[nn.Module]:
    """Return the activation functions before one of which a sight looks; none when it looks at something else."""
    if sight.where != "before_activation":
        return []
    return [module for module in network.get_submodule(sight.module).modules() if is_activation(module)]
