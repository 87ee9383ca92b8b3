"""The notifier `webhook`: posts every picture that is done, failed or held to the address in DREAMD_WEBHOOK_URL.

Notifiers have a thread of their own, so that this one may wait and try again while pictures go on being dreamed.
"""

from __future__ import annotations

import json
import logging
import os
import time
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from dreamd.api import Job, JobState, hookimpl

DREAMD_API = 1

log = logging.getLogger(__name__)

URL = os.environ.get("DREAMD_WEBHOOK_URL", "")
WAITS_SECONDS = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Before the second try, the third, ...; after the last one the news is given up."""

TIMEOUT_SECONDS = 10.0


@hookimpl
def dreamd_job_changed(job: Job) -> None:
    """Post what became of a job."""
    if URL and job.state in (JobState.DONE, JobState.FAILED, JobState.HELD):
        post(
            URL,
            {"id": job.id, "picture": str(job.path), "state": job.state, "result": job.result, "reason": job.reason},
        )


def post(url: str, news: dict[str, str | None]) -> bool:
    """Post JSON, again after a while when that fails; returns whether it was taken."""
    for wait in (*WAITS_SECONDS, None):
        try:
            _post_once(url, news)
        except OSError as error:  # the network's errors, a time-out, and HTTPError
            if wait is None or not _may_pass(error):
                log.warning("webhook: %s is not told of %s: %s", url, news["picture"], error)
                return False
            time.sleep(wait)
        else:
            return True
    return False


def _post_once(url: str, news: dict[str, str | None]) -> None:
    request = Request(url, json.dumps(news).encode(), {"Content-Type": "application/json"}, method="POST")
    with urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
        answer.read()


def _may_pass(error: OSError) -> bool:
    """Whether trying again can help: not when the server has understood and refuses."""
    return not isinstance(error, HTTPError) or error.code >= 500 or error.code in (408, 429)
