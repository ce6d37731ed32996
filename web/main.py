"""Starts the site, and ends its streams at once when it is asked to stop."""

from __future__ import annotations

import asyncio
import socket

import uvicorn
from fastapi import FastAPI

from dispatcher.errors import Unavailable
from dispatcher.garbage import spare_what_is_here
from dispatcher.settings import Settings
from web.app import create_app

STOP_SECONDS = 5
BACKLOG = 2048


def run(settings: Settings, *, listener: socket.socket | None = None) -> None:
    """Serve until SIGTERM or SIGINT, at the settings' host and port or on a socket that listens already.

    Raises `Unavailable` where the port is taken.
    """
    app = create_app(settings)
    config = uvicorn.Config(
        app, log_config=None, timeout_graceful_shutdown=STOP_SECONDS, server_header=False, proxy_headers=False
    )
    with listener or bind(settings.host, settings.port) as served:
        _Server(config, app).run([served])


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; raises `Unavailable` with the fix where the address cannot be had."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        hint = "stop what runs there, or choose another port: DISPATCHER_PORT"
        raise Unavailable(f"cannot listen at {host}:{port}: {error.strerror}", hint, "port") from error
    return listener


class _Server(uvicorn.Server):
    """Closes the feed's streams before it waits for connections to end; they never would by themselves."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to serve."""
        await super().startup(sockets)
        spare_what_is_here()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams, then the server."""
        self._app.state.site.feed.close()
        await asyncio.sleep(0)
        await super().shutdown(sockets)
