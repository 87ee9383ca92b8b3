"""Footprint: measures the memory that some work takes, and reckons which tiles fit into how much.

Knows bytes and pixels. Knows no networks and no losses.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, UntypedStorage
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

SMALLEST_TILE = 128
"""The side in pixels of the smallest tile that is chosen. Below it the halo is nearly all of the work: only running out
of memory leads there."""
_TILES = tuple(base << power for power in range(12) for base in (128, 192))
"""The sides in pixels that tiles may have. They are few, so that a slightly different measurement seldom changes a
result's last bit."""

_RESERVE = 700_000_000
"""The bytes that a worker holds before it has a network: torch with CUDA in it, torchvision, timm."""
_SLACK = 1.5
"""The factor on the tensors' bytes for what operations take while they run, and the allocator loses between blocks."""


_OUT_OF_MEMORY = (
    "DefaultCPUAllocator",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUBLAS_STATUS_NOT_INITIALIZED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
)
"""Words of errors that say that memory ran out and have no class of their own."""


@dataclass(frozen=True)
class Cost:
    """What a gradient costs.

    Attributes:
        fixed: bytes of the network, whatever the picture's size.
        pictures: how many whole pictures, in float32, are held besides.
        running: bytes for every pixel that the network looks at at once.
        kept: bytes for every pixel of a picture that is tiled, for its whole activations.
    """

    fixed: int
    pictures: int
    running: float
    kept: float


def choose_tile(memory_bytes: int, shape: torch.Size, cost: Cost, halo: int, held: int = 0) -> int | None:
    """Return the side in pixels of the largest tile that fits, or None when the whole pictures do.

    The network looks at all whole pictures of a batch at once, but only at the tiles of one picture.

    Args:
        memory_bytes: bytes that the process may hold.
        shape: the pictures' shape, `[N, 3, H, W]`.
        cost: what a gradient of them costs.
        halo: the pixels around a tile that the network must look at too.
        held: the values of a picture that is held, where the network looks at smaller views of it.
    """
    batch, channels, height, width = shape
    values = batch * max(channels * height * width, held)
    room = memory_bytes - _RESERVE - cost.fixed - cost.pictures * values * 4
    if batch * height * width * cost.running <= room:
        return None
    room -= round(height * width * cost.kept)

    def fits(tile: int) -> bool:
        return min(tile + 2 * halo, height) * min(tile + 2 * halo, width) * cost.running <= room

    fitting = [tile for tile in _TILES if tile < max(height, width) and fits(tile)]
    return max(fitting, default=SMALLEST_TILE)


def pictures_that_fit(memory_bytes: int, pixels: int, seen: int, cost: Cost) -> int:
    """Return how many pictures fit together, whole; 0 when not even one does.

    Args:
        memory_bytes: bytes that the process may hold.
        pixels: the pixels of a picture.
        seen: the pixels that the network looks at, which may take one size only.
        cost: what a gradient of them costs.
    """
    room = memory_bytes - _RESERVE - cost.fixed
    return max(0, int(room // (pixels * 3 * 4 * cost.pictures + seen * cost.running)))


def halved(tile: int | None, shape: torch.Size, smallest: int) -> int | None:
    """Return the next smaller tile, after the memory did not suffice for this one; None when there is none."""
    half = (tile or max(shape[2:])) // 2
    return half if half >= smallest else None


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory ran out.

    torch's allocator on a GPU has a class for it. The processor's has not, nor have CUDA itself and its libraries.
    """
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _OUT_OF_MEMORY)


def measure_peak(work: Callable[[], object], device: torch.device) -> float:
    """Run some work; returns the most bytes that it holds at once, beyond what was held before."""
    if device.type == "cuda":
        work()  # the first time, cuDNN tries its algorithms, some of which take far more
        before: int = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        work()
        most: int = torch.cuda.max_memory_allocated(device)
        return _SLACK * (most - before)
    return _SLACK * _peak_of_tensors(_LiveTensors(), work)


def measure_tensors(work: Callable[[], object]) -> int:
    """Run some work on the processor that is no network's; returns the most bytes that it holds at once.

    What counts are the tensors made inside, and the copies that convolutions of few channels make on the way.
    """
    return _peak_of_tensors(_LiveTensors(hidden=_copies_in_blocks), work)


_BLOCK = 16
"""The channels that oneDNN keeps beside each other: of fewer it makes a copy as large as if there were so many."""


def _copies_in_blocks(func: object, given: Sequence[Tensor], made: Sequence[Tensor]) -> int:
    """Return the bytes of the copies that an operation makes of pictures on the way; of one channel it takes none."""
    if func not in (torch.ops.aten.convolution.default, torch.ops.aten.convolution_backward.default):
        return 0
    copied = [tensor for tensor in given if tensor.dim() == 4 and tensor.shape[1] > 1] + list(made)
    return sum(each.nbytes // each.shape[1] * _BLOCK for each in copied if each.dim() == 4 and each.shape[1] < _BLOCK)


_Hidden = Callable[[object, Sequence[Tensor], Sequence[Tensor]], int]


class _LiveTensors(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of all tensors made inside that are still alive.

    The process's own figures would not do: they change with what the allocator kept from earlier work.
    """

    def __init__(self, hidden: _Hidden = lambda _func, _given, _made: 0) -> None:
        """Count nothing yet.

        Args:
            hidden: gives the bytes that an operation holds while it runs, beside what it is given and makes.
        """
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak = 0
        self._hidden = hidden
        self._now = 0
        self._known: set[int] = set()

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Nothing here is compiled: torch shall not load its compiler, which takes longer than torch itself."""
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        del types
        for storage in _storages((args, kwargs)):
            self._meet(storage, 0)  # it was there before
        result = func(*args, **(kwargs or {}))
        for storage in _storages(result):
            self._meet(storage, storage.nbytes())
        self.peak = max(self.peak, self._now + self._hidden(func, _tensors((args, kwargs)), _tensors(result)))
        return result

    def _meet(self, storage: UntypedStorage, size: int) -> None:
        key = storage._cdata
        if key not in self._known:
            self._known.add(key)
            weakref.finalize(storage, self._forget, key, size)
            self._now += size
            self.peak = max(self.peak, self._now)

    def _forget(self, key: int, size: int) -> None:
        self._known.discard(key)
        self._now -= size


def _peak_of_tensors(live: _LiveTensors, work: Callable[[], object]) -> int:
    with live:
        work()
    return live.peak


def _tensors(values: object) -> list[Tensor]:
    tensors = (value for value in tree_leaves(values) if isinstance(value, Tensor))
    return [tensor for tensor in tensors if tensor.layout is torch.strided]


def _storages(values: object) -> list[UntypedStorage]:
    return [tensor.untyped_storage() for tensor in _tensors(values)]
