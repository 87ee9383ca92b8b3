"""Who a request comes from, and whether it came by TLS: as the connection says, or the proxy that the config trusts."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from starlette.requests import HTTPConnection

_Address = IPv4Address | IPv6Address

_HOUSEHOLD_BITS = 64
"""The bits of an IPv6 address that tell one household from another; all addresses behind them are one client's."""


class Clients:
    """Tells clients apart.

    Anybody can write a header. So `X-Forwarded-For` and `X-Forwarded-Proto` count on connections of the configured
    proxy only, and of several values the last, which that proxy wrote itself.
    """

    def __init__(self, trusted_proxy: str | None) -> None:
        """Know the proxy.

        Args:
            trusted_proxy: its address, or the network that it is in; None when no header counts.
        """
        self._proxy = None if trusted_proxy is None else ip_network(trusted_proxy)

    def address_of(self, request: HTTPConnection) -> str:
        """Return the address that a request comes from, as the log tells it; "unknown" when there is none."""
        peer = _parsed(request.client.host if request.client else "")
        if self._is_proxy(peer):
            forwarded = _last(request, "x-forwarded-for")
            peer = _parsed(forwarded.removeprefix("[").removesuffix("]")) or peer
        return str(peer) if peer else "unknown"

    def is_secure(self, request: HTTPConnection) -> bool:
        """Tell whether the browser's own connection is by TLS, as far as the proxy says so."""
        peer = _parsed(request.client.host if request.client else "")
        return self._is_proxy(peer) and _last(request, "x-forwarded-proto").lower() == "https"

    def _is_proxy(self, peer: _Address | None) -> bool:
        return self._proxy is not None and peer is not None and peer in self._proxy


def household_of(address: str) -> str:
    """Return what one person has one of: an IPv4 address, or the network of an IPv6 address."""
    parsed = _parsed(address)
    if isinstance(parsed, IPv6Address):
        return str(ip_network((parsed, _HOUSEHOLD_BITS), strict=False))
    return address


def _parsed(text: str) -> _Address | None:
    """Read an address, an IPv4 one that is written as IPv6 as the former; None for what is none."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _last(request: HTTPConnection, name: str) -> str:
    """Return the last value of a header, which may come several times and hold lists."""
    return ",".join(request.headers.getlist(name)).rpartition(",")[2].strip()
