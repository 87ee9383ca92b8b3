"""Queues of pictures in a daemon's tree, and when each came out of `dreamd drain`, by the journal."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.nothing import PLUGIN
from benchmarks.plan import BenchmarkError, run_process
from dreamd.commands.demo.painting import clouds
from dreamd.job import JobState
from dreamd.tree.journal import Journal

_DISTINCT = 8
"""Pictures that differ; a queue repeats them."""


@contextmanager
def tree(*, recipe: str, pictures: int, side: int, workers: str) -> Iterator[Path]:
    """Make a daemon's tree with JPEGs in its inbox.

    Args:
        recipe: the recipe's text.
        pictures: how many.
        side: their width and height in pixels.
        workers: the config's section, as YAML.
    """
    with tempfile.TemporaryDirectory(prefix="dreamd-benchmark-") as name:
        root = Path(name)
        for folder in ("inbox", "outbox", "plugins"):
            (root / folder).mkdir()
        (root / "plugins" / "nothing.py").write_text(PLUGIN, encoding="utf-8")
        (root / "inbox" / "recipe.yaml").write_text(recipe, encoding="utf-8")
        (root / "config.yaml").write_text(f"workers: {workers}\nstatus: {{listen: null}}\n", encoding="utf-8")
        for index in range(min(_DISTINCT, pictures)):
            clouds(side, side, seed=index).save(root / "inbox" / f"{index:05}.jpg", quality=92)
        for index in range(_DISTINCT, pictures):
            shutil.copyfile(root / "inbox" / f"{index % _DISTINCT:05}.jpg", root / "inbox" / f"{index:05}.jpg")
        yield root


def drain(root: Path, pictures: int) -> list[float]:
    """Run a real daemon until its queue is empty; return when each picture came out, in order.

    Raises:
        BenchmarkError: one is missing.
    """
    run_process(["-m", "dreamd", "drain", "--config", str(root / "config.yaml")])
    journal = Journal.open_readonly(root / "state" / "journal.sqlite3")
    if journal is None:
        raise BenchmarkError("the daemon left no journal")
    with journal:
        done = [job for job in journal.jobs(limit=-1) if job.state is JobState.DONE]
    times = sorted(job.finished_at for job in done if job.finished_at is not None)
    if len(times) != pictures:
        raise BenchmarkError(f"{len(times)} of {pictures} pictures came out")
    return times
