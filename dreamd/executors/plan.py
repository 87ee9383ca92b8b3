"""The plan by which workers on the processor share it: cores of their own, and as many threads each.

A dream's last bits may depend on the number of threads (docs/architecture.md). So all workers of a daemon have the same
number, and a picture comes out the same whoever takes it. Knows cores and numbers; knows no config and no process.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby, pairwise

from dreamd.hardware.cores import Core, usable_cores
from dreamd.hardware.memory import total_memory
from dreamd.hardware.processors import count_processors

_MOST_THREADS = "OMP_NUM_THREADS"
"""The environment variable by which somebody bounds the threads of a process."""


@dataclass(frozen=True, kw_only=True)
class Share:
    """What one worker has of the processor.

    Attributes:
        processors: the processors that it runs on; empty: all that the daemon may use.
        threads: how many threads it computes with; None: it counts them by itself.
    """

    processors: tuple[int, ...] = ()
    threads: int | None = None


ALL = Share()
"""The share of a worker that has the processor for itself, or does not dream on it."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What there is to share.

    Attributes:
        cores: the cores that the daemon may use, those of one node side by side.
        count: how many processors it may use at a time, by its affinity and its control groups.
        memory: how many bytes it may use, by the machine and its control groups.
        most_threads: the most threads that somebody allows a process; None: nobody says.
    """

    cores: Sequence[Core]
    count: int
    memory: int
    most_threads: int | None = None

    @classmethod
    def of_process(cls, environment: Mapping[str, str]) -> Machine:
        """Look at what this process may use; `environment` may bound the threads."""
        most = environment.get(_MOST_THREADS, "")
        return cls(
            cores=usable_cores(),
            count=count_processors(),
            memory=total_memory(),
            most_threads=int(most) if most.isdecimal() and int(most) else None,
        )


def plan_shares(workers: int, machine: Machine, *, cards: int = 0, threads: int | None = None) -> list[Share]:
    """Share the processor out among the workers that dream on it.

    A worker gets whole cores, with all their hardware threads, and computes with one thread a core. Its cores are of
    one NUMA node, where there are no fewer workers than nodes. What cannot be divided evenly is nobody's to compute on,
    but somebody's to decode and write on. Each worker of a card keeps a core that no other worker has, as long as there
    are enough: a card that waits for its processor costs more than a core brings.

    Args:
        workers: how many dream on the processor; at least 1.
        machine: what there is.
        cards: how many workers dream elsewhere, on cards of this machine.
        threads: how many threads each computes with; None: as many as its cores pay for.

    Returns:
        A share for each worker. One that has the machine for itself gets no cores of its own, and neither does any
        where there are more workers than processors.
    """
    if workers == 1 and not cards:
        return [Share(threads=threads)]
    groups = _groups(workers, machine.cores, spared=cards, needed=workers * (threads or 1))
    if not groups:
        return [Share(threads=threads or 1)] * workers
    paid_for = min(len(cores) for cores in groups)
    most = min(paid_for, max(1, machine.count // workers), machine.most_threads or paid_for)
    processors = [tuple(sorted(number for core in cores for number in core.processors)) for cores in groups]
    return [Share(processors=each, threads=threads or most) for each in processors]


def plan_troubles(
    workers: int, machine: Machine, *, threads: int | None = None, memory: int | None = None
) -> Iterator[str]:
    """Yield what is wrong with a plan, for a person.

    Args:
        workers: how many dream on the processor.
        machine: what there is.
        threads: how many threads the config wants for each; None: as many as there are processors for.
        memory: how many bytes the config wants for each; None: its part of what is free.
    """
    count = machine.count
    there_are = f"the {count} processors that dreamd may use" if count > 1 else "the one processor that dreamd may use"
    each = f"for each of {workers} workers" if workers > 1 else "for a worker"
    if workers > count:
        yield f"workers.devices: {workers} workers share {there_are} and get in each other's way; name {count} at most"
    elif workers * (threads or 1) > count:
        best = f"auto, or at most {count // workers}, is faster"
        yield f"workers.threads: {threads} threads {each} are more than {there_are}, and wait for each other; {best}"
    if workers * (memory or 0) > machine.memory:
        told, there_is = (f"{size / 1e9:.1f} GB" for size in (memory or 0, machine.memory))
        yield f"workers.memory: {told} {each} are more than the {there_is} that dreamd may use; auto shares them out"


def _groups(workers: int, cores: Sequence[Core], *, spared: int, needed: int) -> list[list[Core]]:
    """Divide cores, or else processors, into one group a worker; none where there are too few.

    Args:
        workers: how many groups.
        cores: what is divided.
        spared: how many are left to others, as long as there are enough.
        needed: how many are enough.
    """
    if workers > len(cores):
        cores = [Core((number,), core.node) for core in cores for number in core.processors]
    if workers > len(cores):
        return []
    cores = cores[: len(cores) - min(spared, max(0, len(cores) - needed))]
    nodes = [list(group) for _, group in groupby(cores, key=lambda core: core.node)]
    if workers < len(nodes):  # then some have cores of several
        return list(_divided(cores, workers))
    return [
        group for node, count in zip(nodes, _spread(workers, nodes), strict=True) for group in _divided(node, count)
    ]


def _spread(workers: int, nodes: Sequence[Sequence[Core]]) -> list[int]:
    """Tell how many workers each node gets, so that the one with the fewest cores has the most that are possible."""
    counts = [0] * len(nodes)
    for _ in range(workers):
        roomiest = max(range(len(nodes)), key=lambda index: len(nodes[index]) // (counts[index] + 1))
        counts[roomiest] += 1
    return counts


def _divided(cores: Sequence[Core], count: int) -> Iterator[list[Core]]:
    """Divide cores into so many groups of neighbours, whose sizes differ by one at most."""
    sizes = [len(cores) // count + (index < len(cores) % count) for index in range(count)] if count else []
    for start, end in pairwise(accumulate(sizes, initial=0)):
        yield list(cores[start:end])
