"""`dreamd prune`: makes room in `done`, empties the trash of what was deleted long ago, and forgets old jobs.

Originals of finished pictures go by age or by how much may be kept, the oldest first. Only regular files in the
config's folder `originals` are removed, and no symlink is followed on the way to one. Works beside a running daemon: an
original that is on its way there is the newest file there is, and goes last.
"""

from __future__ import annotations

import glob
import os
import re
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dreamd.commands.terminal.options import config_at, config_option
from dreamd.errors import ConfigError, DreamdError, UsageError
from dreamd.files.problems import refusal
from dreamd.wording import printable

if TYPE_CHECKING:
    from dreamd.settings.config import Config


@click.command()
@click.option("--older-than", metavar="AGE", help="Remove originals put away longer ago: 30d, 12h, 2w, 3mo.")
@click.option("--keep", metavar="SIZE", help="Keep no more than the newest that fit: 50GB.")
@click.option("--dry-run", is_flag=True, help="Only tell what would be removed.")
@config_option
def prune(older_than: str | None, keep: str | None, dry_run: bool, config_file: Path) -> None:
    """Remove old originals, old jobs, old trash.

    Results that were deleted on the page go for good when they have been in the trash for `trash.keep` of the config;
    without an option, nothing else goes. Other results and failed pictures are not touched. With --older-than the
    journal forgets the jobs that were done before, and the dreams of atlas and sweep go that no sheet has shown since.
    """
    config = config_at(config_file)
    age = None if older_than is None else parse_age(older_than)
    size = None if keep is None else parse_size(keep)
    done = "would remove" if dry_run else "removed"
    has_limits = age is not None or size is not None
    if has_limits:
        pruned = remove_originals(config, older_than=age, keep_bytes=size, dry_run=dry_run)
        click.echo(printable(f"{done} {pruned}"))
    emptied = empty_trash(config, dry_run=dry_run)
    if emptied.results or not has_limits:
        click.echo(f"{done} {emptied}")
    if age is not None and (sheets := _forget_sheets(config, age, dry_run=dry_run)):
        click.echo(f"{done} {sheets / 1e6:.1f} MB of sheets")


@dataclass(frozen=True)
class Pruned:
    """What was removed, or would be.

    Attributes:
        files: how many originals were removed.
        bytes: how many bytes they took.
        kept_files: how many originals stay.
        kept_bytes: how many bytes those take.
        jobs: how many finished jobs the journal has forgotten.
    """

    files: int
    bytes: int
    kept_files: int
    kept_bytes: int
    jobs: int

    def __str__(self) -> str:
        return (
            f"{self.files} originals ({self.bytes / 1e6:.0f} MB) and {self.jobs} jobs; "
            f"{self.kept_files} originals ({self.kept_bytes / 1e6:.0f} MB) stay"
        )


@dataclass(frozen=True)
class Emptied:
    """What was removed from the trash, or would be.

    Attributes:
        results: how many deleted results.
        bytes: how many bytes they took.
        kept: how many stay.
    """

    results: int
    bytes: int
    kept: int

    def __str__(self) -> str:
        return f"{self.results} deleted results ({self.bytes / 1e6:.0f} MB); {self.kept} stay in the trash"


@dataclass(frozen=True, slots=True)
class _Original:
    """A file in `done`, and when it was put there."""

    path: Path
    bytes: int
    put_at: float


def parse_age(text: str) -> timedelta:
    """Read `30d`, `12h`, `2w`, `3mo` or `90min` as a duration. Raises UsageError."""
    from dreamd.settings.durations import read_duration

    try:
        return read_duration(text)
    except ValueError as error:
        raise UsageError(str(error)) from error


def parse_size(text: str) -> int:
    """Read `50GB` or `500MB` as bytes. Raises UsageError: for a bare number too, since 50 bytes are never meant."""
    from pydantic import ByteSize, TypeAdapter

    if re.fullmatch(r"\d{1,6}(\.\d+)? ?[KMGT]i?B", text.strip(), re.IGNORECASE) is None:
        raise UsageError(f"{text!r} is no size: write 50GB or 500MB")
    return int(TypeAdapter(ByteSize).validate_python(text))


