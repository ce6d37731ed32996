"""Comments on issues and pull requests: they become comments of the ticket, answers, or triggers; each once."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlmodel import Session, col, select

from dispatcher import activity, board, review
from dispatcher.actor import acting_as
from dispatcher.github import triggers
from dispatcher.github.start import Call, start
from dispatcher.github.text import at, clean
from dispatcher.github.trust import Sender, Verdict
from dispatcher.github.work import Work, find_issue, name_of
from dispatcher.models import Comment, GitHubPull, GitHubRemark, Ticket

MARK = "<!-- dispatcher:"
ANSWERED = ("question", "permission")
"""Blockers that any comment of a trusted person answers; for the others it takes `/agent NAME`."""
SKEW = timedelta(seconds=5)
"""GitHub tells seconds, and its clock is known to some."""


def is_ours(work: Work, comment: dict[str, Any]) -> bool:
    """Whether we wrote it. The author alone does not tell where the token is a person's; the marker alone anybody can write."""
    return work.ours(comment.get("user")) and str(comment.get("body") or "").lstrip().startswith(MARK)


async def take_comment(
    work: Work, issue: dict[str, Any], comment: dict[str, Any], action: str, editor: dict[str, Any] | None = None
) -> str:
    """A comment that was made, edited or deleted on the issue, or on the pull request, as GitHub's payload tells.

    `editor` is who edited it: who may write to a repository may edit what others said, who may be more than they.
    """
    if action == "deleted":
        return await work.write(_forget, work.repo_id, issue, comment)
    if is_ours(work, comment):
        return "our own"
    asked = triggers.of_comment(str(comment.get("body") or ""))
    sender, verdict = await work.judge(comment.get("user"), "comment" if asked else "answer")
    _, trusted = (sender, verdict) if asked is None else await work.judge(comment.get("user"), "answer")
    if editor is not None and editor.get("login") != sender.login:
        _, theirs = await work.judge(editor, "answer")
        verdict, trusted = (verdict, trusted) if theirs.allowed else (theirs, theirs)
    said = _Said(issue, comment, asked, sender, verdict, trusted.allowed, at(comment["created_at"]) + work.hub.ahead)
    return await work.write(_take, work.repo_id, said)


class _Said(NamedTuple):
    """A comment, where it stands, what it asks for, and whether its author may."""

    issue: dict[str, Any]
    comment: dict[str, Any]
    asked: triggers.Asked | None
    sender: Sender
    verdict: Verdict
    trusted: bool
    when: datetime
    """When it was said, by the clock here."""


def _take(db: Session, repo_id: int, said: _Said) -> str:
    payload, comment, asked, sender, verdict, trusted, when = said
    ticket = ticket_of(db, repo_id, int(payload["number"]))
    if ticket is None or ticket.id is None:
        return "it is about nothing that is here"
    known = remark(db, repo_id, "comment", int(comment["id"]))
    changed = at(comment["updated_at"])
    if known is not None:
        return _edit(db, known, ticket, said, changed)
    row = GitHubRemark(
        repo_id=repo_id,
        kind="comment",
        remote_id=int(comment["id"]),
        ticket_id=ticket.id,
        author=sender.login,
        trusted=trusted,
        changed_at=changed,
    )
    db.add(row)
    if asked is not None and "pull_request" not in payload:
        row.came_to = "trigger"
        if not verdict.allowed:
            _say(db, row, ticket, comment)
        return start(db, repo_id, Call(payload, asked, sender, verdict, at(comment["created_at"])))
    if asked is not None and asked.words and verdict.allowed and ticket.state == "review":
        row.came_to = "changes"
        with acting_as(name_of(sender.login)):
            review.request_changes(db, ticket, asked.words)
        return f"{ticket.key} goes back to its agent"
    if trusted and _answers(db, ticket, when):
        row.came_to = "answer"
        with acting_as(name_of(sender.login)):
            board.answer(db, ticket, clean(comment.get("body")).text)
        return f"it answers what {ticket.key} waits for"
    return _say(db, row, ticket, comment)


def _say(db: Session, row: GitHubRemark, ticket: Ticket, comment: dict[str, Any]) -> str:
    text = clean(comment.get("body")).text[: board.BODY_LIMIT]
    if not text.strip():
        row.came_to = row.came_to or "nothing"
        return "it says nothing that can be seen"
    made = board.comment(db, ticket, text, author=name_of(row.author))
    row.comment_id, row.came_to = made.id, row.came_to or "comment"
    return f"a comment on {ticket.key}" if row.trusted else f"a comment on {ticket.key} that agents are not told of"


def _answers(db: Session, ticket: Ticket, said: datetime) -> bool:
    blocker = board.open_blocker(db, ticket) if ticket.state == "blocked" else None
    return blocker is not None and blocker.kind in ANSWERED and said >= blocker.created_at - SKEW


def _edit(db: Session, known: GitHubRemark, ticket: Ticket, said: _Said, changed: datetime) -> str:
    comment = db.get(Comment, known.comment_id) if known.comment_id is not None else None
    if comment is None or changed <= known.changed_at:
        return "looked at already"
    known.trusted = known.trusted and said.trusted  # whoever edits what a trusted person said puts words into their mouth
    comment.body, known.changed_at = clean(said.comment.get("body")).text[: board.BODY_LIMIT] or "(emptied)", changed
    db.add_all([comment, known])
    activity.record(db, "comment.edited", ticket=ticket, comment=comment.id)
    return f"an edited comment on {ticket.key}"


def _forget(db: Session, repo_id: int, payload: dict[str, Any], gone: dict[str, Any]) -> str:
    known = remark(db, repo_id, "comment", int(gone["id"]))
    ticket = ticket_of(db, repo_id, int(payload["number"]))
    if ticket is None or ticket.id is None:
        return "it is about nothing that is here"
    if known is None:  # told before it was told that somebody said it: that will change nothing any more
        known = GitHubRemark(
            repo_id=repo_id,
            kind="comment",
            remote_id=int(gone["id"]),
            ticket_id=ticket.id,
            author=str((gone.get("user") or {}).get("login") or "ghost"),
            trusted=False,
            changed_at=at(gone["updated_at"]),
            came_to="deleted",
        )
        db.add(known)
    comment = db.get(Comment, known.comment_id) if known.comment_id is not None else None
    if comment is None:
        return "it is not here"
    known.comment_id = None
    db.add(known)
    db.flush()
    db.delete(comment)
    activity.record(db, "comment.removed", ticket=ticket)
    return f"a comment on {ticket.key} is gone"


def remark(db: Session, repo_id: int, kind: str, remote_id: int) -> GitHubRemark | None:
    """What was looked at already, if it was."""
    query = select(GitHubRemark).where(GitHubRemark.repo_id == repo_id, GitHubRemark.kind == kind)
    return db.exec(query.where(col(GitHubRemark.remote_id) == remote_id)).first()


def ticket_of(db: Session, repo_id: int, number: int) -> Ticket | None:
    """The ticket of an issue, or of the pull request of its branch, by GitHub's number."""
    found = find_issue(db, repo_id, number)
    if found is not None:
        return found[1]
    query = select(Ticket).join(GitHubPull).where(GitHubPull.repo_id == repo_id, GitHubPull.number == number)
    return db.exec(query).first()


def untrusted_comments(db: Session, ticket: Ticket) -> set[int]:
    """The ticket's comments that agents are not told of."""
    query = select(GitHubRemark.comment_id).where(
        col(GitHubRemark.ticket_id) == ticket.id, col(GitHubRemark.trusted).is_(False)
    )
    return {number for number in db.exec(query) if number is not None}
