"""The work of `dreamd demo`: the whole main job, as a person would see it, offline.

Makes a tree with `dreamd init`, starts the real daemon on it, drops a picture into two folders with two recipes, waits
for the dreams, and lays before and after side by side.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import click
from PIL import Image, ImageOps

from dreamd.commands.demo.daemon import LOOK_SECONDS, check_alive, running_daemon
from dreamd.commands.demo.paintings.landscape import landscape
from dreamd.commands.init import make_tree
from dreamd.commands.terminal.printing import doing, print_lines
from dreamd.commands.terminal.progress import progress
from dreamd.errors import DreamdError, UsageError
from dreamd.files.durable import draft_of
from dreamd.job import Job, JobState
from dreamd.pictures.contact_sheet import Sheet, Tile, draw_sheet
from dreamd.pictures.reading import read_picture
from dreamd.settings.config import Config, load_config
from dreamd.settings.sections import Limits
from dreamd.tree import snapshot
from dreamd.tree.journal import Journal
from dreamd.tree.layout import StateFolder
from dreamd.wording import printable
from dreamd.worker.display import Show

FOLDERS = ("animals", "weave")
"""The folders of the sample recipes that `dreamd init` makes."""

_SIZE = (768, 512)
"""The width and height of the painted picture, in pixels."""

_SIDE_ON_SHEET = 600
"""The longest side of a picture on the sheet, in pixels."""

_DREAM_SECONDS = 1800.0
"""The time in seconds after which the dreams must be over."""

_OVER = (JobState.DONE, JobState.FAILED, JobState.HELD)
"""The states in which nothing more is to be waited for."""


def run_demo(folder: Path, picture: Path | None) -> int:
    """Run the demo in a folder and return the exit code.

    Raises:
        UsageError: the folder holds something else.
        DreamdError: the daemon ended, or took too long.
    """
    config = _make_tree(folder)
    original = _choose_original(folder, picture)
    with running_daemon(config, folder / "daemon.log") as process:
        dropped = [_drop(original, config.inbox / name) for name in FOLDERS]
        jobs = _wait_for_jobs(config, dropped, process)
    failures = [job for job in jobs if job.state is not JobState.DONE]
    for job in failures:
        click.echo(printable(f"dreamd: {job.path}: {job.state}: {job.reason}"), err=True)
    done = [job for job in jobs if job.state is JobState.DONE]
    results = [config.outbox / str(job.result) for job in done]
    print_lines(map(str, results))
    if results:
        sheet = folder / "contact-sheet.jpg"
        labels = ["original", *(str(job.folder) for job in done)]
        _side_by_side([original, *results], labels).save(sheet, quality=90)
        print_lines(["", f"Before and after, side by side: {sheet}"])
    return 1 if failures else 0


def _side_by_side(files: Sequence[Path], labels: Sequence[str]) -> Image.Image:
    """Draw pictures beside each other, upright, with their labels."""
    tiles = []
    for file, label in zip(files, labels, strict=True):
        with Image.open(file) as picture:
            tiles.append(Tile(picture=ImageOps.exif_transpose(picture).convert("RGB"), label=label))
    (page,) = draw_sheet(Sheet(tiles=tiles, columns=len(tiles), side=_SIDE_ON_SHEET))
    return page


def _make_tree(folder: Path) -> Config:
    """Make the folder's tree, unless an earlier demo has made it, and read its config."""
    file = folder / "config.yaml"
    if not file.exists():
        if folder.is_dir() and any(folder.iterdir()):
            raise UsageError(f"{folder} holds something else; give the demo a new folder with --out")
        make_tree(folder)
    return load_config(file)


def _choose_original(folder: Path, picture: Path | None) -> Path:
    """Return the picture that was given, or paint a lake under mountains. Raises PictureError when it is no picture."""
    if picture is not None:
        limits = Limits()
        read_picture(picture.resolve(), max_pixels=limits.max_pixels, max_bytes=limits.max_bytes)
        return picture
    path = folder / "lake.jpg"
    landscape(*_SIZE).save(path, quality=95)
    return path


def _drop(original: Path, folder: Path) -> Path:
    """Drop a copy into an inbox folder, the way a careful program does: written beside, renamed into place."""
    # The watcher leaves dotfiles and names such as `cat.part` alone.
    is_taken = original.suffix.lower() in Image.registered_extensions() and not original.name.startswith(".")
    target = folder / (original.name if is_taken else "picture")
    with draft_of(target, durable=False) as draft:
        shutil.copyfile(original, draft)
    return target


def _wait_for_jobs(config: Config, dropped: list[Path], process: subprocess.Popen[bytes]) -> list[Job]:
    """Wait until none of the dropped files is on its way, and return their jobs. Raises DreamdError."""
    wanted = [path.relative_to(config.inbox) for path in dropped]
    since = time.time() - 1
    end = time.monotonic() + _DREAM_SECONDS
    with progress("dreaming") as show:
        while time.monotonic() < end:
            found = _jobs_since(config, since)
            over = [found[path] for path in wanted if path in found and found[path].state in _OVER]
            if len(over) == len(wanted):
                return over
            check_alive(process)
            _show_running(config, show, len(over) / len(wanted), len(wanted))
            time.sleep(LOOK_SECONDS)
    raise DreamdError(f"the dreams took longer than {_DREAM_SECONDS / 60:g} minutes")


def _jobs_since(config: Config, since: float) -> dict[Path, Job]:
    """Find the jobs that were claimed since a time, by their pictures' paths."""
    journal = Journal.open_readonly(StateFolder(config.state).journal)
    if journal is None:
        return {}
    with journal:
        return {Path(job.path): job for job in journal.jobs(limit=100) if job.claimed_at >= since}


def _show_running(config: Config, show: Show, share: float, wanted: int) -> None:
    """Show how far the dreams are, as the daemon says in its snapshot."""
    values = snapshot.read(config.state) or {"workers": []}
    for worker in values["workers"]:
        for job in worker["jobs"]:
            show(share + job["share"] / wanted, f"{job['picture']}, {doing(job)}")
