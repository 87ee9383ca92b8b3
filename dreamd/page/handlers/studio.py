"""What is dreamed small for a page: trials of a recipe that is not saved, and atlases to choose layers from."""

from __future__ import annotations

import asyncio
import base64
import binascii
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from dreamd.errors import UsageError
from dreamd.page.gallery.thumbnails import Thumbnails
from dreamd.page.handlers.answers import JsonAnswer, NotThereError, answering
from dreamd.page.handlers.requests import query_of, read_json, read_texts, texts_of
from dreamd.page.handlers.stored_files import FOR_GOOD
from dreamd.page.parts import Parts
from dreamd.page.recipes.cards import UNDREAMED, sample_file
from dreamd.page.studio.atlases import Atlases
from dreamd.page.studio.trials import Trials

_STARTS = {b"RIFF": "image/webp", b"\xff\xd8": "image/jpeg", b"\x89PNG": "image/png"}
"""The types of the pictures that are tried on, by the first bytes of each."""


class StudioHandlers:
    """Answers what is asked of the studio."""

    def __init__(self, parts: Parts, thumbnails: Thumbnails) -> None:
        self._recipes = parts.recipes
        self._results = parts.results
        self._thumbnails = thumbnails
        self._trials = Trials(parts.config)
        self._atlases = Atlases(parts.config)

    def routes(self) -> list[BaseRoute]:
        """List the addresses that are answered here."""
        return [
            Route("/api/trials", answering(self.begin), methods=["POST"]),
            Route("/api/trials/{id}", answering(self.trial), methods=["GET"]),
            Route("/api/trials/{id}", answering(self.forget), methods=["DELETE"]),
            Route("/trials/{id}/{which}", answering(self.picture), methods=["GET"]),
            Route("/api/atlas", answering(self.atlas), methods=["GET"]),
            Route("/api/atlas", answering(self.make_atlas), methods=["POST"]),
            Route("/api/atlas", answering(self.cancel_atlas), methods=["DELETE"]),
            Route("/atlas/{place}/{name}", answering(self.tile), methods=["GET"]),
        ]

    async def close(self) -> None:
        """End the studio's processes."""
        await self._trials.close()
        await self._atlases.close()

    async def begin(self, request: Request) -> Response:
        """Try a text as a folder's recipe, on `picture`: `{job}`, `{data}` in base64, or `{}` for one that ships.

        The trial that it comes after, `former`, is ended and forgotten.
        """
        values = await read_json(request)
        folder, text = texts_of(values, "folder", "text")
        former = values.get("former")
        if isinstance(former, str):
            await self._trials.forget(former)
        recipe = await asyncio.to_thread(self._recipes.effective, folder, text)
        trial = await self._trials.begin(recipe, await self._picture(request, values.get("picture")))
        return JsonAnswer(trial.values(), 201)

    async def trial(self, request: Request) -> Response:
        """Answer how far a trial is."""
        return JsonAnswer(self._trials.find(request.path_params["id"]).values())

    async def forget(self, request: Request) -> Response:
        """End a trial, and forget it."""
        await self._trials.forget(request.path_params["id"])
        return Response(status_code=204)

    async def picture(self, request: Request) -> Response:
        """Answer with the picture of a trial, `before`, or with its dream as it is now, `after`."""
        trial = self._trials.find(request.path_params["id"])
        data = {"before": trial.before, "after": trial.after}.get(request.path_params["which"])
        if data is None:
            raise NotThereError("there is no such picture yet")
        return Response(data, media_type=_media_type(data))

    async def atlas(self, request: Request) -> Response:
        """Show what each layer of a network makes, as far as that is known."""
        backbone = query_of(request).get("backbone", "")
        return JsonAnswer(await asyncio.to_thread(self._atlases.show, backbone))

    async def make_atlas(self, request: Request) -> Response:
        """Begin to make a network's atlas."""
        (backbone,) = await read_texts(request, "backbone")
        await self._atlases.make(backbone)
        return JsonAnswer(await asyncio.to_thread(self._atlases.show, backbone), 202)

    async def cancel_atlas(self, _request: Request) -> Response:
        """Stop making an atlas."""
        await self._atlases.cancel()
        return Response(status_code=204)

    async def tile(self, request: Request) -> Response:
        """Answer with what a layer makes, small."""
        place, name = request.path_params["place"], request.path_params["name"]
        data = await asyncio.to_thread(self._atlases.tile, place, name)
        return Response(data, media_type="image/webp", headers={"Cache-Control": FOR_GOOD})

    async def _picture(self, request: Request, wanted: Any) -> bytes:
        """Return the small picture that a trial begins with. Raises UsageError, NotThereError."""
        if not isinstance(wanted, dict):
            raise UsageError("picture must be an object")
        if isinstance(wanted.get("data"), str):
            try:
                return base64.b64decode(wanted["data"], validate=True)
            except binascii.Error as error:
                raise UsageError("picture.data must be base64") from error
        if isinstance(wanted.get("job"), str):
            return await self._original(request, wanted["job"])
        sample = sample_file(UNDREAMED)
        assert sample is not None
        return await asyncio.to_thread(sample.read_bytes)

    async def _original(self, request: Request, id_: str) -> bytes:
        job = await asyncio.to_thread(self._results.job, id_)
        file = None
        if job is not None:
            file = await self._thumbnails.get(job, "before", "small", request.is_disconnected)
        if file is None:
            raise NotThereError("the original of this dream is not there any more; choose another picture")
        return await asyncio.to_thread(file.read_bytes)


def _media_type(data: bytes) -> str:
    """Return the type of a picture by its first bytes: one of those that are tried on, else none that is shown."""
    found = (kind for start, kind in _STARTS.items() if data.startswith(start))
    return next(found, "application/octet-stream")
