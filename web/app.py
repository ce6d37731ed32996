"""The web application: JSON API, pages and the event stream. `uvicorn --factory web.app:create_app`, or `web.main.run`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import lru_cache
from importlib.metadata import version

from fastapi import APIRouter, FastAPI
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import BaseRoute

from dispatcher.db import Database
from dispatcher.queue import Bell
from dispatcher.settings import Settings
from web import api, errors, health, hooks, live, pages
from web.access import Access
from web.assets import Assets
from web.cards import extras
from web.gate import Gate
from web.head import Head
from web.inventory import Inventory
from web.jobs import Jobs
from web.security import Guard
from web.site import Site
from web.stream import Feed


def create_app(settings: Settings | None = None, *, database: Database | None = None, bell: Bell | None = None) -> FastAPI:
    """The application. What is not given is made from the settings, which come from the environment where not given."""
    chosen = settings or Settings()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            app.state.site = await _open(stack, chosen, database, bell)
            yield

    app = FastAPI(
        title="Dispatcher",
        version=version("ticket-dispatcher"),
        summary="A board and a dispatcher for coding agents that run against models on your own hardware.",
        openapi_url=f"{api.PREFIX}/openapi.json",
        # The stock documentation pages load scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        default_response_class=errors.AsciiJSON,
        lifespan=lifespan,
        routes=list(_routes()),
    )
    app.mount("/static", Assets())
    errors.install(app)
    app.add_middleware(GZipMiddleware, minimum_size=1000, compresslevel=5)
    app.add_middleware(Head)
    app.add_middleware(Access, settings=chosen)
    app.add_middleware(Guard, settings=chosen)
    return app


@lru_cache
def _routes() -> tuple[BaseRoute, ...]:
    """What all applications of a process answer: FastAPI works out 200 routes at their first request, for half a second."""
    router = APIRouter(default_response_class=errors.AsciiJSON)
    for part in (api, pages, live, health, hooks):
        router.include_router(part.router)
    return tuple(router.routes)


async def _open(stack: AsyncExitStack, settings: Settings, database: Database | None, bell: Bell | None) -> Site:
    """The site's parts, closed with the stack; those that were given stay open."""
    if bell is None and settings.redis_url:
        bell = await stack.enter_async_context(Bell.open(settings.redis_url))
    if database is None:
        database = Database(settings.database, after_commit=bell.after_commit if bell else None)
        stack.callback(database.close)
    await asyncio.to_thread(database.migrate)
    feed = Feed(database, bell, extras)
    stack.enter_context(_poked(database, feed))
    await stack.enter_async_context(feed.listening())
    gate = Gate(database, settings.writes_per_minute)
    stack.push_async_callback(gate.close)
    jobs = Jobs()
    stack.push_async_callback(jobs.close)
    return Site(settings, database, bell, feed, gate, jobs, Inventory(settings))


@contextmanager
def _poked(database: Database, feed: Feed) -> Iterator[None]:
    """What this process commits, its own feed is told of without Redis."""
    before = database.after_commit

    def after_commit(rings: list[int], cursor: int) -> None:
        if before is not None:
            before(rings, cursor)
        feed.poke(cursor)

    database.after_commit = after_commit
    try:
        yield
    finally:
        database.after_commit = before
