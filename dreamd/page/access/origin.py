"""Whether a request comes from a page of another site, as far as the browser tells."""

from __future__ import annotations

from starlette.datastructures import Headers

_SCHEMES = ("http", "https")


def foreign_origin(headers: Headers, method: str, path: str) -> str | None:
    """Say that a request comes from another site, as far as its browser tells; None when it does not.

    A program that is no browser sends none of these headers, and carries nobody's session unless it was given it.
    """
    origin = headers.get("origin")
    if origin is not None and origin.lower() not in {f"{scheme}://{headers['host'].lower()}" for scheme in _SCHEMES}:
        return "this request comes from a page of another site"
    is_visit = method == "GET" and path in ("/", "/login") and headers.get("sec-fetch-mode", "navigate") == "navigate"
    if headers.get("sec-fetch-site", "none") not in ("same-origin", "none") and not is_visit:
        return "this request comes from a page of another site"
    return None
