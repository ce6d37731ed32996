"""What keeps pages up to date: the feed as server-sent events, each with the card of its ticket as it is now."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header
from fastapi.sse import format_sse_event
from starlette.responses import StreamingResponse

from web.api.feed import cursor_of
from web.site import Here, Number

router = APIRouter(include_in_schema=False)

HEADERS = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}
FAR = 500
"""Entries; who is further behind, as after a night asleep, fetches its page's parts again instead."""


@router.get("/live", name="live")
async def follow(
    site: Here, since: Number | None = None, last_event_id: Annotated[str | None, Header()] = None
) -> StreamingResponse:
    """The stream of one browser; its tabs share it.

    A cursor that is far behind, or that another database gave out, gets one event `behind` with the cursor that the stream goes
    on from.
    """
    asked = cursor_of(last_event_id) if last_event_id else since
    cursor = await site.feed.start_at(asked)
    behind = asked is not None and (cursor < asked or site.feed.head - cursor > FAR)
    if behind:
        cursor = max(cursor, site.feed.head)
    return StreamingResponse(
        _stream(site.feed.events(cursor, form="live"), cursor if behind else None),
        media_type="text/event-stream",
        headers=HEADERS,
    )


async def _stream(events: AsyncIterator[bytes], behind: int | None) -> AsyncIterator[bytes]:
    if behind is not None:
        yield format_sse_event(data_str=json.dumps({"at": behind}), event="behind", id=str(behind))
    async for event in events:
        yield event
