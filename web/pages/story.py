"""The conversation on a ticket: all that was said and done, in one line of time."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from sqlmodel import Session, col, select

from dispatcher.models import Activity, Blocker, Comment, Project, Review, Run, Ticket
from dispatcher.runstats import run_stats
from web.schemas import RunOut
from web.views import runs_out

SHOWN = 150
"""Entries that are shown at once, the newest; the rest is asked for."""
TOGETHER = timedelta(minutes=10)
"""Edits of one person within it are told as one."""
BY_ITSELF = ("accepted as it is", "ticket cancelled")
"""Answers that no person wrote; what they tell stands in the line as an event."""
_ORDER = ("event", "ended", "blocker", "review", "answer", "comment", "run")
"""Of entries of the same moment."""
_KINDS = (
    "ticket.filed",
    "ticket.queued",
    "ticket.backlog",
    "ticket.review",
    "ticket.cancelled",
    "ticket.discarded",
    "ticket.edited",
    "blocker.resolved",
    "review.approved",
    "run.stop_requested",
    "run.endpoint_moved",
)


@dataclass
class Entry:
    """One entry: `kind` says how it is shown, `it` what it is about, `who` who did it, `words` what in words."""

    kind: str
    at: datetime
    anchor: str
    it: Any = None
    who: str = ""
    words: str = ""
    more: dict[str, Any] = field(default_factory=dict)


class Story(NamedTuple):
    """The entries that are shown, how many earlier ones there are, and who filed it; when the description was changed last."""

    entries: list[Entry]
    earlier: int
    author: str
    edited: Entry | None


def story(db: Session, ticket: Ticket, *, everything: bool = False) -> Story:
    """Comments, blockers and answers, verdicts, runs and what was done with the ticket."""
    rows = db.exec(
        select(Activity).where(Activity.ticket_id == ticket.id, col(Activity.kind).in_(_KINDS)).order_by(col(Activity.id))
    )
    done = list(rows)
    entries = [*_said(db, ticket, done), *_blocked(db, ticket, done), *_ran(db, ticket), *_events(done)]
    entries.sort(key=lambda entry: (entry.at, _ORDER.index(entry.kind)))
    shown = entries if everything else entries[-SHOWN:]
    bodies = [row for row in done if row.kind == "ticket.edited" and "body" in row.data.get("fields", [])]
    edited = Entry("event", bodies[-1].at, "", who=bodies[-1].actor) if bodies else None
    author = next((row.actor for row in done if row.kind == "ticket.filed"), "")
    return Story(shown, len(entries) - len(shown), author, edited)


def _said(db: Session, ticket: Ticket, done: list[Activity]) -> list[Entry]:
    comments = list(db.exec(select(Comment).where(Comment.ticket_id == ticket.id).order_by(col(Comment.id))))
    merged = {row.data.get("review"): row.data.get("merged") for row in done if row.kind == "review.approved"}
    entries = [
        Entry("comment", one.created_at, f"comment-{one.id}", one, one.author) for one in comments if one.review_id is None
    ]
    for one in db.exec(select(Review).where(Review.ticket_id == ticket.id).order_by(col(Review.id))):
        of = [comment for comment in comments if comment.review_id == one.id]
        more = {"comments": of, "merged": merged.get(one.id)}
        entries.append(Entry("review", one.created_at, f"review-{one.id}", one, one.author, more=more))
    return entries


def _blocked(db: Session, ticket: Ticket, done: list[Activity]) -> list[Entry]:
    resolved = [row for row in done if row.kind == "blocker.resolved"]
    entries = []
    for one in db.exec(select(Blocker).where(Blocker.ticket_id == ticket.id).order_by(col(Blocker.id))):
        entries.append(Entry("blocker", one.created_at, f"blocker-{one.id}", one))
        if one.resolved_at is None or one.answer in BY_ITSELF:
            continue
        by = min(resolved, key=lambda row, at=one.resolved_at: abs(row.at - at), default=None)  # type: ignore[misc]
        entries.append(Entry("answer", one.resolved_at, f"answer-{one.id}", one, by.actor if by else ""))
    return entries


def _ran(db: Session, ticket: Ticket) -> list[Entry]:
    project = db.get_one(Project, ticket.project_id)
    rows = list(db.exec(select(Run).where(Run.ticket_id == ticket.id).order_by(col(Run.id))))
    changed = run_stats(Path(project.path), rows)
    entries = []
    for run in runs_out(db, rows):
        began = run.started_at or run.claimed_at
        if began is not None or run.ended_at is None:
            entries.append(Entry("run", began or run.created_at, f"run-{run.number}", run, words=_reason(run)))
        if run.ended_at is not None:
            more = {"stats": changed.get(run.id)}
            entries.append(Entry("ended", run.ended_at, f"run-{run.number}-end", run, more=more))
    return entries


def _reason(run: RunOut) -> str:
    return {
        "answer": "goes on with the answer",
        "change": "goes on with the requested changes",
        "retry": "tries again",
        "lost": "goes on where a lost run stopped",
    }.get(run.reason, "begins")


def _events(done: list[Activity]) -> list[Entry]:
    entries: list[Entry] = []
    for row in done:
        words = _words(row)
        if not words:
            continue
        last = entries[-1] if entries else None
        more = {"fields": row.data.get("fields", [])}
        if (
            row.kind == "ticket.edited"
            and last
            and (last.it, last.who) == (row.kind, row.actor)
            and row.at - last.at <= TOGETHER
        ):
            entries.pop()
            more["fields"] = sorted({*last.more["fields"], *more["fields"]})
            words = _edited(more["fields"])
        entries.append(Entry("event", row.at, f"event-{row.id}", row.kind, row.actor, words, more))
    return entries


def _words(row: Activity) -> str:
    trigger = row.data.get("trigger")
    if row.kind == "ticket.edited":
        return _edited(row.data.get("fields", []))
    if row.kind == "ticket.queued":
        reason = row.data.get("reason", "")
        return {"assign": f"assigned it to {row.data.get('agent', 'an agent')}", "requeue": f"queued it again: {reason}"}.get(
            str(trigger), ""
        )
    if row.kind == "ticket.backlog":
        return "reopened it" if trigger == "reopen" else "took it back to the backlog"
    if row.kind == "ticket.review":
        return "took it into review as it is" if trigger == "accept" else ""
    if row.kind == "run.endpoint_moved":
        return f"found that {row.data.get('text', 'the endpoint has moved')}"
    fixed = {
        "ticket.cancelled": "cancelled it",
        "ticket.discarded": "discarded branch and worktree",
        "run.stop_requested": "asked the run to stop",
    }
    return fixed.get(row.kind, "")


def _edited(fields: list[str]) -> str:
    names = {"title": "the title", "body": "the description", "labels": "the labels"}
    told = [names[name] for name in ("title", "body", "labels") if name in fields]
    return f"changed {' and '.join([', '.join(told[:-1]), told[-1]] if len(told) > 1 else told)}" if told else ""
