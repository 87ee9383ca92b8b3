"""Small versions of results and originals, and both in one, kept in the state folder and made when somebody looks.

Knows no decoder: a process of its own makes them (`thumbnailer.py`), one after another, and is ended when it takes too
long. So a hostile picture costs one thumbnail.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath

from dreamd.job import Job, JobState
from dreamd.json_text import to_json
from dreamd.page.media import media_type
from dreamd.page.originals import original_digest, original_places
from dreamd.page.outbox import result_of, sidecar_of
from dreamd.plugin_host.catalogue import Catalogue
from dreamd.plugin_host.kinds import Kind
from dreamd.settings.config import Config
from dreamd.tree.layout import StateFolder

log = logging.getLogger(__name__)

SIDES = {"small": 320, "medium": 720, "large": 1600}
"""The longest side in pixels, by the name of a size."""

KINDS = ("after", "before")
"""A result is `after`, its original `before`."""

LAYOUTS = ("side", "split")
"""How a result and its original stand in one picture, as `gallery.before_after` tells."""

_SHARED_SIDE = 1600
"""The longest side in pixels of each of the two in it."""

_CAPTION_LETTERS = 120
"""The most letters of a caption."""

_SECONDS = 30.0
"""The time in seconds that a thumbnail may take to be made; one that takes longer is not shown."""

_IDLE_SECONDS = 60.0
"""The time in seconds after which the process that makes them is ended, when nothing has been asked of it."""

_CACHE_BYTES = 512 << 20
"""The most bytes that all thumbnails take together."""

_SWEEP_EVERY = 64
"""The number of new thumbnails after which old ones are removed."""

_FAILURE_SECONDS = 300.0
"""The time in seconds after which a thumbnail that could not be made is tried again."""

_FAILURES = 1000
"""The most failures that are remembered."""


def thumbnail_name(job: str, kind: str, size: str) -> str:
    """Return the name of a thumbnail's file; the arguments are a job's id, one of KINDS and a name of SIDES."""
    return f"{job}-{kind}-{size}.webp"


class Thumbnails:
    """The thumbnails of one tree. All of it is called from the event loop."""

    def __init__(self, config: Config, offered: Callable[[], Catalogue]) -> None:
        """Make none yet.

        Args:
            config: the config.
            offered: returns what plugins bring; one of them reads the film that a thumbnail is made of.
        """
        self._config = config
        self._offered = offered
        self._folder = StateFolder(config.state).thumbnails
        self._maker = _Maker(config)
        self._turn = asyncio.Lock()
        self._failures: dict[str, float] = {}
        self._made = 0

    async def get(self, job: Job, kind: str, size: str, is_gone: Callable[[], Awaitable[bool]]) -> Path | None:
        """Find or make a thumbnail and return its file; None when there is no picture, or none that can be shown.

        Args:
            job: a done job, or a failed one, which has no `after`.
            kind: one of KINDS.
            size: a name of SIDES.
            is_gone: whether who asked has gone away while others had their turn: whoever scrolls far asks for much.
        """
        return await self._get(thumbnail_name(job.id, kind, size), is_gone, job, (kind,), SIDES[size], None)

    async def shared(self, job: Job, layout: str, is_gone: Callable[[], Awaitable[bool]]) -> Path | None:
        """Find or make a picture of a result and its original; None when one of them is not there.

        Args:
            job: a done job.
            layout: one of LAYOUTS.
            is_gone: as `get` takes it.
        """
        name = f"{job.id}-{layout}.jpg"
        return await self._get(name, is_gone, job, ("before", "after"), _SHARED_SIDE, layout)

    async def _get(
        self,
        name: str,
        is_gone: Callable[[], Awaitable[bool]],
        job: Job,
        kinds: Sequence[str],
        side: int,
        layout: str | None,
    ) -> Path | None:
        target = self._folder / name
        if await asyncio.to_thread(target.exists):
            return target
        async with self._turn:
            if await asyncio.to_thread(target.exists):
                return target
            if time.monotonic() < self._failures.get(name, 0.0) or await is_gone():
                return None
            return target if await self._make(job, kinds, side, layout, target) else None

    async def close(self) -> None:
        """End the process that makes them."""
        await self._maker.close()

    async def _make(self, job: Job, kinds: Sequence[str], side: int, layout: str | None, target: Path) -> bool:
        sources = await asyncio.to_thread(self._sources, job, kinds)
        problem = "there is no picture"
        if sources is not None:
            about = {"layout": layout, "caption": _caption(job.recipe)}
            request: dict[str, object] = {"sources": sources, "side": side, **about, "target": str(target)}
            problem = await self._maker.make(request) or ""
        if not problem and not await asyncio.to_thread(self._is_its_own, job):
            problem = "it was taken away meanwhile"  # and another may have been shown in its place
            await asyncio.to_thread(target.unlink)
        if not problem:
            self._made += 1
            if self._made % _SWEEP_EVERY == 1:
                await asyncio.to_thread(_sweep, self._folder)
            return True
        log.debug("no thumbnail %s: %s", target.name, problem)
        if len(self._failures) >= _FAILURES:
            self._failures.clear()
        self._failures[target.name] = time.monotonic() + _FAILURE_SECONDS
        return False

    def _sources(self, job: Job, kinds: Sequence[str]) -> list[dict[str, object]] | None:
        """Say which files to make a picture from; None when one of them is not there."""
        self._folder.mkdir(exist_ok=True)
        sources = [self._request(job, kind) for kind in kinds]
        return [each for each in sources if each is not None] if None not in sources else None

    def _request(self, job: Job, kind: str) -> dict[str, object] | None:
        """Say which file to make a thumbnail from; None when there is none."""
        if kind == "after":
            path = result_of(job, self._config.outbox)
            places = [] if path is None else [[str(self._config.outbox), str(path)]]
            return _source(places, None, self._film_plugin(job.result or "")) if places else None
        is_failed = job.state is JobState.FAILED  # the reason beside it tells whose it is, and no digest
        sha256 = None if is_failed else original_digest(job, self._config)
        if sha256 is None and not is_failed:
            return None
        places = [[str(root), str(path)] for root, path in original_places(job, self._config)]
        return _source(places, sha256, self._film_plugin(job.name))

    def _is_its_own(self, job: Job) -> bool:
        """Tell whether what a picture of a job was made from is there still, and so was not another job's."""
        if job.state is JobState.FAILED:
            return next(original_places(job, self._config), None) is not None
        return sidecar_of(job, self._config.outbox) is not None

    def _film_plugin(self, name: str) -> str | None:
        """Return the plugin that reads a film; None for pictures, and animations, of which the first frame is one."""
        if media_type(name).startswith("image/"):
            return None
        ending = PurePosixPath(name).suffix.lower()
        films = (entry for entry in self._offered().entries if entry.kind is Kind.FILM)
        return next((entry.plugin for entry in films if ending in entry.extensions), None)


