"""The web, as far as weights may come from it: http and https alone, and what a server says about a file."""

from __future__ import annotations

import re
from typing import IO, TYPE_CHECKING
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    UnknownHandler,
)

from dreamd.files.problems import refusal

if TYPE_CHECKING:
    from email.message import Message
    from http.client import HTTPMessage


class Redirects(HTTPRedirectHandler):
    """Follows redirects, but never from https to http.

    Attributes:
        linked: the SHA-256 that Hugging Face sends on the way, "" until it does.
    """

    def __init__(self) -> None:
        self.linked = ""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        """Return the request that follows a redirect. Raises HTTPError for one that is refused."""
        self.linked = linked_digest(headers) or self.linked
        if req.type == "https" and urlsplit(newurl).scheme != "https":
            raise HTTPError(req.full_url, code, f"a redirect away from https, to {newurl}, was refused", headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def opener(redirects: Redirects) -> OpenerDirector:
    """Return what opens http and https addresses, directly or through the proxy of the environment."""
    # Built by hand, so that a redirect leads to http and https only: `build_opener` would also open ftp: and data:.
    director = OpenerDirector()
    for handler in (
        ProxyHandler(),
        UnknownHandler(),
        HTTPHandler(),
        HTTPSHandler(),
        HTTPDefaultErrorHandler(),
        redirects,
        HTTPErrorProcessor(),
    ):
        director.add_handler(handler)
    return director


def linked_digest(headers: Message) -> str:
    """Return Hugging Face's `X-Linked-ETag`, which is the SHA-256 of a large file; "" when there is none."""
    value = headers.get("X-Linked-ETag", "").removeprefix("W/").strip('"')
    return value if re.fullmatch(r"[0-9a-f]{64}", value) else ""


def validator_of(headers: HTTPMessage) -> str:
    """Return what `If-Range` may carry (RFC 9110, 13.1.5): a strong ETag, else the date."""
    etag: str = headers.get("ETag", "")
    return etag if etag.startswith('"') else headers.get("Last-Modified", "")


def reason_of(error: Exception) -> str:
    """Return in words why a server could not be reached, or stopped."""
    cause = error.reason if isinstance(error, URLError) else error
    return refusal(cause) if isinstance(cause, OSError) else str(cause) or type(cause).__name__


def proxy_words(request: Request) -> str:
    """Return `, through the proxy HOST` for a request that went through one, else ""."""
    return "" if request.host == urlsplit(request.full_url).netloc else f", through the proxy {request.host}"
