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

from dreamd.commands.painting import clouds
from dreamd.commands.progress import progress
from dreamd.commands.status import doing
from dreamd.errors import DreamdError, UsageError
from dreamd.job import Job, JobState
from dreamd.pictures.reading import read_picture
from dreamd.plugin_tools.scaffold import make_tree
from dreamd.settings.config import Config, Limits, load_config
from dreamd.tree import snapshot
from dreamd.tree.journal import Journal
from dreamd.wording import printable
from dreamd.worker.single import Show

FOLDERS = ("animals", "weave")
_SIZE = (768, 512)
_START_SECONDS = 120.0
_DREAM_SECONDS = 1800.0
_LOOK_SECONDS = 0.1
_SHEET_HEIGHT = 400
_GAP = 8
_OVER = (JobState.DONE, JobState.FAILED, JobState.HELD)


def run_demo(folder: Path, picture: Path | None) -> int:
    """Run the demo in a folder; returns the exit code.

    Raises:
        UsageError: the folder holds something else.
        DreamdError: the daemon ended, or took too long.
    """
    config = _tree(folder)
    original = _original(folder, picture)
    with _daemon(config, folder / "daemon.log") as process:
        names = [_dropped(original, config.inbox / name) for name in FOLDERS]
        jobs = _finished(config, names, process)
    failures = [job for job in jobs if job.state is not JobState.DONE]
    for job in failures:
        click.echo(printable(f"dreamd: {job.path}: {job.state}: {job.reason}"), err=True)
    results = [config.outbox / str(job.result) for job in jobs if job.state is JobState.DONE]
    for result in results:
        click.echo(printable(str(result)))
    if results:
        sheet = folder / "contact-sheet.jpg"
        contact_sheet([original, *results]).save(sheet, quality=90)
        click.echo(f"\nBefore and after, side by side: {printable(str(sheet))}")
    return 1 if failures else 0


def _tree(folder: Path) -> Config:
    """The config of the folder's tree, which is made unless an earlier demo has made it."""
    file = folder / "config.yaml"
    if not file.exists():
        if folder.is_dir() and any(folder.iterdir()):
            raise UsageError(f"{folder} holds something else; give the demo a new folder with --out")
        make_tree(folder)
    return load_config(file)


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
    """The picture to dream: the one given, or clouds. Raises PictureError when it is no picture."""
    if picture is not None:
        limits = Limits()
        read_picture(picture.resolve(), max_pixels=limits.max_pixels, max_bytes=limits.max_bytes)
        return picture
    path = folder / "clouds.jpg"
    clouds(*_SIZE).save(path, quality=95)
    return path


@contextmanager
def _daemon(config: Config, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The real daemon, `dreamd run`, while it is needed. Its log would cut through the progress bar."""
    if snapshot.is_locked(config.inbox / ".dreamd" / "lock"):
        raise UsageError(f"a dreamd works on {config.inbox} already; give the demo a folder of its own with --out")
    command = [sys.executable, "-m", "dreamd", "run", "--config", str(config.file)]
    with log.open("wb") as stream:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream)
    try:
        _wait_until_running(config, process)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
        if process.returncode:
            click.echo(log.read_text(errors="backslashreplace"), err=True, nl=False)


def _wait_until_running(config: Config, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end:
        values = snapshot.read(config.state)
        if values is not None and values["state"] == "running" and values["pid"] == process.pid:
            return
        _check_alive(process)
        time.sleep(_LOOK_SECONDS)
    raise DreamdError(f"the daemon did not start in {_START_SECONDS:g} s")


def _dropped(original: Path, folder: Path) -> Path:
    """Drop a copy into an inbox folder, the way a careful program does: written beside, renamed into place."""
    draft = folder / f".{os.getpid()}.part"
    shutil.copyfile(original, draft)
    # The watcher leaves dotfiles and names such as `cat.part` alone.
    is_taken = original.suffix.lower() in Image.registered_extensions() and not original.name.startswith(".")
    target = folder / (original.name if is_taken else "picture")
    draft.rename(target)
    return target


def _finished(config: Config, dropped: list[Path], process: subprocess.Popen[bytes]) -> list[Job]:
    """The jobs of the dropped files, once none of them is on its way."""
    wanted = [path.relative_to(config.inbox) for path in dropped]
    since = time.time() - 1
    end = time.monotonic() + _DREAM_SECONDS
    with progress("dreaming") as show:
        while time.monotonic() < end:
            found = _jobs(config, since)
            over = [found[path] for path in wanted if path in found and found[path].state in _OVER]
            if len(over) == len(wanted):
                return over
            _check_alive(process)
            _show_running(config, show, len(over) / len(wanted), len(wanted))
            time.sleep(_LOOK_SECONDS)
    raise DreamdError(f"the dreams took longer than {_DREAM_SECONDS / 60:g} minutes")


def _jobs(config: Config, since: float) -> dict[Path, Job]:
    """The jobs that were claimed since a time, by their pictures' paths."""
    journal = Journal.open_readonly(config.state / "journal.sqlite3")
    if journal is None:
        return {}
    with journal:
        return {Path(job.path): job for job in journal.jobs(limit=100) if job.claimed_at >= since}


def _check_alive(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        raise DreamdError(f"the daemon ended with code {process.returncode}, see its log above")


def _show_running(config: Config, show: Show, share: float, wanted: int) -> None:
    values = snapshot.read(config.state) or {"workers": []}
    for worker in values["workers"]:
        for job in worker["jobs"]:
            show(share + job["share"] / wanted, f"{job['picture']}, {doing(job)}")