def _source(places: list[list[str]], sha256: str | None, film: str | None) -> dict[str, object]:
    return {"places": places, "sha256": sha256, "film": film}


class _Maker:
    """Keeps the process that makes thumbnails: starts it when there is something to do, and ends it when it rests.

    It is ended from here, where it is known whether it is asked: one that ended by itself could be asked just then.
    """

    def __init__(self, config: Config) -> None:
        limits = config.limits
        reading = {
            "max_pixels": limits.max_pixels,
            "max_bytes": int(limits.max_bytes),
            "max_film_bytes": int(limits.max_film_bytes),
            "folders": [str(folder) for folder in config.plugins.engine],
        }
        arguments = (str(os.getpid()), to_json(reading))
        self._command = (sys.executable, "-m", "dreamd.page.gallery.thumbnailer", *arguments)
        self._process: Process | None = None
        self._rest: asyncio.TimerHandle | None = None

    async def make(self, request: dict[str, object]) -> str | None:
        """Have a thumbnail made; return what is wrong, or None."""
        self._stop_resting()
        try:
            answer = await asyncio.wait_for(self._ask(to_json(request).encode() + b"\n"), _SECONDS)
        except (TimeoutError, OSError, ValueError, asyncio.CancelledError) as error:
            await self.close()  # its next answer would be to another question
            if isinstance(error, asyncio.CancelledError):
                raise
            return "it took too long, or cannot be decoded"
        self._rest = asyncio.get_running_loop().call_later(_IDLE_SECONDS, self._end)
        return answer

    async def _ask(self, line: bytes) -> str | None:
        """Ask the process, once more if it has ended meanwhile. Raises ValueError if it ends again."""
        for _ in range(2):
            process = await self._start()
            assert process.stdin is not None
            assert process.stdout is not None
            with suppress(ConnectionError):
                process.stdin.write(line)
                await process.stdin.drain()
                if answer := await process.stdout.readline():
                    problem = json.loads(answer)
                    return None if problem is None else str(problem)
            await process.wait()  # its pipes are closed before it is known to have ended
        raise ValueError("it ended")

    async def _start(self) -> Process:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(*self._command, stdin=PIPE, stdout=PIPE)
        return self._process

    async def close(self) -> None:
        """End the process, and wait until it has ended."""
        self._stop_resting()
        process = self._end()
        if process is not None:
            await process.wait()

    def _stop_resting(self) -> None:
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None

    def _end(self) -> Process | None:
        """End the process; whoever asks next starts another."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            process.kill()
        return process


def _caption(recipe: str) -> str:
    """Tell in a line how a dream came about: the layers and the network of its recipe."""
    try:
        values = json.loads(recipe)
        names = [*(each["name"] for each in values["layers"]), values["backbone"]["name"]]
    except (ValueError, RecursionError, KeyError, TypeError):  # another version's, or none at all
        return "before and after"
    return " · ".join(map(str, names))[:_CAPTION_LETTERS]


def _sweep(folder: Path) -> None:
    """Keep the cache small: what was made longest ago goes first."""
    entries = [(entry.stat().st_mtime, entry.stat().st_size, entry.path) for entry in os.scandir(folder)]
    total = sum(size for _, size, _ in entries)
    for _, size, path in sorted(entries):
        if total <= _CACHE_BYTES:
            return
        Path(path).unlink(missing_ok=True)
        total -= size
