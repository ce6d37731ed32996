"""Use cases of a review: the diff, and the three verdicts: approve, request changes, discard.

Those that do git work take the database and a key: they look, work with git, and write in one short transaction that looks
again, so that nobody waits for git. Git comes first: where that is cut short, the branch is found merged the next time, and
the ticket is brought after it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from sqlmodel import Session, col, select

from dispatcher import activity, board, drafts, remarks, runs
from dispatcher.blockers import advice
from dispatcher.changes import Diff, compare
from dispatcher.crashing import point
from dispatcher.db import Database
from dispatcher.errors import Conflict, DispatcherError, Invalid, MergeConflict
from dispatcher.git import Repository
from dispatcher.github import pulls
from dispatcher.inspection import inspect
from dispatcher.merging import METHODS, land, merge_commit
from dispatcher.models import Blocker, Project, Review, Run, Ticket, Workspace
from dispatcher.places import worktree_of
from dispatcher.ranges import points, resolve
from dispatcher.remarks import LineComment, Remark
from dispatcher.removal import keep_head, keep_reviewed, remove_workspace
from dispatcher.subject import Subject, look, workspace_of
from dispatcher.transitions import move_ticket
from dispatcher.worktrees import remove

__all__ = ["Diff", "LineComment", "approve", "diff", "discard", "request_changes", "send_back"]

log = logging.getLogger(__name__)


def diff(db: Session, ticket: Ticket, *, since: str = "", until: str = "", ignore_space: bool = False) -> Diff:
    """What the branch changes since it left its target, or between two names of `ranges.resolve`.

    Files that deserve care stand first. Raises `Conflict` where the ticket has no branch, `Invalid` for an unknown name.
    """
    subject = look(db, ticket)
    between = resolve(subject, points(db, ticket, subject.place.head_sha), since, until)
    repository = subject.repository
    found = compare(repository, between.base, between.head, ignore_space=ignore_space)
    files = inspect(repository, between.base, between.head, ignore_space=ignore_space)
    return found.model_copy(update={"files": files, "notes": [*found.notes, *between.notes]})


def approve(
    database: Database, key: str, *, method: str | None = None, message: str | None = None, head: str | None = None
) -> Ticket:
    """Merge a reviewed branch into its target; worktree and branch go, the diff stays.

    Where the project offers its branches to GitHub, a pull request is opened or brought up to date instead, and the ticket
    stays in review until that is merged. `head` is the commit that the reviewer saw.

    Raises `MergeConflict` after it has blocked the ticket with the files' names, `Conflict` where the ticket is not in review,
    the branch has moved, or the user's checkout is in the way; nothing is changed then.
    """
    with database.reading() as db:
        case = look(db, board.get_ticket(db, key))
        elsewhere = pulls.offered_to(db, case.ticket)
    _require_review(case.ticket, case.place, head)
    message = _text(message or "", "message").strip()
    if elsewhere:
        return _offer(database, elsewhere, case, method, message)
    repository, base = case.repository, case.base
    target = case.target
    if target is None:
        raise Conflict(f"the branch {case.place.target} is gone from {case.project.path}", "make it again, then approve again")
    try:
        merged = _merge(repository, case, target, method, message)
    except MergeConflict as error:
        with database.transaction() as db:
            text = _block(db, key, case, target, error)
        raise MergeConflict(text, error.files, advice("conflict", case.ticket.key)) from error
    point("review.merge_made")
    land(repository, case.place.target, target, merged, ours=Path(case.place.path).parent.parent)
    point("review.landed")
    with database.transaction() as db:
        ticket = _record(db, key, case, merged=merged, base=base, body=message)
    point("review.recorded")
    _tidy(case)
    return ticket


def send_back(
    database: Database,
    key: str,
    body: str,
    comments: Sequence[LineComment] = (),
    *,
    with_drafts: bool = False,
    head: str | None = None,
) -> Run:
    """Request changes, with the lines that the comments are about; `head` is the commit that the reviewer saw.

    The head is kept in the repository even if the agent rewrites its branch, for what is new since then is shown from it.
    """
    with database.reading() as db:
        case = look(db, board.get_ticket(db, key))
    quoted = drafts.quoted(case, comments)
    keep_reviewed(case.repository, case.place, [case.place.head_sha])
    point("review.head_kept")
    with database.transaction() as db:
        return request_changes(db, board.get_ticket(db, key), body, quoted, with_drafts=with_drafts, head=head)


def request_changes(
    db: Session,
    ticket: Ticket,
    body: str,
    comments: Sequence[LineComment] = (),
    *,
    with_drafts: bool = False,
    head: str | None = None,
) -> Run:
    """Send the agent back to its workspace with what the reviewer says, the acting person's drafts too where asked for.

    Raises `Invalid` where that is nothing, `Conflict` where the ticket is not in review or its branch has moved from `head`.
    """
    said = [*comments, *(drafts.taken(db, ticket) if with_drafts else ())]
    if not body.strip() and not said:
        raise Invalid("the request is empty", "say what is to be changed", "body")
    case = look(db, ticket)
    if head is not None:
        _require_head(ticket, case.place, head)
    agent = board.assigned_agent(db, ticket)
    last = runs.latest_run(db, ticket)
    review = Review(
        ticket_id=case.place.ticket_id,
        run_id=last.id if last else None,
        head_sha=case.place.head_sha,
        verdict="request_changes",
        body=_text(body, "body"),
    )
    db.add(review)
    db.flush()
    told = [_say(db, ticket, review, one) for one in said]
    feedback = "\n\n".join(part for part in (review.body.strip(), remarks.told(told)) if part)
    move_ticket(db, ticket, "change")
    activity.record(db, "review.changes_requested", ticket=ticket, review=review.id, comments=len(told))
    return runs.create_run(db, ticket, agent, reason="change", feedback=feedback, resume=runs.resumable(db, ticket, agent))


def _say(db: Session, ticket: Ticket, review: Review, one: LineComment) -> Remark:
    """A line comment as a part of a verdict."""
    remark = one if isinstance(one, Remark) else Remark(**one.model_dump(), head_sha=review.head_sha)
    entry = drafts.say(db, ticket, remark)
    entry.review_id = review.id
    db.add(entry)
    return remark


def discard(database: Database, key: str) -> Ticket:
    """Remove a ticket's worktree and branch, and cancel it where it is open; its runs' records stay.

    Raises `Conflict` while a run is under way, for a ticket that is done, and while the user has the branch checked out.
    """
    with database.transaction() as db:
        ticket = board.get_ticket(db, key)
        live = runs.live_run(db, ticket)
        if ticket.state == "done":
            raise Conflict(f"{ticket.key} is done: its branch is merged", "there is nothing to discard")
        if live is not None and live.state != "queued":
            raise Conflict(f"{ticket.key} has a run under way", f"stop it first: dispatcher run stop {live.id}")
        if ticket.state != "cancelled":
            board.cancel(db, ticket)
        place = workspace_of(db, ticket)
        project = db.get_one(Project, ticket.project_id)
    point("discard.cancelled")
    if place is not None:
        remove_workspace(project, place)
    point("discard.removed")
    with database.transaction() as db:
        ticket = board.get_ticket(db, key)
        place = workspace_of(db, ticket)
        if place is not None:
            db.delete(place)
        ticket.additions = ticket.deletions = ticket.files = 0
        db.add(ticket)
        activity.record(db, "ticket.discarded", ticket=ticket)
    return ticket


def _require_review(ticket: Ticket, place: Workspace, head: str | None) -> None:
    if ticket.state != "review":
        raise Conflict(f"{ticket.key} is {ticket.state}, not in review", f"see: dispatcher ticket show {ticket.key}")
    if place.head_sha == place.base_sha:
        raise Conflict(f"{ticket.key} changes nothing", "request changes, or cancel it")
    if head is not None:
        _require_head(ticket, place, head)


def _require_head(ticket: Ticket, place: Workspace, head: str) -> None:
    if head != place.head_sha:
        raise Conflict(f"the branch of {ticket.key} has moved since you looked at it", "look at its changes again")


def _merge(repository: Repository, case: Subject, target: str, method: str | None, message: str) -> str:
    method = method or case.project.merge_method
    if method not in METHODS:
        raise Invalid(f"{method!r} is no way to merge", f"choose one of: {', '.join(METHODS)}", "method")
    ticket = case.ticket
    default = f"{ticket.title} ({ticket.key})" if method == "squash" else f"Merge {ticket.key}: {ticket.title}"
    return merge_commit(
        repository,
        target=target,
        head=case.place.head_sha,
        method=method,
        message=message or default,
        author=repository.user(),
    )


def _offer(database: Database, elsewhere: str, case: Subject, method: str | None, message: str) -> Ticket:
    """Approve, and ask for the pull request; GitHub's outbox pushes and opens it."""
    if method is not None:
        hint = "leave the method out: it is chosen there"
        raise Invalid(f"{case.ticket.key} is merged on GitHub, in {elsewhere}", hint, "method")
    with database.transaction() as db:
        ticket, _ = _again(db, case.ticket.key, case)
        review = _approval(db, ticket, case, message)
        activity.record(db, "review.approved", ticket=ticket, review=review.id, head=review.head_sha)
        pulls.want_pull(db, ticket)
        return ticket


