"""CUDA graphs: the gradient of pictures of one shape, recorded once and replayed as one launch.

A small picture's iteration is hundreds of kernels of a few microseconds each. Launched one by one, the GPU would wait
for the processor. Random shifts, gradient steps and the step itself are not recorded.

Knows gradients. Knows no ascents.
"""

from __future__ import annotations

import logging
import warnings
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from weakref import ref

import torch
from torch import Tensor

from dreamd.engine.objectives.objective import Prepare, WholeGradient, unchanged
from dreamd.engine.tiles.fitting import signature_of
from dreamd.engine.tiles.footprint import is_out_of_memory
from dreamd.errors import DreamdError

log = logging.getLogger(__name__)

Compute = Callable[[Tensor], tuple[Tensor, Tensor]]
"""A function from pictures to their gradient and their losses."""

Capture = Callable[[Compute, Tensor], Compute]
"""A function that records a computation for pictures like those given. What a recording returns is valid until it runs
again."""

_MOST_PIXELS = 1 << 21
"""The most pixels of a batch that is recorded. An iteration with more takes milliseconds, enough to launch the next
one's kernels."""

_WARM_UPS = 3
"""The runs before a recording, in which cuDNN tries its algorithms and libraries make their workspaces. torch's notes
on CUDA graphs ask for three."""


_BUDGET = 1 << 30
"""The bytes that all recordings of a device may hold when nothing else is said."""

_GRAPH_BYTES = 8 << 20
"""The bytes that a recording is reckoned with beside the pictures and their gradient: a GPU's own notes of it."""

_GRADIENT_TOLERANCE = 1e-2
_LOSS_TOLERANCE = 1e-3
"""The share of its norm by which a recording's gradient, and its loss, may differ from the computation's: bf16's
rounding in another order."""


class Recorder:
    """Records computations as CUDA graphs on one device.

    All recordings share one pool of memory: only one runs at a time, and what it returned is not needed any more when
    the next one runs.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, compute: Compute, x: Tensor) -> Compute:
        """Record. Raises RuntimeError for what cannot be recorded, such as a computation that waits for the GPU."""
        given = x.detach().clone()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.device(self._device):
            current = torch.cuda.current_stream()
            try:
                self._warm_up(compute, given)
                with (
                    _no_word_of_empty_graphs(),
                    torch.cuda.graph(graph, self._pool, self._stream, capture_error_mode="thread_local"),
                ):
                    gradient, loss = compute(given)
            finally:
                torch.cuda.set_stream(current)  # a recording that fails leaves its own one behind

        def replay(pictures: Tensor) -> tuple[Tensor, Tensor]:
            given.copy_(pictures)
            graph.replay()
            return gradient, loss.clone()

        return replay

    def _warm_up(self, compute: Compute, given: Tensor) -> None:
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            for _ in range(_WARM_UPS):
                compute(given)
        torch.cuda.current_stream().wait_stream(self._stream)


@contextmanager
def _no_word_of_empty_graphs() -> Iterator[None]:
    """Inside, torch does not warn of an empty graph: it is one that broke off, and its error says more."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The CUDA Graph is empty")
        yield


@dataclass(frozen=True)
class _Recording:
    """A recording, or that there is none for lack of memory.

    Attributes:
        run: replays it; None: the computation itself is run.
        size: the bytes that it holds.
    """

    run: Compute | None
    size: int


