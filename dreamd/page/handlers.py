"""The page's handlers: what a browser or a scraper may ask for, and what comes of it.

A handler looks at files, or does what a command of `dreamd` does, in a thread: none of them keeps another waiting. Who
may ask is the guard's business (`guard.py`).
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO
from urllib.parse import parse_qs, quote

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from dreamd import __version__
from dreamd.errors import DreamdError, SpaceError, UsageError
from dreamd.files.names import parts_of
from dreamd.files.nofollow import opened_file
from dreamd.job import Job, JobState
from dreamd.page.access import SESSION_COOKIE, Guard, Sessions, is_signed_in, sign_in
from dreamd.page.feed import Feed
from dreamd.page.health import not_alive, not_ready
from dreamd.page.metrics import registry
from dreamd.page.recipe_editor import ChangedError, Recipes
from dreamd.page.thumbnails import KINDS, SIDES, Thumbnails
from dreamd.page.uploads import SlowError, TooLargeError, Uploads
from dreamd.page.views import Views
from dreamd.settings.config import Config
from dreamd.tree import control, snapshot

log = logging.getLogger(__name__)

_HERE = Path(__file__).parent
_BODY_BYTES = 256 * 1024
"""Of a request that is no picture."""

_BODY_SECONDS = 20.0
_CHUNK_BYTES = 1 << 18
_FOR_GOOD = "private, max-age=31536000, immutable"

_TYPES = {
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".gif": "image/gif",
    ".bmp": "image/bmp",
    ".tif": "image/tiff",
    ".jp2": "image/jp2",
}
"""What a result is sent as. By the name that dreamd gave it, so that no content decides what a browser takes it for."""

_STATUS_OF: tuple[tuple[type[DreamdError], int], ...] = (
    (TooLargeError, 413),
    (SlowError, 408),
    (ChangedError, 409),
    (UsageError, 422),
    (SpaceError, 507),
    (DreamdError, 500),
)


class Page:
    """All handlers, over one tree."""

    def __init__(self, config: Config, sessions: Sessions | None) -> None:
        self._config = config
        self._sessions = sessions
        self._views = Views(config)
        self._recipes = Recipes(config)
        self._uploads = Uploads(config)
        self._thumbnails = Thumbnails(config)
        self._feed = Feed(self._views, config.state)
        self._registry = registry(config)
        self._scraping = asyncio.Lock()
        self._templates = Environment(
            loader=PackageLoader("dreamd.page"), autoescape=select_autoescape(), undefined=StrictUndefined
        )

    def routes(self) -> list[Route | Mount]:
        """Every address that is answered."""
        get = {
            "/": self.page,
            "/login": self.login_page,
            "/api/status": self.status,
            "/api/events": self.events,
            "/api/results": self.results,
            "/api/results/{job}": self.details,
            "/api/failures": self.failures,
            "/api/folders": self.folders,
            "/api/recipes": self.recipe_names,
            "/api/recipe": self.recipe,
            "/thumbnails/{job}/{kind}/{size}": self.thumbnail,
            "/results/{job}": self.result,
            "/previews/{job}": self.preview,
            "/metrics": self.metrics,
            "/healthz": self.healthz,
            "/readyz": self.readyz,
        }
        post = {
            "/login": self.login,
            "/logout": self.logout,
            "/api/retry": self.retry,
            "/api/pause": self.pause,
            "/api/resume": self.resume,
            "/api/recipe/check": self.check_recipe,
        }
        put = {"/api/upload": self.upload, "/api/recipe": self.save_recipe}
        return [
            *(Route(path, _answered(handler), methods=["GET"]) for path, handler in get.items()),
            *(Route(path, _answered(handler), methods=["POST"]) for path, handler in post.items()),
            *(Route(path, _answered(handler), methods=["PUT"]) for path, handler in put.items()),
            Mount("/static", StaticFiles(directory=_HERE / "static")),
        ]

    async def close(self) -> None:
        """End what was started."""
        await self._thumbnails.close()

    # The page itself

    async def page(self, _request: Request) -> Response:
        """The page; what it shows comes by the other addresses."""
        return self._html("page.html", version=__version__, has_token=self._sessions is not None)

    async def login_page(self, _request: Request) -> Response:
        """Where the token is asked for."""
        return self._html("login.html", is_wrong=False)

    async def login(self, request: Request) -> Response:
        """Take the token from the form of the page above."""
        if self._sessions is None:
            raise UsageError("no token is set; the page is open")
        fields = parse_qs((await _body(request)).decode("ascii", "replace"))
        welcome = await sign_in(self._sessions, fields.get("token", [""])[0].strip())
        return welcome or self._html("login.html", status=401, is_wrong=True)

    async def logout(self, _request: Request) -> Response:
        """Forget the session in this browser."""
        response = Response(status_code=204)
        response.delete_cookie(SESSION_COOKIE, path="/", httponly=True, samesite="strict")
        return response

    def _html(self, name: str, *, status: int = 200, **values: object) -> Response:
        return HTMLResponse(self._templates.get_template(name).render(**values), status)

    # What is going on

    async def status(self, _request: Request) -> Response:
        """The state of everything, and what a page needs to know of the config."""
        values = await asyncio.to_thread(self._views.status)
        return JSONResponse({**values, "max_bytes": int(self._config.limits.max_bytes)})

    async def events(self, _request: Request) -> Response:
        """The state of everything, again whenever it changes."""
        if self._feed.is_full:
            return PlainTextResponse("too many pages are open\n", 503)
        return StreamingResponse(self._feed.listen(), media_type="text/event-stream")

    async def results(self, request: Request) -> Response:
        """Results, the newest first; `before` is the end and the id of the last one that is known."""
        query = request.query_params
        before = None
        if "before" in query:
            end, _, job = query["before"].partition(",")
            before = (_number(end), job)
        limit = int(_number(query.get("limit", "60")))
        folder = query.get("folder")
        if folder is not None:
            parts_of(folder)
        found = await asyncio.to_thread(self._views.results, before=before, folder=folder, limit=max(1, limit))
        return JSONResponse(found)

    async def details(self, request: Request) -> Response:
        """A result, its sidecar and the recipe that repeats it."""
        job = await self._done_job(request)
        details = await asyncio.to_thread(self._views.details, job)
        return JSONResponse({**details, "recipe": self._recipes.text_of(job.recipe)})

    async def failures(self, _request: Request) -> Response:
        """What failed and what is held, and why."""
        failed = await asyncio.to_thread(self._views.failures)
        held = await asyncio.to_thread(self._views.held)
        return JSONResponse({"failed": failed, "held": held})

    # Pictures

    async def thumbnail(self, request: Request) -> Response:
        """A result or its original, small."""
        kind, size = request.path_params["kind"], request.path_params["size"]
        if kind not in KINDS or size not in SIDES:
            return _missing()
        job = await self._done_job(request)
        file = await self._thumbnails.get(job, kind, size, request.is_disconnected)
        return FileResponse(file, media_type="image/webp", headers={"Cache-Control": _FOR_GOOD}) if file else _missing()

    async def result(self, request: Request) -> Response:
        """A result as it lies in the outbox."""
        job = await self._done_job(request)
        path = PurePosixPath(job.result or "")
        try:
            file = await asyncio.to_thread(opened_file, self._config.outbox, path)
        except OSError:
            return _missing("it was taken out of the outbox")
        headers = {
            "Content-Disposition": f"inline; filename*=UTF-8''{quote(path.name.encode('utf-8', 'replace'))}",
            "Content-Security-Policy": "default-src 'none'; sandbox",
            "Cache-Control": _FOR_GOOD,
        }
        media_type = _TYPES.get(path.suffix.lower(), "application/octet-stream")
        return StreamingResponse(_chunks(file), media_type=media_type, headers=headers)

    async def preview(self, request: Request) -> Response:
        """A dream that goes on, as it was a moment ago."""
        name = f"{request.path_params['job']}.jpg"
        try:
            with await asyncio.to_thread(opened_file, self._config.state, PurePosixPath("preview", name)) as file:
                return Response(file.read(), media_type="image/jpeg")
        except OSError:
            return Response(status_code=204)  # the dream has ended since the page heard of it, and nothing is wrong

    async def _done_job(self, request: Request) -> Job:
        job = await asyncio.to_thread(self._views.job, request.path_params["job"])
        if job is None or job.state is not JobState.DONE or not job.result:
            raise _NoSuchJobError("there is no result of this job")
        return job

    # What a person does

    async def retry(self, request: Request) -> Response:
        """Try failed or held jobs again: those of `jobs`, or all failed ones."""
        wanted = await _json(request)
        jobs = wanted.get("jobs")
        if jobs is not None and not (isinstance(jobs, list) and all(isinstance(job, str) for job in jobs)):
            raise UsageError("jobs must be a list of ids")
        return await self._said(lambda: list(control.retry(self._config, jobs or [], all_failed=jobs is None)))

    async def pause(self, request: Request) -> Response:
        """Start no more jobs from a folder."""
        folder = await self._folder_of(request)
        return await self._said(lambda: [control.pause(self._config, folder)])

    async def resume(self, request: Request) -> Response:
        """Start jobs from a folder again."""
        folder = await self._folder_of(request)
        return await self._said(lambda: [control.resume(self._config, folder)])

    async def upload(self, request: Request) -> Response:
        """Take a picture into a folder of the inbox."""
        length = request.headers.get("content-length", "")
        query = request.query_params
        placed = await self._uploads.take(
            query.get("folder", "."),
            query.get("name", ""),
            int(length) if length.isdecimal() else None,
            request.stream(),
        )
        return JSONResponse({"picture": placed}, 201)

    async def _folder_of(self, request: Request) -> str:
        folder = (await _json(request)).get("folder")
        return str(self._config.inbox.joinpath(*parts_of(_text(folder, "folder"))))

    async def _said(self, act: Callable[[], list[str]]) -> Response:
        return JSONResponse({"said": await asyncio.to_thread(act)})

    # Recipes

    async def folders(self, _request: Request) -> Response:
        """The inbox's folders."""
        return JSONResponse(await asyncio.to_thread(self._recipes.folders))

    async def recipe_names(self, _request: Request) -> Response:
        """What a recipe can extend."""
        return JSONResponse(await asyncio.to_thread(self._recipes.names))

    async def recipe(self, request: Request) -> Response:
        """A folder's recipe: its own text, its fields and their origins."""
        return JSONResponse(await asyncio.to_thread(self._recipes.shown, request.query_params.get("folder", ".")))

    async def check_recipe(self, request: Request) -> Response:
        """What a text would make of a folder's recipe."""
        wanted = await _json(request)
        folder, text = (_text(wanted.get(name), name) for name in ("folder", "text"))
        return JSONResponse(await asyncio.to_thread(self._recipes.checked, folder, text))

    async def save_recipe(self, request: Request) -> Response:
        """Give a folder a recipe, unless it was changed since `mark` was told."""
        wanted = await _json(request)
        folder, text, mark = (_text(wanted.get(name), name) for name in ("folder", "text", "mark"))
        return JSONResponse(await asyncio.to_thread(self._recipes.save, folder, text, mark))

    # For machines

    async def metrics(self, _request: Request) -> Response:
        """Numbers for Prometheus."""
        async with self._scraping:
            text = await asyncio.to_thread(generate_latest, self._registry)
        return Response(text, media_type=CONTENT_TYPE_PLAIN_0_0_4)

    async def healthz(self, request: Request) -> Response:
        """Whether dreamd lives."""
        return await self._health(request, not_alive)

    async def readyz(self, request: Request) -> Response:
        """Whether a picture that is dropped now is dreamed now."""
        return await self._health(request, not_ready)

    async def _health(self, request: Request, judge: Callable[[dict[str, Any] | None], list[str]]) -> Response:
        try:
            reasons = judge(await asyncio.to_thread(snapshot.read, self._config.state))
        except DreamdError as error:
            reasons = [str(error)]
        # Anybody may know that it is not well; why is for those who may see the page.
        tells = self._sessions is None or is_signed_in(request, self._sessions)
        text = "\n".join(reasons if tells else ["not well"]) if reasons else "ok"
        return PlainTextResponse(f"{text}\n", 503 if reasons else 200)


