"""What keeps pages up to date: the feed as server-sent events, each with the card of its ticket as it is now."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Query
from starlette.responses import StreamingResponse

from web.api.feed import cursor_of
from web.site import Here

router = APIRouter(include_in_schema=False)

HEADERS = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}


@router.get("/live", name="live")
async def follow(
    site: Here, since: Annotated[int | None, Query(ge=0)] = None, last_event_id: Annotated[str | None, Header()] = None
) -> StreamingResponse:
    """The stream of one browser; its tabs share it."""
    cursor = await site.feed.start_at(cursor_of(last_event_id) if last_event_id else since)
    return StreamingResponse(site.feed.events(cursor, form="live"), media_type="text/event-stream", headers=HEADERS)