class Graphs:
    """The recordings of one device, one for each network, objective and shape, within a budget of memory.

    The least recently used ones are dropped first. Pictures of many sizes, each with its octaves, take many recordings;
    each of them holds little, since all share the memory that they compute in.
    """

    def __init__(self, capture: Capture, *, device: torch.device | None = None, budget: int = _BUDGET) -> None:
        """Keep no recordings yet.

        Args:
            capture: makes recordings.
            device: the GPU that they run on, which must have finished before one goes; None: it is no GPU.
            budget: the bytes that all recordings may hold.
        """
        self._capture = capture
        self._device = device
        self._budget = budget
        self._kept: OrderedDict[Hashable, _Recording] = OrderedDict()
        self._unrecordable: set[Hashable] = set()

    def __len__(self) -> int:
        return sum(recording.run is not None for recording in self._kept.values())

    def recording(self, what: Hashable, compute: Compute, x: Tensor) -> Compute:
        """Return the recording of a computation for pictures like `x`, or the computation where it cannot be recorded.

        Args:
            what: stands for all that the computation depends on, except the pictures.
            compute: the computation.
            x: the pictures.
        """
        if what in self._unrecordable:
            return compute
        key = (what, x.shape, x.dtype, x.stride())
        if key not in self._kept:
            size = _GRAPH_BYTES + 2 * x.nbytes  # the pictures, and their gradient
            self._drop_until_free(size)
            run = self._record(what, compute, x)
            self._kept[key] = _Recording(run, size)
        self._kept.move_to_end(key)
        return self._kept[key].run or compute

    def release(self) -> bool:
        """Drop all recordings, for the memory that they hold. Returns whether there were any."""
        had_any = len(self) > 0
        self._drop_until_free(self._budget)
        return had_any

    def _drop_until_free(self, size: int) -> None:
        """Drop the least recently used recordings until so many bytes of the budget are free, or none is left."""
        held = sum(recording.size for recording in self._kept.values())
        if held + size > self._budget and self._device is not None:
            torch.cuda.synchronize(self._device)  # a graph must not go while it runs
        while self._kept and held + size > self._budget:
            held -= self._kept.popitem(last=False)[1].size

    def _record(self, what: Hashable, compute: Compute, x: Tensor) -> Compute | None:
        """Record, and compare the recording with the computation once. Returns None when it is of no use."""
        try:
            run = self._capture(compute, x)
            if _agree(run(x), compute(x)):
                return run
        except DreamdError:
            raise
        except RuntimeError as error:
            no_memory = is_out_of_memory(error)
            reason = " ".join(str(error).split())[:300]
        else:
            no_memory = False
            reason = "it does not give the same each time, so the loss depends on more than the activation"
        log.warning("dreaming without a CUDA graph for %s: %s", list(x.shape), reason)
        if no_memory:
            self.release()
        else:
            self._unrecordable.add(what)
        return None


def _agree(replayed: tuple[Tensor, Tensor], computed: tuple[Tensor, Tensor]) -> bool:
    """Return whether a recording gives the gradient and the loss that the computation gives.

    A loss may have a state in Python, such as a count of its calls. A recording would repeat its first call for ever.
    """
    pairs = zip(replayed, computed, (_GRADIENT_TOLERANCE, _LOSS_TOLERANCE), strict=True)
    return all(_is_near(one.nan_to_num(), other.nan_to_num(), share) for one, other, share in pairs)


def _is_near(one: Tensor, other: Tensor, share: float) -> bool:
    return bool((one - other).norm() <= share * other.norm())


class GraphedGradient:
    """The gradient of whole pictures, from recordings that outlive it.

    Args:
        whole: the gradient to record.
        graphs: where the recordings are kept.
        way: stands for all that the computation depends on, except the network, the objective and the pictures.
    """

    def __init__(self, whole: WholeGradient, graphs: Graphs, way: Hashable) -> None:
        self._whole = whole
        self._graphs = graphs
        # A weak reference, so that recordings do not keep the network. One to a network that is gone equals no other.
        # Choices are told apart one by one: a recording reads the tensor that one of them writes its channels into.
        choices = tuple(choice for _, choice in whole.objective.choices())
        self._what = (ref(whole.network), signature_of(whole.objective), choices, way)

    def __call__(self, x: Tensor, prepare: Prepare = unchanged) -> tuple[Tensor, Tensor]:
        """Return the gradient at normalised pictures `x` `[N, 3, H, W]`, and the loss `[N]`, as `WholeGradient` does.

        The gradient is valid until the next call.
        """

        def compute(pictures: Tensor) -> tuple[Tensor, Tensor]:
            return self._whole(pictures, prepare)

        if x.shape[0] * x.shape[2] * x.shape[3] > _MOST_PIXELS:
            return compute(x)
        return self._graphs.recording(self._what, compute, x)(x)

    def seen(self, x: Tensor, prepare: Prepare = unchanged) -> list[Tensor]:
        """Return what each term's layer sees in normalised pictures, as `Gradient` gives it."""
        return self._whole.seen(x, prepare)

    def strengths(self, x: Tensor, prepare: Prepare = unchanged) -> list[Tensor]:
        """Return the mean of each channel of each term's layer in normalised pictures, as `Gradient` gives it."""
        return self._whole.strengths(x, prepare)

    def release(self) -> bool:
        """Drop all recordings, for the memory that they hold. Returns whether there were any."""
        return self._graphs.release()
