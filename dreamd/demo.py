"""`dreamd demo`: the whole main job, as a person would see it, offline.

Makes a tree with `dreamd init`, starts the real daemon on it, drops a picture into two folders with two recipes, waits
for the dreams, and lays before and after side by side.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from PIL import Image, ImageOps

from dreamd.config import Config, load_config
from dreamd.errors import DreamdError, UsageError
from dreamd.job import Job, JobState
from dreamd.journal import Journal
from dreamd.paint import clouds
from dreamd.progress import Show, progress
from dreamd.scaffold import make_tree
from dreamd.status import snapshot

FOLDERS = ("animals", "weave")
_SIZE = (768, 512)
_START_SECONDS = 120.0
_DREAM_SECONDS = 1800.0
_LOOK_SECONDS = 0.1
_SHEET_HEIGHT = 400
_GAP = 8


def run_demo(folder: Path, picture: Path | None) -> int:
    """Run the demo in a folder; returns the exit code.

    Raises:
        UsageError: the folder holds something else.
        DreamdError: the daemon ended, or took too long.
    """
    if not (folder / "config.yaml").exists():
        make_tree(folder)
    config = load_config(folder / "config.yaml")
    original = _original(folder, picture)
    with _daemon(config):
        names = [_dropped(original, config.inbox / name) for name in FOLDERS]
        jobs = _finished(config, names)
    failures = [job for job in jobs if job.state is not JobState.DONE]
    for job in failures:
        click.echo(f"{job.path}: {job.state}: {job.reason}", err=True)
    results = [config.outbox / str(job.result) for job in jobs if job.state is JobState.DONE]
    for result in results:
        click.echo(result)
    if results:
        sheet = folder / "contact-sheet.jpg"
        contact_sheet([original, *results]).save(sheet, quality=90)
        click.echo(f"\nBefore and after, side by side: {sheet}")
    return 1 if failures else 0


def contact_sheet(pictures: list[Path]) -> Image.Image:
    """Pictures side by side, all as high as each other."""
    shown = []
    for path in pictures:
        with Image.open(path) as file:
            upright = ImageOps.exif_transpose(file).convert("RGB")
        width = max(1, round(upright.width * _SHEET_HEIGHT / upright.height))
        shown.append(upright.resize((width, _SHEET_HEIGHT), Image.Resampling.LANCZOS))
    total = sum(picture.width for picture in shown) + _GAP * (len(shown) - 1)
    sheet = Image.new("RGB", (total, _SHEET_HEIGHT), "white")
    left = 0
    for picture in shown:
        sheet.paste(picture, (left, 0))
        left += picture.width + _GAP
    return sheet


def _original(folder: Path, picture: Path | None) -> Path:
    """The picture to dream: the one given, or clouds."""
    if picture is not None:
        return picture
    path = folder / "clouds.jpg"
    clouds(*_SIZE).save(path, quality=95)
    return path


@contextmanager
def _daemon(config: Config) -> Iterator[None]:
    """The real daemon, `dreamd run`, while it is needed."""
    if snapshot.is_locked(config.inbox):
        raise UsageError(f"a dreamd works on {config.inbox} already; give the demo a folder of its own with --out")
    process = subprocess.Popen([sys.executable, "-m", "dreamd", "run", "--config", str(config.file)])
    try:
        _wait_until_running(config, process)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def _wait_until_running(config: Config, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end:
        values = snapshot.read(config.state)
        if values is not None and values["state"] == "running" and values["pid"] == process.pid:
            return
        if process.poll() is not None:
            raise DreamdError(f"the daemon ended with code {process.returncode}; see above")
        time.sleep(_LOOK_SECONDS)
    raise DreamdError(f"the daemon did not start in {_START_SECONDS:g} s")


def _dropped(original: Path, folder: Path) -> Path:
    """Drop a copy into an inbox folder, the way a careful program does: written beside, renamed into place."""
    draft = folder / f".{original.name}.part"
    shutil.copyfile(original, draft)
    os.utime(draft)
    target = folder / original.name
    draft.rename(target)
    return target


def _finished(config: Config, dropped: list[Path]) -> list[Job]:
    """The jobs of the dropped files, once none of them is on its way."""
    wanted = [path.relative_to(config.inbox) for path in dropped]
    since = time.time() - 1
    end = time.monotonic() + _DREAM_SECONDS
    with progress("dreaming") as show:
        while time.monotonic() < end:
            journal = Journal.open_readonly(config.state / "journal.sqlite3")
            if journal is not None:
                with journal:
                    found = {Path(job.path): job for job in journal.jobs(limit=100) if job.claimed_at >= since}
                jobs = [found[path] for path in wanted if path in found]
                over = [job for job in jobs if job.state in (JobState.DONE, JobState.FAILED, JobState.HELD)]
                if len(over) == len(wanted):
                    return jobs
                _show_running(config, show, len(over) / len(wanted), len(wanted))
            time.sleep(_LOOK_SECONDS)
    raise DreamdError(f"the dreams took longer than {_DREAM_SECONDS / 60:g} minutes")


def _show_running(config: Config, show: Show, share: float, wanted: int) -> None:
    values = snapshot.read(config.state) or {"workers": []}
    for worker in values["workers"]:
        for job in worker["jobs"]:
            words = f"{job['picture']}, octave {job['ascent']}/{job['ascents']}"
            show(share + job["share"] / wanted, words)
