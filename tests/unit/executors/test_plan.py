"""The plan by which workers share the processor: whole cores, one node each, and the same number of threads."""

from __future__ import annotations

import pytest

from dreamd.executors.plan import Machine, Share, plan_shares, plan_troubles
from dreamd.hardware.cores import Core

GB = 1_000_000_000


def machine(*nodes: int, siblings: int = 1, count: int | None = None, most_threads: int | None = None) -> Machine:
    """A machine with so many cores on each node, of so many hardware threads each."""
    total = sum(nodes)
    numbered = [node for node, number in enumerate(nodes) for _ in range(number)]
    cores = [
        Core(tuple(number + total * sibling for sibling in range(siblings)), node)
        for number, node in enumerate(numbered)
    ]
    return Machine(cores=cores, count=count or total * siblings, memory=16 * GB, most_threads=most_threads)


def processors(shares: list[Share]) -> list[tuple[int, ...]]:
    return [share.processors for share in shares]


def threads(shares: list[Share]) -> set[int | None]:
    return {share.threads for share in shares}


def test_one_worker_has_the_machine_and_counts_its_threads_itself() -> None:
    assert plan_shares(1, machine(8)) == [Share()]
    assert plan_shares(1, machine(8), threads=3) == [Share(threads=3)]


def test_two_workers_have_a_half_each() -> None:
    shares = plan_shares(2, machine(2))
    assert shares == [Share(processors=(0,), threads=1), Share(processors=(1,), threads=1)]


def test_a_core_is_never_divided_while_there_is_one_for_each() -> None:
    shares = plan_shares(2, machine(4, siblings=2))
    assert processors(shares) == [(0, 1, 4, 5), (2, 3, 6, 7)]
    assert threads(shares) == {2}  # a thread a core


def test_two_workers_on_one_core_have_a_hardware_thread_each() -> None:
    assert plan_shares(2, machine(1, siblings=2)) == [
        Share(processors=(0,), threads=1),
        Share(processors=(1,), threads=1),
    ]


def test_what_is_left_over_is_somebodys_but_all_have_the_same_threads() -> None:
    shares = plan_shares(3, machine(8))
    assert processors(shares) == [(0, 1, 2), (3, 4, 5), (6, 7)]
    assert threads(shares) == {2}


@pytest.mark.parametrize("workers", range(2, 17))
def test_no_worker_lies_on_two_nodes_while_there_are_as_many_workers_as_nodes(workers: int) -> None:
    there_is = machine(10, 6)
    shares = plan_shares(workers, there_is)
    node_of = {core.processors[0]: core.node for core in there_is.cores}
    assert len(shares) == workers
    assert all(len({node_of[number] for number in share.processors}) == 1 for share in shares)
    taken = [number for share in shares for number in share.processors]
    assert len(taken) == len(set(taken))
    assert len(threads(shares)) == 1
    assert all(len(share.processors) >= (share.threads or 0) for share in shares)


def test_nodes_have_workers_by_their_size() -> None:
    shares = plan_shares(3, machine(8, 4))
    assert processors(shares) == [(0, 1, 2, 3), (4, 5, 6, 7), (8, 9, 10, 11)]
    assert threads(shares) == {4}


def test_fewer_workers_than_nodes_have_several_each() -> None:
    assert processors(plan_shares(2, machine(2, 2, 2))) == [(0, 1, 2), (3, 4, 5)]


def test_a_quota_bounds_the_threads_of_all_together() -> None:
    shares = plan_shares(2, machine(8, count=5))
    assert [len(share.processors) for share in shares] == [4, 4]
    assert threads(shares) == {2}
    assert threads(plan_shares(4, machine(8, count=1))) == {1}


def test_a_bound_of_the_environment_holds_for_each() -> None:
    assert threads(plan_shares(2, machine(8, most_threads=3))) == {3}
    assert threads(plan_shares(2, machine(8, most_threads=30))) == {4}


def test_workers_of_cards_keep_a_core_each() -> None:
    assert plan_shares(1, machine(8), cards=2) == [Share(processors=(0, 1, 2, 3, 4, 5), threads=6)]
    assert plan_shares(1, machine(2), cards=4) == [Share(processors=(0,), threads=1)]
    assert plan_shares(2, machine(2), cards=4) == plan_shares(2, machine(2))


def test_more_workers_than_processors_run_anywhere_with_a_thread_each() -> None:
    assert plan_shares(3, machine(2)) == [Share(threads=1)] * 3


def test_a_number_of_threads_is_taken_as_it_is() -> None:
    assert plan_shares(2, machine(8), threads=3) == [
        Share(processors=(0, 1, 2, 3), threads=3),
        Share(processors=(4, 5, 6, 7), threads=3),
    ]
    assert threads(plan_shares(2, machine(2), threads=4)) == {4}
    assert plan_shares(1, machine(4), cards=2, threads=4) == [Share(processors=(0, 1, 2, 3), threads=4)]


def test_a_plan_that_fits_has_no_troubles() -> None:
    assert list(plan_troubles(2, machine(4), threads=2, memory=8 * GB)) == []
    assert list(plan_troubles(1, machine(1))) == []


@pytest.mark.parametrize(
    ("workers", "wanted", "told"),
    [
        (
            3,
            {},
            "workers.devices: 3 workers share the 2 processors that dreamd may use and get in each other's way; name 2 "
            "at most",
        ),
        (
            2,
            {"threads": 2},
            "workers.threads: 2 threads for each of 2 workers are more than the 2 processors that dreamd may use, and "
            "wait for each other; auto, or at most 1, is faster",
        ),
        (
            1,
            {"threads": 8},
            "workers.threads: 8 threads for a worker are more than the 2 processors that dreamd may use, and wait for "
            "each other; auto, or at most 2, is faster",
        ),
        (
            2,
            {"memory": 9 * GB},
            "workers.memory: 9.0 GB for each of 2 workers are more than the 16.0 GB that dreamd may use; auto shares "
            "them out",
        ),
    ],
)
def test_a_config_that_asks_for_more_than_there_is_is_told(workers: int, wanted: dict[str, int], told: str) -> None:
    assert list(plan_troubles(workers, machine(2), **wanted)) == [told]
