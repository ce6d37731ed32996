"""Is it alive, can it work, and how much of what does it do: for supervisors, load balancers and Prometheus."""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

from fastapi import APIRouter, Depends
from fastapi.concurrency import run_in_threadpool
from prometheus_client import CONTENT_TYPE_LATEST
from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import PlainTextResponse, Response

from dispatcher.metrics import exposition
from dispatcher.room import shortage
from web.errors import AsciiJSON
from web.site import Here, Site

router = APIRouter(include_in_schema=False)

PING_SECONDS = 1.0
Redis = Literal["ok", "away", "none"]


@router.get("/healthz")
async def alive() -> Response:
    """The process answers; it says nothing of what it needs, so that a restart is not the answer to a lost database."""
    return PlainTextResponse("ok\n")


async def redis_state(site: Here) -> Redis:
    """Whether Redis answers; without it all goes on, a little later."""
    if site.bell is None:
        return "none"
    try:
        async with asyncio.timeout(PING_SECONDS):
            await site.bell.redis.ping()
    except (RedisError, OSError, TimeoutError):
        return "away"
    return "ok"


@router.get("/readyz")
async def ready(site: Here, redis: Annotated[Redis, Depends(redis_state)]) -> Response:
    """200 while requests can be served, which takes the database; 503 otherwise, with what is missing.

    A disk that is short of room stops new runs, and nothing else.
    """
    try:
        await run_in_threadpool(_look, site)
        database = "ok"
    except SQLAlchemyError:
        database = "away"
    disk = "short" if await run_in_threadpool(shortage, site.settings) else "ok"
    return AsciiJSON({"database": database, "redis": redis, "disk": disk}, 200 if database == "ok" else 503)


@router.get("/metrics")
def metrics(site: Here) -> Response:
    """The figures for Prometheus; it needs an API token, as the figures name projects and agents."""
    return Response(exposition(site.database), media_type=CONTENT_TYPE_LATEST)


def _look(site: Site) -> None:
    with site.database.reading() as db:
        db.execute(text("SELECT 1 FROM alembic_version"))
