"""The operations on jobs: post a picture, list, wait, follow, fetch, try again."""

from __future__ import annotations

import asyncio
import time
from pathlib import PurePosixPath

from starlette.requests import Request
from starlette.responses import Response

from dreamd.errors import DreamdError, UsageError
from dreamd.job import Job, JobState
from dreamd.page.access.callers import Caller, ForbiddenError, caller_of
from dreamd.page.access.clients import household_of
from dreamd.page.again.sources import why_no_original
from dreamd.page.api.following import Following
from dreamd.page.api.job_view import Found
from dreamd.page.api.models import ApiJob, JobList, JobQuery, ListQuery, Nothing, PostQuery, State
from dreamd.page.api.operations.operation import ANY_RIGHT, IDEMPOTENCY_KEY, Answer, Header, Operation, operation
from dreamd.page.api.operations.streaming import EVENT_STREAM, job_event, streamed
from dreamd.page.handlers.answers import JsonAnswer, NotThereError
from dreamd.page.handlers.requests import length_of
from dreamd.page.handlers.stored_files import sent_file, sent_result
from dreamd.page.originals import claimed_files, opened_original
from dreamd.page.outbox import sidecar_of
from dreamd.page.parts import Parts
from dreamd.page.posting.posting import Wanted
from dreamd.page.posting.receipts import Receipt, is_in_inbox, latest_id_now, receipt_id
from dreamd.page.recipes.editor import ChangedError
from dreamd.tree import control
from dreamd.tree.layout import steps_name

_DRAIN_SECONDS = 30.0
"""The time in seconds for which a picture that came already is read once more, so that its sender hears the answer."""

_PUT_AWAY_SECONDS = 5.0
"""The time in seconds for which the picture of a failed job is waited for, until it lies among the failed ones."""

_CLAIM_SECONDS = 5.0
"""The time in seconds for which a picture that is to be cancelled is waited for, until it is taken out of the inbox."""

_PUT_AWAY_LOOK_SECONDS = 0.05
"""The pause between two looks for either."""

_JOB = Answer(words="The job.", model=ApiJob)
_SIDECAR = {200: Answer(words="How it came about: the sidecar that lies beside the result.")}
_FILE = {
    200: Answer(words="The picture or the film, as it lies in its folder.", media_type="*/*"),
    206: Answer(words="The part of it that was asked for; 416 where there is none such.", media_type="*/*"),
}
_RANGE = Header(name="Range", words="The part to send: `bytes=0-999`. Players ask so for what they show next.")
_NO_JOB = "There is no such job, or this token has not posted it."
_NO_FILE = "There is no such job, or it has no such file (any more)."


