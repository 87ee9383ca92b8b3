"""CUDA graphs: the gradient of pictures of one shape, recorded once and replayed as one launch.

A small picture's iteration is hundreds of kernels of a few microseconds each. Launched one by one, the GPU would wait
for the processor. What a loss compares with goes into a recording beside the pictures, since it changes. Random shifts,
what stands around the gradient, gradient steps and the step itself are not recorded.

Knows gradients. Knows no ascents.
"""

from __future__ import annotations

import logging
import warnings
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from weakref import ref

import torch
from torch import Tensor

from dreamd.engine.objectives.objective import Prepare, WholeGradient, unchanged
from dreamd.engine.objectives.references import showing
from dreamd.engine.tiles.fitting import signature_of
from dreamd.engine.tiles.footprint import is_out_of_memory
from dreamd.errors import DreamdError

log = logging.getLogger(__name__)

Compute = Callable[..., tuple[Tensor, Tensor]]
"""A function from pictures, and what they are compared with, to their gradient and their losses."""

Inputs = Sequence[Tensor]
"""Pictures, and what they are compared with."""

Capture = Callable[[Compute, Inputs], Compute]
"""A function that records a computation for inputs like those given. What a recording returns is valid until it runs
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

    def __call__(self, compute: Compute, inputs: Inputs) -> Compute:
        """Record. Raises RuntimeError for what cannot be recorded, such as a computation that waits for the GPU."""
        given = [each.detach().clone() for each in inputs]
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.device(self._device):
            current = torch.cuda.current_stream()
            try:
                self._warm_up(compute, given)
                with (
                    _no_word_of_empty_graphs(),
                    torch.cuda.graph(graph, self._pool, self._stream, capture_error_mode="thread_local"),
                ):
                    gradient, loss = compute(*given)
            finally:
                torch.cuda.set_stream(current)  # a recording that fails leaves its own one behind

        def replay(*fresh: Tensor) -> tuple[Tensor, Tensor]:
            for each, value in zip(given, fresh, strict=True):
                each.copy_(value)
            graph.replay()
            return gradient, loss.clone()

        return replay

    def _warm_up(self, compute: Compute, given: Inputs) -> None:
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            for _ in range(_WARM_UPS):
                compute(*given)
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

    def recording(self, what: Hashable, compute: Compute, inputs: Inputs) -> Compute:
        """Return the recording of a computation for such inputs, or the computation where it cannot be recorded.

        Args:
            what: stands for all that the computation depends on, except its inputs.
            compute: the computation.
            inputs: the pictures first, which have a gradient.
        """
        if what in self._unrecordable:
            return compute
        key = (what, *((each.shape, each.dtype, each.stride()) for each in inputs))
        if key not in self._kept:
            size = _GRAPH_BYTES + sum(each.nbytes for each in (*inputs, inputs[0]))  # the gradient is like the pictures
            self._drop_until_free(size)
            run = self._record(what, compute, inputs)
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

    def _record(self, what: Hashable, compute: Compute, inputs: Inputs) -> Compute | None:
        """Record, and compare the recording with the computation once. Returns None when it is of no use."""
        try:
            run = self._capture(compute, inputs)
            if _agree(run(*inputs), compute(*inputs)):
                return run
        except DreamdError:
            raise
        except RuntimeError as error:
            no_memory = is_out_of_memory(error)
            reason = " ".join(str(error).split())[:300]
        else:
            no_memory = False
            reason = "it does not give the same each time, so the loss depends on more than the activation"
        log.warning("dreaming without a CUDA graph for %s: %s", list(inputs[0].shape), reason)
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
        self._references = [reference for _, reference in whole.objective.references()]
        self._what = (ref(whole.network), signature_of(whole.objective), choices, way)

    def __call__(self, x: Tensor, prepare: Prepare = unchanged) -> tuple[Tensor, Tensor]:
        """Return the gradient at normalised pictures `x` `[N, 3, H, W]`, and the loss `[N]`, as `WholeGradient` does.

        The gradient is valid until the next call.
        """

        def compute(pictures: Tensor, *values: Tensor) -> tuple[Tensor, Tensor]:
            with showing(self._references, values):
                return self._whole(pictures, prepare)

        values = [reference.value for reference in self._references if reference.value is not None]
        is_measured = len(values) < len(self._references)  # nobody has looked at what is compared with
        if is_measured or x.shape[0] * x.shape[2] * x.shape[3] > _MOST_PIXELS:
            return self._whole(x, prepare)
        inputs = (x, *values)
        return self._graphs.recording(self._what, compute, inputs)(*inputs)

    def seen(self, x: Tensor, prepare: Prepare = unchanged) -> list[Tensor]:
        """Return what each term's layer sees in normalised pictures, as `Gradient` gives it."""
        return self._whole.seen(x, prepare)

    def strengths(self, x: Tensor, prepare: Prepare = unchanged) -> list[Tensor]:
        """Return the mean of each channel of each term's layer in normalised pictures, as `Gradient` gives it."""
        return self._whole.strengths(x, prepare)

    def release(self) -> bool:
        """Drop all recordings, for the memory that they hold. Returns whether there were any."""
        return self._graphs.release()
