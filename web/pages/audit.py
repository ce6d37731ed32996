"""Who did what, for administrators: the feed page by page, newest first, by person, kind and ticket."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from starlette.responses import Response

from dispatcher import access, activity, board
from dispatcher.errors import DispatcherError, NotFound
from web.errors import problem_of
from web.pages.forms import NOTHING, Entered
from web.render import page
from web.site import Here, Number
from web.stream import entries

router = APIRouter()

ENTRIES = 100
ALL, ITSELF = "*", "-"
OTHERS = {ALL: "People and the dispatcher", ITSELF: "The dispatcher itself"}
"""What stands in the address beside names of users, which are never so."""
KINDS = {
    "": "Everything",
    "access.": "Logins and rights",
    "ticket.": "Tickets",
    "run.": "Runs",
    "review.": "Reviews",
    "comment.": "Comments",
    "blocker.": "Blockers",
    "project.": "Projects",
    "endpoint.": "Endpoints",
    "agent.": "Agents",
    "worker.": "Workers",
    "github.": "GitHub",
}

DETAIL = 160
"""Characters of one value among the details."""

Short = Annotated[str, Query(max_length=100)]


@router.get("/audit", name="audit")
def audit_page(site: Here, who: Short = "", kind: Short = "", ticket: Short = "", before: Number | None = None) -> Response:
    """The entries that match, newest first."""
    entered, of = NOTHING, None
    rows: list[dict[str, Any]] = []
    with site.database.reading() as db:
        users = [user.name for user in access.list_users(db)]
        try:
            if kind not in KINDS:
                raise NotFound(f"there is no kind {kind!r}", "choose one of the list", "kind")
            of = board.get_ticket(db, ticket).id if ticket.strip() else None
        except DispatcherError as error:
            entered = Entered(problem_of(error), "filter", {})
        else:
            actor = {"": None, ALL: None, ITSELF: ""}.get(who, who)
            found = activity.before(db, before, ticket_id=of, actor=actor, people=not who, kind=kind, limit=ENTRIES + 1)
            rows = [_shown(entry) for entry in entries(db, found)]
    shown = {"who": who, "kind": kind, "ticket": ticket.strip()}
    given = {name: value for name, value in shown.items() if value}
    older = f"/audit?{urlencode(given | {'before': rows[ENTRIES - 1]['id']})}" if len(rows) > ENTRIES else ""
    newest = f"/audit?{urlencode(given)}" if before is not None else ""
    return page(
        "access/audit.html",
        entered.status,
        entries=rows[:ENTRIES],
        users=users,
        kinds=KINDS,
        shown=shown,
        others=OTHERS,
        older=older,
        newest=newest,
        entered=entered,
    )


def _shown(entry: dict[str, Any]) -> dict[str, Any]:
    """An entry with its time as one, and what else is known of it in a line."""
    known = ((name, value) for name, value in entry["data"].items() if name != "key" and value not in (None, "", [], {}))
    details = [f"run {entry['run']}"] if entry["run"] else []
    details += [f"{name.replace('_', ' ')}: {_short(value)}" for name, value in known]
    return entry | {"moment": datetime.fromisoformat(entry["at"]), "details": ", ".join(details)}


def _short(value: object) -> str:
    text = " ".join(("yes" if value else "no") if isinstance(value, bool) else str(value).split())
    return f"{text[:DETAIL]} …" if len(text) > DETAIL else text
