"""Where a run's endpoint is, looked up once and kept: a name that leads elsewhere during a run does not take the run along."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

from aiohttp.abc import AbstractResolver, ResolveResult

from dispatcher.addresses import Address, resolve


class Pin(AbstractResolver):
    """A resolver that knows one endpoint's name. TLS still asks for the certificate of the name."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self._host = (urlsplit(base_url).hostname or "").rstrip(".").lower()
        self.addresses: tuple[Address, ...] = ()
        self.moves: list[str] = []
        """Each move of the name during the run, as a sentence."""

    async def set(self) -> None:
        """Look the name up, or up anew; raises `Barred`, and `OSError` where it is not known.

        An address that is refused or a failed look-up changes nothing of what is kept.
        """
        found = await resolve(self._base_url)
        if self.addresses and set(found) != set(self.addresses):
            self.moves.append(f"{self._host} was at {_told(self.addresses)} and is now at {_told(found)}")
        self.addresses = found

    async def resolve(self, host: str, port: int = 0, family: int = socket.AF_UNSPEC) -> list[ResolveResult]:
        """What is kept, for the endpoint's own name alone."""
        if host.rstrip(".").lower() != self._host or not self.addresses:
            raise OSError(None, f"{host} could not be looked up")
        return [_result(host, port, address) for address in self.addresses]

    async def close(self) -> None:
        """There is nothing to let go."""


def _result(host: str, port: int, address: Address) -> ResolveResult:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    return ResolveResult(hostname=host, host=str(address), port=port, family=family, proto=0, flags=socket.AI_NUMERICHOST)


def _told(addresses: tuple[Address, ...]) -> str:
    return ", ".join(map(str, addresses))
