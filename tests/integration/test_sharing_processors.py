"""Two real workers on the processor: each on cores of its own, side by side, and with the same bytes as one alone."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conftest import RunningDaemon, Tree

    Run = Callable[..., RunningDaemon]

NAMES = [f"{number}.png" for number in range(6)]


def dream_all(tree: Tree, folder: str) -> dict[str, bytes]:
    for number, name in enumerate(NAMES):
        tree.drop(f"{folder}/{name}", tree.picture(40 + number, 30))
    return {name: tree.result(f"{folder}/{name}").read_bytes() for name in NAMES}


def test_two_workers_of_one_thread_dream_side_by_side_what_one_dreams(tree: Tree, run_daemon: Run) -> None:
    tree.configure(workers={"devices": ["cpu*2"], "threads": 1})
    both = run_daemon(tree)
    gate = tree.mood("gated", "wait")
    for name in ("a.png", "b.png"):
        tree.drop(f"gated/{name}", tree.picture(13, 30))

    def workers_in(state: str) -> list[dict[str, object]] | None:
        workers = both.status()["workers"]
        return workers if [worker["state"] for worker in workers] == [state] * 2 else None

    workers = tree.wait_for(lambda: workers_in("busy"), f"both workers to dream at a time: {both.log}")
    gate.touch()
    assert {worker["threads"] for worker in workers} == {1}
    places = [worker["processors"] for worker in workers]
    assert all(os.sched_getaffinity(int(str(worker["pid"]))) <= os.sched_getaffinity(0) for worker in workers)
    assert len(set(places)) == min(2, len(os.sched_getaffinity(0)))
    by_two = dream_all(tree, "two")
    assert {tree.sidecar(f"two/{name}")["threads"] for name in NAMES} == {1}
    assert both.stop() == 0, both.log
    tree.configure(workers={"devices": ["cpu"], "threads": 1})
    one = run_daemon(tree)
    assert dream_all(tree, "one") == by_two
    assert one.stop() == 0, one.log
