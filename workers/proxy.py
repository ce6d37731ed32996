"""The door to hosts that a project has named: an HTTP proxy that connects to these, by name and port, and to nothing else.

It serves on a listener of a sandbox's own network. Names are resolved here, for a sandbox has no name server; a name that leads
to this machine itself or to a link's own addresses (a cloud's metadata service) is refused, unless it is named by its number.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from dispatcher.sandboxes import split_host

HEAD = 65_536
"""Bytes of a request's head."""
CONNECT_SECONDS = 20.0
CHUNK = 65_536
_NO_PROXY = "127.0.0.1,localhost,::1"


class Proxy:
    """One sandbox's way to the named hosts."""

    def __init__(self, hosts: Iterable[str]) -> None:
        self._hosts = {split_host(host) for host in hosts}
        self._servers: list[asyncio.Server] = []
        self._talks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Proxy]:
        """Serve on the listeners that `serve` is given, until left."""
        try:
            yield self
        finally:
            for server in self._servers:
                server.close()
            for talk in list(self._talks):
                talk.cancel()
            await asyncio.gather(*self._talks, return_exceptions=True)

    async def serve(self, listener: socket.socket) -> None:
        """Serve on a listener; it is closed with the proxy."""
        self._servers.append(await asyncio.start_server(self._talk, sock=listener, limit=HEAD))

    async def listen(self) -> int:
        """Serve on a free port of this machine's loopback device; gives its number."""
        listener = socket.create_server(("127.0.0.1", 0))
        await self.serve(listener)
        return int(listener.getsockname()[1])

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._talks.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                await self._pass_on(reader, writer)
        finally:
            self._talks.discard(task)
            writer.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        line, _, rest = head.partition(b"\r\n")
        words = line.decode("latin-1").split(" ")
        wanted = _target(words)
        if wanted is None or wanted not in self._hosts:
            name = f"{wanted[0]}:{wanted[1]}" if wanted else "that"
            await _answer(writer, 403, f"{name} is not a host that the project has named for its sandbox")
            return
        try:
            away = await _connect(*wanted)
        except OSError as error:
            await _answer(writer, 502, f"{wanted[0]}:{wanted[1]} cannot be reached: {error.strerror or error}")
            return
        there_reader, there_writer = away
        try:
            if words[0] == "CONNECT":
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                there_writer.write(_plain(words, rest))
            await asyncio.gather(_copy(reader, there_writer), _copy(there_reader, writer))
        finally:
            there_writer.close()


def environment(port: int) -> dict[str, str]:
    """The variables by which programs find the proxy; in both spellings, for programs differ."""
    url = f"http://127.0.0.1:{port}"
    given = {"HTTPS_PROXY": url, "HTTP_PROXY": url, "NO_PROXY": _NO_PROXY}
    return given | {name.lower(): value for name, value in given.items()}


def _target(words: list[str]) -> tuple[str, int] | None:
    """The host and port that a request's first line asks for."""
    if len(words) != 3:
        return None
    try:
        parts = urlsplit(f"//{words[1]}" if words[0] == "CONNECT" else words[1])
        port = parts.port or (80 if words[0] != "CONNECT" else 443)
    except ValueError:
        return None
    if not parts.hostname or (words[0] != "CONNECT" and parts.scheme != "http"):
        return None
    return parts.hostname, port


def _plain(words: list[str], rest: bytes) -> bytes:
    """A request to a plain server: without the host in its first line, and for this one answer only."""
    parts = urlsplit(words[1])
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    kept = [line for line in rest.split(b"\r\n") if line and not line.lower().startswith((b"proxy-", b"connection:"))]
    return b"\r\n".join([f"{words[0]} {path} {words[2]}".encode("latin-1"), *kept, b"Connection: close", b"", b""])


async def _connect(host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to the first address that answers; raises `OSError`."""
    async with asyncio.timeout(CONNECT_SECONDS):
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        by_number = _is_number(host)
        problem = OSError(f"{host} leads to this machine or its link")
        for *_, address in found:
            if not by_number and not _may_be_meant(str(address[0])):
                continue
            try:
                return await asyncio.open_connection(str(address[0]), port)
            except OSError as error:
                problem = error
    raise problem


def _may_be_meant(address: str) -> bool:
    found = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(found, "ipv4_mapped", None)
    found = mapped or found
    return not (found.is_loopback or found.is_link_local or found.is_unspecified or found.is_multicast)


def _is_number(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(CHUNK):
            target.write(data)
            await target.drain()
    finally:
        with contextlib.suppress(OSError):
            if target.can_write_eof():
                target.write_eof()


async def _answer(writer: asyncio.StreamWriter, status: int, text: str) -> None:
    body = f"{text}\n".encode()
    reason = {403: "Forbidden", 502: "Bad Gateway"}[status]
    head = f"HTTP/1.1 {status} {reason}\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    writer.write(head.encode() + body)
    await writer.drain()
