"""The names by which this machine may be asked for the page."""

from __future__ import annotations

import socket
from ipaddress import ip_address

from dreamd.settings.sections import StatusConfig, is_loopback


class Hosts:
    """Knows this machine's names.

    A foreign name that was made to point here is how a page of another site would come to be of the same origin. An
    address is no name, so nobody can make it point elsewhere.
    """

    def __init__(self, config: StatusConfig) -> None:
        self._is_local = config.is_local
        self._names = {name.lower() for name in config.hosts} | {"localhost"}
        if not self._is_local:
            self._names |= {socket.gethostname().lower(), socket.getfqdn().lower(), config.address[0].lower()}

    def is_known(self, host: str) -> bool:
        """Tell whether a Host header names this machine."""
        host = host.lower()
        if host in self._names:
            return True
        name, colon, port = host.rpartition(":")
        if not colon or not port.isdecimal() or host.endswith("]"):
            name = host
        if name.startswith("["):
            name = name[1:].removesuffix("]")
        return name in self._names or self._is_own_address(name)

    def _is_own_address(self, name: str) -> bool:
        if self._is_local:
            return is_loopback(name)
        try:
            ip_address(name)
        except ValueError:
            return False
        return True
