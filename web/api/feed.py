"""API: the activity feed, as a list and as a stream; workers; what runs where."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query
from fastapi.concurrency import run_in_threadpool
from sqlalchemy.engine import make_url
from starlette.responses import StreamingResponse

from dispatcher import activity, board
from dispatcher.errors import Invalid
from web.access import Me
from web.health import redis_state
from web.schemas import ActivityOut, StatusOut, WorkerOut
from web.site import Here, Number, Site
from web.stream import entries
from web.views import workers_out

router = APIRouter()


@router.get("/activity", tags=["feed"], summary="List activity", response_model=list[ActivityOut])
def list_activity(  # noqa: PLR0917 - each is a field of the query
    site: Here,
    me: Me,
    since: Number = 0,
    ticket: str | None = None,
    actor: Annotated[str | None, Query(description="who did it; empty for what the dispatcher did by itself")] = None,
    limit: Annotated[int, Query(ge=1, le=5000)] = 500,
) -> list[dict[str, Any]]:
    """The entries after the cursor `since`, oldest first; those on logins and rights are for administrators."""
    with site.database.reading() as db:
        of = board.get_ticket(db, ticket).id if ticket is not None else None
        rows = activity.since(db, since, ticket_id=of, actor=actor, private=me.may("admin"), limit=limit)
        return entries(db, rows)


@router.get(
    "/events",
    tags=["feed"],
    summary="Follow activity",
    # Not fastapi.sse.EventSourceResponse: that encodes each event once for each client.
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}, "description": "Server-sent events without end."}},
)
async def follow_activity(  # noqa: PLR0917 - each is a field of the query
    site: Here,
    me: Me,
    since: Annotated[Number | None, Query(description="cursor to begin after; without it, only what is new")] = None,
    ticket: str | None = None,
    named: Annotated[bool, Query(description="send each entry's kind as the event's name")] = True,
    last_event_id: Annotated[str | None, Header(description="as a browser sends it when it comes back")] = None,
) -> StreamingResponse:
    """Each entry as one event: `id` the cursor, `event` the kind, `data` as in the list."""
    cursor = await site.feed.start_at(cursor_of(last_event_id) if last_event_id else since)
    of = await run_in_threadpool(_ticket_id, site, ticket) if ticket is not None else None
    headers = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}
    events = site.feed.events(cursor, ticket_id=of, form="named" if named else "plain", private=me.may("admin"))
    return StreamingResponse(events, media_type="text/event-stream", headers=headers)


@router.get("/workers", tags=["status"], summary="List workers")
def list_workers(site: Here) -> list[WorkerOut]:
    """Every worker that was seen, and the runs in its hands."""
    with site.database.reading() as db:
        return workers_out(db)


@router.get("/status", tags=["status"], summary="What runs where")
async def get_status(site: Here) -> StatusOut:
    """Version, stores, workers, and the number of tickets in each state."""
    redis = await redis_state(site)
    return await run_in_threadpool(_status, site, redis)


def _status(site: Site, redis: Literal["ok", "away", "none"]) -> StatusOut:
    with site.database.reading() as db:
        return StatusOut(
            version=version("ticket-dispatcher"),
            home=str(site.settings.home),
            database=make_url(site.database.url).render_as_string(hide_password=True),
            redis=redis,
            workers=sum(worker.alive for worker in workers_out(db)),
            counts=board.count_states(db),
            cursor=activity.newest(db),
        )


def cursor_of(text: str) -> int:
    """The cursor in a Last-Event-ID; raises `Invalid`."""
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise Invalid(f"Last-Event-ID is {text[:40]!r}", "send the id of an event of this stream", "last-event-id")
    return int(text)


def _ticket_id(site: Site, key: str) -> int | None:
    with site.database.reading() as db:
        return board.get_ticket(db, key).id
