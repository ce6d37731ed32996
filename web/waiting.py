"""What waits for a person, as the API and the inbox page show it."""

from __future__ import annotations

from datetime import datetime

from pydantic import AwareDatetime
from sqlmodel import Session

from dispatcher import inbox
from dispatcher.inbox import FaultKind
from web.schemas import Out, TicketOut
from web.views import tickets_out


class WaitingOut(Out):
    """A ticket that only a person takes on; `since` is when it began to wait."""

    since: AwareDatetime
    ticket: TicketOut


class FaultOut(Out):
    """What keeps queued runs from beginning: `about` names the endpoint or the harness, `tickets` those that wait for it."""

    kind: FaultKind
    about: str
    text: str
    hint: str
    since: AwareDatetime
    tickets: list[str]


class InboxOut(Out):
    """All that waits for a person; each list begins with what has waited longest, questions before other blockers."""

    count: int
    faults: list[FaultOut]
    blocked: list[WaitingOut]
    review: list[WaitingOut]


def inbox_out(db: Session, project: str | None = None) -> InboxOut:
    """The inbox, of one project or of all."""
    found = inbox.read(db, project)
    waiting = [*found.blocked, *found.review]
    shown = dict(zip((one.ticket.key for one in waiting), tickets_out(db, [one.ticket for one in waiting]), strict=True))

    def out(key: str, since: datetime) -> WaitingOut:
        return WaitingOut(since=since, ticket=shown[key])

    return InboxOut(
        count=len(found),
        faults=[FaultOut.model_validate(fault) for fault in found.faults],
        blocked=[out(one.ticket.key, one.since) for one in found.blocked],
        review=[out(one.ticket.key, one.since) for one in found.review],
    )