def _approval(db: Session, ticket: Ticket, case: Subject, body: str) -> Review:
    last = db.exec(select(Run).where(Run.ticket_id == ticket.id).order_by(col(Run.number).desc())).first()
    place = case.place
    run_id = last.id if last else None
    review = Review(ticket_id=place.ticket_id, run_id=run_id, head_sha=place.head_sha, verdict="approve", body=body)
    db.add(review)
    db.flush()
    return review


def _again(db: Session, key: str, case: Subject) -> tuple[Ticket, Workspace]:
    """The rows as they are now, locked; raises `Conflict` where somebody else was faster."""
    ticket = db.exec(select(Ticket).where(Ticket.key == case.ticket.key).with_for_update()).one()
    place = workspace_of(db, ticket)
    if ticket.state != "review" or place is None or place.head_sha != case.place.head_sha:
        raise Conflict(f"{key} was changed by somebody else meanwhile: it is {ticket.state} now", "look at it again")
    return ticket, place


def _block(db: Session, key: str, case: Subject, target: str, error: MergeConflict) -> str:
    """Block the ticket; the next run gets the merge to finish."""
    ticket, place = _again(db, key, case)
    text = f"{place.branch} cannot be merged into {place.target}: {error.message}"
    last = runs.latest_run(db, ticket)
    place.merge_sha = target
    blocker = Blocker(
        ticket_id=place.ticket_id,
        run_id=last.id if last else None,
        kind="conflict",
        text=text,
        advice=advice("conflict", ticket.key),
        files=error.files,
    )
    db.add_all([place, blocker])
    move_ticket(db, ticket, "conflict", blocker="conflict", text=text, files=error.files)
    return text


def _record(db: Session, key: str, case: Subject, *, merged: str, base: str, body: str) -> Ticket:
    ticket, place = _again(db, key, case)
    review = _approval(db, ticket, case, body)
    ticket.merged_sha, place.merge_sha = merged, None
    if base != place.head_sha:  # else it was merged before this: by a call that was cut short, or by hand
        place.base_sha = base
    move_ticket(db, ticket, "merge", merged=merged)
    activity.record(db, "review.approved", ticket=ticket, review=review.id, head=place.head_sha, merged=merged)
    return ticket


def _text(text: str, field: str) -> str:
    if len(text) > board.BODY_LIMIT:
        raise Invalid(f"the {field} has {len(text):,} characters; {board.BODY_LIMIT:,} is the limit", "shorten it", field)
    return text.replace("\x00", "\\x00").encode("utf-8", "replace").decode()


def _tidy(case: Subject) -> None:
    try:
        tree = worktree_of(case.project, case.place)
        keep_head(tree.repository, case.place)
        remove(tree)
    except (DispatcherError, OSError) as error:
        log.warning("%s is merged; its worktree or branch stays: %s", case.ticket.key, error)
