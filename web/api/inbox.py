"""API: what waits for a person."""

from __future__ import annotations

from fastapi import APIRouter

from dispatcher import projects
from web.site import Here
from web.waiting import InboxOut, inbox_out

router = APIRouter(tags=["tickets"])


@router.get("/inbox", summary="What waits for a person")
def get_inbox(site: Here, project: str | None = None) -> InboxOut:
    """Blocked tickets, tickets in review, and what keeps queued runs from beginning; of one project or of all."""
    with site.database.reading() as db:
        return inbox_out(db, projects.get_project(db, project).key if project else None)
