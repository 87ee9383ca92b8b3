"""Whether a request comes from a page of another site, as far as the browser tells."""

from __future__ import annotations

from collections.abc import Iterator

from starlette.datastructures import Headers

_PORTS = {"http": 80, "https": 443}
"""The schemes of a page's address, each with the port that a browser leaves out of an origin."""


def foreign_origin(headers: Headers, method: str, path: str) -> str | None:
    """Say that a request comes from another site, as far as its browser tells; None when it does not.

    A program that is no browser sends none of these headers, and carries nobody's session unless it was given it.
    """
    origin = headers.get("origin")
    if origin is not None and origin.lower() not in _own_origins(headers["host"].lower()):
        return "this request comes from a page of another site"
    is_visit = method == "GET" and path in ("/", "/login") and headers.get("sec-fetch-mode", "navigate") == "navigate"
    if headers.get("sec-fetch-site", "none") not in ("same-origin", "none") and not is_visit:
        return "this request comes from a page of another site"
    return None


def _own_origins(host: str) -> Iterator[str]:
    """Yield what a browser may call the origin of a host; a proxy may name the port that the browser leaves out."""
    for scheme, port in _PORTS.items():
        yield f"{scheme}://{host}"
        yield f"{scheme}://{host.removesuffix(f':{port}')}"