class JobOperations:
    """Answers what is asked about jobs."""

    def __init__(self, parts: Parts, following: Following) -> None:
        self._config = parts.config
        self._clients = parts.clients
        self._posting = parts.posting
        self._receipts = parts.receipts
        self._jobs = parts.jobs
        self._following = following

    def operations(self) -> list[Operation]:
        """List them, in the order of the document."""
        return [*self._on_all(), *self._that_tell(), *self._that_change(), *self._on_files()]

    def _on_all(self) -> list[Operation]:
        return [
            operation(
                "POST",
                "/jobs",
                self.post_picture,
                query=PostQuery,
                answers={201: _JOB, 200: Answer(words="The job of an earlier request with this key.", model=ApiJob)},
                problems={
                    408: "The picture came too slowly, or too many came at once.",
                    409: "The key was used for something else, or the recipe's folder has another recipe by now.",
                    413: "The picture is larger than `limits.max_bytes`, or the film than `limits.max_film_bytes`.",
                    422: "Name, folder, recipe or key cannot be.",
                    507: "The disk is full.",
                },
                needs={"drop", "all"},
                headers=(IDEMPOTENCY_KEY,),
                body="The picture itself, no form; or a dream file, with a name such as `clouds.dream.yaml`.",
            ),
            operation(
                "GET",
                "/jobs",
                self.list_jobs,
                query=ListQuery,
                answers={200: Answer(words="The jobs.", model=JobList)},
                needs={"read", "all"},
            ),
        ]

    def _that_tell(self) -> list[Operation]:
        return [
            operation(
                "GET",
                "/jobs/{id}",
                self.get_job,
                query=JobQuery,
                answers={200: _JOB},
                problems={404: _NO_JOB, 503: "Too many wait already."},
                needs=ANY_RIGHT,
            ),
            operation(
                "GET",
                "/jobs/{id}/events",
                self.follow_job,
                query=Nothing,
                answers={
                    200: Answer(
                        words="Events named `job`, each with a job as its data, until the job is over or an hour is.",
                        media_type=EVENT_STREAM,
                    )
                },
                problems={404: _NO_JOB, 503: "Too many follow already."},
                needs=ANY_RIGHT,
            ),
        ]

    def _that_change(self) -> list[Operation]:
        return [
            operation(
                "POST", path, handler, query=Nothing, answers={202: Answer(words=words, model=ApiJob)},
                problems={404: _NO_JOB, **problems}, needs={"drop", "all"},
            )
            for path, handler, words, problems in (
                (
                    "/jobs/{id}/cancel", self.cancel_job, "The job; `failed` of `cancelled`, once it has ended.",
                    {
                        409: "The picture is not taken out of the inbox yet.",
                        422: "It has ended: there is nothing left to cancel.",
                    },
                ),
                ("/jobs/{id}/dismiss", self.dismiss_job, "The job.", {422: "It has not failed."}),
                (
                    "/jobs/{id}/retry", self.retry_job, "The job from now on; its id may be a new one.",
                    {
                        409: "A picture of this name waits in the inbox.",
                        422: "It is neither failed nor held, or its picture is gone.",
                    },
                ),
            )
        ]  # fmt: skip

    def _on_files(self) -> list[Operation]:
        return [
            operation(
                "GET", path, handler, query=Nothing, answers=answers, problems={404: _NO_FILE}, needs=ANY_RIGHT,
                headers=(_RANGE,) if answers is _FILE else (),
            )
            for path, handler, answers in (
                ("/jobs/{id}/result", self.get_result, _FILE),
                ("/jobs/{id}/original", self.get_original, _FILE),
                ("/jobs/{id}/sidecar", self.get_sidecar, _SIDECAR),
                ("/jobs/{id}/steps", self.get_film_strip, _FILE),
            )
        ]  # fmt: skip

    async def post_picture(self, request: Request, query: PostQuery) -> Response:
        """Take a picture into the inbox, to be dreamed."""
        if request.headers.get("content-type", "").startswith("multipart/"):
            raise UsageError("send the picture itself as the body, and no form: curl --data-binary @cat.jpg")
        caller = caller_of(request)
        receipt, is_new = await self._posting.post(
            Wanted(name=query.name, folder=query.folder, recipe=query.recipe),
            caller.name,
            request.headers.get("idempotency-key"),
            length_of(request),
            request.stream(),
        )
        if not is_new:
            await self._drain(request)
        job = await asyncio.to_thread(self._jobs.find, receipt.id, caller)
        return _told(job.told, 201 if is_new else 200, {"Location": f"jobs/{receipt.id}"})

    async def list_jobs(self, _request: Request, query: ListQuery) -> Response:
        """List jobs, the newest claim first."""
        state = None if query.state is None else JobState(query.state)
        jobs = await asyncio.to_thread(self._jobs.listed, state, query.before, query.limit)
        return JsonAnswer(jobs.model_dump(mode="json"))

    async def get_job(self, request: Request, query: JobQuery) -> Response:
        """Tell a job, at once or when it is over."""
        job = await self._following.until_over(self._client(request), lambda: self._look(request).told, query.wait)
        return _told(job, 200)

    async def follow_job(self, request: Request, _query: Nothing) -> Response:
        """Tell a job now, and again whenever it has changed."""
        changes = self._following.changes(self._client(request), lambda: self._look(request).told)
        return await streamed(changes, job_event)

    async def retry_job(self, request: Request, _query: Nothing) -> Response:
        """Try a failed or held job again."""
        told = await asyncio.to_thread(self._retry, request.path_params["id"], caller_of(request))
        return _told(told, 202)

    async def cancel_job(self, request: Request, _query: Nothing) -> Response:
        """Cancel a job that waits or runs; to try it again takes that back."""
        told = await asyncio.to_thread(self._cancel, request.path_params["id"], caller_of(request))
        return _told(told, 202)

    async def dismiss_job(self, request: Request, _query: Nothing) -> Response:
        """Have a failure shown no more where what went wrong is listed."""
        told = await asyncio.to_thread(self._dismiss, request.path_params["id"], caller_of(request))
        return _told(told, 202)

    async def get_result(self, request: Request, _query: Nothing) -> Response:
        """Send the result."""
        job = await self._done_job(request)
        return await sent_result(job, self._config.outbox, PurePosixPath(job.result or "").name)

    async def get_original(self, request: Request, _query: Nothing) -> Response:
        """Send the original of a job that is done, as long as it is kept, or that failed."""
        job = await asyncio.to_thread(self._jobs.over, request.path_params["id"], caller_of(request))
        file = await asyncio.to_thread(opened_original, job, self._config)
        if file is None:
            raise NotThereError(await asyncio.to_thread(why_no_original, job, self._config))
        return sent_file(file, job.name)

    async def get_sidecar(self, request: Request, _query: Nothing) -> Response:
        """Send what is known of how a result came about."""
        job = await self._done_job(request)
        sidecar = await asyncio.to_thread(sidecar_of, job, self._config.outbox)
        if sidecar is None:
            raise NotThereError("it was taken out of the outbox")
        return JsonAnswer(sidecar)

    async def get_film_strip(self, request: Request, _query: Nothing) -> Response:
        """Send the film strip of a result, where its recipe asks for one."""
        job = await self._done_job(request)
        sidecar = await asyncio.to_thread(sidecar_of, job, self._config.outbox)
        if sidecar is None or not sidecar.get("steps"):
            raise NotThereError("there is no film strip of this job")
        return await sent_result(job, self._config.outbox, steps_name(PurePosixPath(job.result or "").name))

    def _client(self, request: Request) -> str:
        return household_of(self._clients.address_of(request))

    def _look(self, request: Request) -> Found:
        return self._jobs.find(request.path_params["id"], caller_of(request))

    async def _done_job(self, request: Request) -> Job:
        """Find the job of a request's address. Raises NotThereError when it has no result."""
        return await asyncio.to_thread(self._jobs.done, request.path_params["id"], caller_of(request))

    def _retry(self, id_: str, caller: Caller) -> ApiJob:
        found = self._jobs.find(id_, caller)
        job = self._own_job(found, caller)
        if job is None or job.state not in (JobState.FAILED, JobState.HELD):
            raise UsageError(f"the job is {found.told.state}, not failed or held")
        if job.state is JobState.HELD:
            list(control.retry(self._config, [job.id], all_failed=False))
            return self._jobs.find(id_, caller).told
        path = str(job.path)
        self._await_put_away(job)
        if is_in_inbox(self._config.inbox, path):
            raise ChangedError(f"another {path} waits in the inbox; try again when it is done")
        receipt = found.receipt or Receipt(
            id=receipt_id(caller.name, None), owner=caller.name, asked="", path=path, draft="", since=latest_id_now()
        )
        self._receipts.save(receipt)  # before the picture is back, so that a kill leaves nobody without an id
        try:
            list(control.retry(self._config, [job.id], all_failed=False))
        except DreamdError:
            if found.receipt is None:
                self._receipts.remove(receipt.id)
            raise
        return self._jobs.find(receipt.id, caller).told

    def _cancel(self, id_: str, caller: Caller) -> ApiJob:
        end = time.monotonic() + _CLAIM_SECONDS
        while (found := self._jobs.find(id_, caller)).told.state is State.RECEIVED and time.monotonic() < end:
            time.sleep(_PUT_AWAY_LOOK_SECONDS)
        job = self._own_job(found, caller)
        if found.told.state is State.GONE:
            raise UsageError("the picture was taken out of the inbox: there is nothing left to cancel")
        if job is None:
            raise ChangedError("the picture is not taken out of the inbox yet; ask again when it is queued")
        list(control.cancel(self._config, [job.id]))
        return self._jobs.find(id_, caller).told

    def _dismiss(self, id_: str, caller: Caller) -> ApiJob:
        found = self._jobs.find(id_, caller)
        job = self._own_job(found, caller)
        if job is None:
            raise UsageError(f"the job is {found.told.state}, not failed")
        control.dismiss(self._config, [job.id])
        return self._jobs.find(id_, caller).told

    def _own_job(self, found: Found, caller: Caller) -> Job | None:
        """Return the job of what was found. Raises ForbiddenError where this caller may not change it."""
        if found.receipt is None and "all" not in caller.may:
            raise ForbiddenError(f"the token {caller.name!r} may change only what it has posted")
        return found.job

    def _await_put_away(self, job: Job) -> None:
        """Wait a moment for what has failed just now to be among the failed pictures."""
        end = time.monotonic() + _PUT_AWAY_SECONDS
        while claimed_files(self._config.inbox, str(job.path), job.id) and time.monotonic() < end:
            time.sleep(_PUT_AWAY_LOOK_SECONDS)

    async def _drain(self, request: Request) -> None:
        """Read a body that is not needed: who still sends would not hear an answer."""
        try:
            async with asyncio.timeout(_DRAIN_SECONDS):
                async for _ in request.stream():
                    pass
        except TimeoutError:
            return  # the answer is right all the same, if it is heard


def _told(job: ApiJob, code: int, headers: dict[str, str] | None = None) -> Response:
    return JsonAnswer(job.model_dump(mode="json"), code, headers)
