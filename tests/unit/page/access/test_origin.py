"""Origins: a page's own, however a proxy passes its host on, and those of other sites."""

from __future__ import annotations

import pytest
from starlette.datastructures import Headers

from dreamd.page.access.origin import foreign_origin


def is_foreign(host: str, origin: str) -> bool:
    return foreign_origin(Headers({"host": host, "origin": origin}), "POST", "/api/pause") is not None


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("x", "https://x"),
        ("x", "http://x"),
        ("x:443", "https://x"),
        ("x:443", "https://x:443"),
        ("X:80", "http://x"),
        ("[::1]:443", "https://[::1]"),
        ("x:8443", "https://x:8443"),
    ],
)
def test_a_page_is_its_own_whether_or_not_its_schemes_port_is_named(host: str, origin: str) -> None:
    assert not is_foreign(host, origin)


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("x:443", "http://x"),
        ("x:443", "https://x:8443"),
        ("x:80", "https://x"),
        ("x:8443", "https://x"),
        ("x:8080", "http://x"),
        ("x:443", "https://y"),
    ],
)
def test_another_port_or_scheme_is_another_site(host: str, origin: str) -> None:
    assert is_foreign(host, origin)
