"""A site that a test can stop and start again, at the same address and on the same database."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import uvicorn
from fastapi import FastAPI

from dispatcher.settings import Settings
from web.app import create_app
from web.main import bind


@dataclass
class Standing:
    """One address; `start` and `stop` what serves it."""

    settings: Settings
    port: int = 0
    _app: FastAPI | None = field(default=None, repr=False)
    _server: uvicorn.Server | None = None
    _task: asyncio.Task[None] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """Where it is found."""
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Serve, with a feed of its own."""
        listener = bind("127.0.0.1", self.port)
        self.port = listener.getsockname()[1]
        self._app = create_app(self.settings)
        config = uvicorn.Config(self._app, log_config=None, lifespan="on", timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        self._task = asyncio.create_task(self._server.serve([listener]))
        while not self._server.started:  # noqa: ASYNC110 - uvicorn tells it in no other way
            await asyncio.sleep(0.01)

    async def stop(self) -> None:
        """Be gone: streams end, connections are refused."""
        if self._server is not None and self._task is not None and self._app is not None:
            self._app.state.site.feed.close()
            self._server.should_exit = True
            await self._task
            self._server = self._task = self._app = None
