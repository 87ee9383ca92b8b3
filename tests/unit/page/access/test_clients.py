"""Who a request comes from: the connection's other end, or whom the trusted proxy names."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from dreamd.page.access.clients import Clients, household_of


def request(peer: str, **headers: str) -> Request:
    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "client": (peer, 1), "headers": named})


@pytest.mark.parametrize(
    ("proxy", "peer", "forwarded", "address"),
    [
        (None, "192.0.2.1", "198.51.100.7", "192.0.2.1"),
        ("127.0.0.1", "192.0.2.1", "198.51.100.7", "192.0.2.1"),
        ("127.0.0.1", "127.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("10.0.0.0/8", "10.9.9.9", "6.6.6.6, 198.51.100.7", "198.51.100.7"),
        ("::1", "::1", "2001:db8::1", "2001:db8::1"),
        ("::1", "::1", "[2001:db8::1]", "2001:db8::1"),
        ("127.0.0.1", "::ffff:127.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("127.0.0.1", "127.0.0.1", "", "127.0.0.1"),
        ("127.0.0.1", "127.0.0.1", "8.8.8.8\tx", "127.0.0.1"),
        (None, "fe80::1%eth0", "", "fe80::1"),
        (None, "", "198.51.100.7", "unknown"),
    ],
)
def test_only_the_trusted_proxy_says_who_comes_and_only_by_its_last_word(
    proxy: str | None, peer: str, forwarded: str, address: str
) -> None:
    assert Clients(proxy).address_of(request(peer, x_forwarded_for=forwarded)) == address


@pytest.mark.parametrize(
    ("peer", "scheme", "is_secure"),
    [
        ("127.0.0.1", "https", True),
        ("127.0.0.1", "http, HTTPS", True),
        ("127.0.0.1", "https, http", False),
        ("127.0.0.1", "", False),
        ("192.0.2.1", "https", False),
    ],
)
def test_only_the_trusted_proxy_says_that_a_browser_came_by_tls(peer: str, scheme: str, is_secure: bool) -> None:
    assert Clients("127.0.0.1").is_secure(request(peer, x_forwarded_proto=scheme)) is is_secure
    assert not Clients(None).is_secure(request(peer, x_forwarded_proto=scheme))


def test_all_ipv6_addresses_of_a_household_are_one_client() -> None:
    assert household_of("2001:db8::1") == household_of("2001:db8:0:0:ffff::2") != household_of("2001:db8:0:1::1")
    assert household_of("192.0.2.1") != household_of("192.0.2.2")
    assert household_of("unknown") == "unknown"