def make_app(config: Config, token: str | None) -> Guard:
    """The application, with its guard before it."""
    sessions = Sessions(token) if token is not None else None
    page = Page(config, sessions)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        await page.close()

    return Guard(Starlette(routes=page.routes(), lifespan=lifespan), config.status, sessions)


class _NoSuchJobError(UsageError):
    """A job is not there, or has no result."""


def _answered(handler: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """A handler whose errors that a person can understand are told to the person."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except _NoSuchJobError as error:
            return _missing(str(error))
        except DreamdError as error:
            status = next(status for kind, status in _STATUS_OF if isinstance(error, kind))
            # The rest of a body that was not read must not be waited for.
            return JSONResponse({"error": str(error)}, status, {"Connection": "close"})

    return answer


async def _body(request: Request) -> bytes:
    """A small body. Raises UsageError for a large one, and for one that does not come."""
    data = bytearray()
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for chunk in request.stream():
                data += chunk
                if len(data) > _BODY_BYTES:
                    raise TooLargeError("this request is too large")
    except TimeoutError:
        raise SlowError("this request does not come to its end") from None
    return bytes(data)


async def _json(request: Request) -> dict[str, Any]:
    """A body that is a JSON object. Its type is asked for, because a form of another site cannot send it."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise UsageError("send application/json")
    try:
        values = json.loads(await _body(request))
    except (ValueError, RecursionError) as error:
        raise UsageError("this is no JSON") from error
    if not isinstance(values, dict):
        raise UsageError("this is no JSON object")
    return values


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise UsageError(f"{name} must be text")
    return value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise UsageError("this is no number") from error


async def _chunks(file: BinaryIO) -> AsyncIterator[bytes]:
    with file:
        while chunk := await asyncio.to_thread(file.read, _CHUNK_BYTES):
            yield chunk


def _missing(problem: str = "there is nothing here") -> Response:
    return JSONResponse({"error": problem}, 404)