def remove_originals(
    config: Config, *, older_than: timedelta | None, keep_bytes: int | None, dry_run: bool = False
) -> Pruned:
    """Remove what is too old, and then the oldest of what is too much.

    Args:
        config: the daemon's.
        older_than: originals that have been in `done` for longer go, and the journal forgets jobs done before then.
            Failed jobs stay, for `dreamd retry`.
        keep_bytes: the newest originals that fit into so much stay.
        dry_run: only tell.

    Raises:
        ConfigError: another folder of dreamd's lies in `originals`.
        DreamdError: a file cannot be removed, or the journal cannot be written.
    """
    _check_alone(config)
    before = None if older_than is None else time.time() - older_than.total_seconds()
    found = sorted(_originals(config.originals), key=lambda original: original.put_at, reverse=True)
    kept = _kept(found, before, keep_bytes)
    going = found[kept:]
    if not dry_run:
        for original in going:
            _remove(original.path)
    return Pruned(
        files=len(going),
        bytes=sum(original.bytes for original in going),
        kept_files=kept,
        kept_bytes=sum(original.bytes for original in found[:kept]),
        jobs=0 if before is None else _forget(config, before, dry_run=dry_run),
    )


def empty_trash(config: Config, *, dry_run: bool = False) -> Emptied:
    """Remove the results that have been in the trash for longer than `trash.keep`, and their small pictures.

    Raises:
        DreamdError: one cannot be removed, or the journal cannot be written.
    """
    from dreamd.tree.steps.trash import Trash

    trash = Trash(config.outbox)
    there = list(trash.all()) if config.outbox.is_dir() else []
    keep = config.trash.keep
    going = [] if keep is None else [each for each in there if each.put_at < time.time() - keep.total_seconds()]
    if not dry_run:
        for each in going:
            trash.remove(each)
        _lose(config, [each.job for each in going])
    return Emptied(results=len(going), bytes=sum(each.bytes for each in going), kept=len(there) - len(going))


def _lose(config: Config, jobs: list[str]) -> None:
    """Have the journal remember that results are gone for good, and remove what the page has made of them."""
    from dreamd.tree.journal import Journal
    from dreamd.tree.layout import StateFolder

    state = StateFolder(config.state)
    for job in jobs:
        for picture in state.thumbnails.glob(f"{glob.escape(job)}-*"):
            _remove(picture)
    if jobs and state.journal.exists():
        with Journal.open(state.journal) as journal:
            journal.marks.lose(jobs)


def _kept(newest_first: list[_Original], before: float | None, keep_bytes: int | None) -> int:
    """Count how many of the newest stay."""
    total = 0
    for number, original in enumerate(newest_first):
        total += original.bytes
        is_too_old = before is not None and original.put_at < before
        if is_too_old or (keep_bytes is not None and total > keep_bytes):
            return number
    return len(newest_first)


def _originals(folder: Path | None) -> Iterator[_Original]:
    """Find the originals in `done`, with the time of the rename that put each there.

    That is its ctime: its mtime is the camera's, and a picture of 2009 is not old because of it.
    """
    if folder is None:
        return
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place, name)
            try:
                found = path.lstat()
            except FileNotFoundError:  # somebody else was quicker
                continue
            if stat.S_ISREG(found.st_mode):
                yield _Original(path, found.st_size, found.st_ctime)


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise DreamdError(f"{path} cannot be removed: {refusal(error)}; run this as the user of the daemon") from error


def _check_alone(config: Config) -> None:
    """Make sure that nothing else lies below `originals`, where every file is taken for an original.

    Raises:
        ConfigError: another folder of dreamd's lies there.
    """
    for name in ("outbox", "failed", "state", "recipes"):
        if config.originals is not None and config.originals.resolve() in getattr(config, name).resolve().parents:
            problem = (
                f"{config.originals} holds {name}, which is not to be pruned: give the originals a folder of their own"
            )
            raise ConfigError(problem, file=config.file, field=("originals",))


def _forget(config: Config, before: float, *, dry_run: bool) -> int:
    """Have the journal forget the jobs that were done before a time; count them."""
    from dreamd.tree.journal import Journal
    from dreamd.tree.layout import StateFolder

    file = StateFolder(config.state).journal
    if not file.exists():
        return 0
    with Journal.open(file) as journal:
        return journal.count_done_before(before) if dry_run else journal.forget_done_before(before)


def _forget_sheets(config: Config, older_than: timedelta, *, dry_run: bool) -> int:
    """Remove the dreams that no sheet has shown for so long; returns how many bytes they took."""
    from dreamd.sheets.pruning import remove_oldest
    from dreamd.tree.layout import StateFolder

    before = time.time() - older_than.total_seconds()
    return remove_oldest(StateFolder(config.state).sheets, before=before, most_bytes=None, dry_run=dry_run)
