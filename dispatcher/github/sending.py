"""Sends what the outbox owes. Each letter may be sent twice and stands on GitHub once: what is there is looked for first."""

from __future__ import annotations

import logging
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlmodel import Session, select

from dispatcher.crashing import point
from dispatcher.errors import Conflict, DispatcherError
from dispatcher.git import open_repository
from dispatcher.github import comments, pushing
from dispatcher.github.client import Away, Refused
from dispatcher.github.gone import GONE, whereabouts
from dispatcher.github.outbox import collect, owed, owes
from dispatcher.github.pulls import opened, pull_of, workspace
from dispatcher.github.remarks import MARK, remark
from dispatcher.github.sync import CLOSED, gone, learn_written, merge_labels, text_for, usable
from dispatcher.github.text import stamp
from dispatcher.github.work import Work, issue_of
from dispatcher.models import Comment, GitHubLetter, GitHubPull, GitHubRemark, GitHubRepo, Run, Ticket, utcnow
from dispatcher.text import digest

LAST_WAIT = 6 * 3600.0
CLOCKS = timedelta(days=1)
"""So far back a comment of ours is looked for: the clock here may be ahead of GitHub's."""
MOVED = (301, 307, 308)
LONGEST = {"title": 256, "body": 65_536}
"""Characters that GitHub takes."""

log = logging.getLogger(__name__)


async def send_all(work: Work) -> int:
    """Fill the outbox and send what it owes; gives how many letters went. Raises `Away` when GitHub is."""
    while await work.read(owes, work.repo):
        await work.write(collect, work.repo_id)
        work.repo.cursor = (await work.read(_repo, work.repo_id)).cursor
    point("outbox.filled")
    sent = 0
    for row in await work.read(owed, work.repo_id):
        sent += await _one(work, row)
    return sent


async def _one(work: Work, row: GitHubLetter) -> bool:
    senders = {"run": _run, "comment": _comment, "issue": _issue, "pull": _pull}
    try:
        await senders[row.kind](work, row)
    except Away:
        raise
    except Refused as error:
        if error.code == 401:
            raise
        # 403 is often one thing's alone: a locked issue, a branch that is protected, a right that the token lacks.
        await work.write(_failed, row, error.line(), final=await _is_final(work, row, error.code))
        return False
    except DispatcherError as error:
        await work.write(_failed, row, error.line(), final=False)
        return False
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        log.exception("GitHub's answer about %s of repository %s is not of the shape that it documents", row.name, work.repo_id)
        told = f"GitHub's answer is not of the shape that it documents: {type(error).__name__}: {error}"
        await work.write(_failed, row, told, final=False)
        return False
    await work.write(_sent, row)
    point("outbox.sent")
    return True


async def _is_final(work: Work, row: GitHubLetter, code: int) -> bool:
    """Whether what it is about is gone; an issue that is, is told of here too, since no delivery may have done so."""
    if row.kind != "pull" and code in (*GONE, *MOVED):
        number = await work.read(_issue_number, row.ticket_id)
        how = await whereabouts(work, number) if number is not None else ""
        if number is not None and how:
            await work.write(gone, work.repo, number, how)
            return True
    return code in GONE  # nothing more is owed to it


async def _run(work: Work, row: GitHubLetter) -> None:
    text = await work.read(_run_text, work.repo, row.about_id, work.settings.public_url)
    number = await work.read(_issue_number, row.ticket_id)
    since = await work.read(lambda db: db.get_one(Run, row.about_id).created_at)
    if number is not None:
        await _put_comment(work, row, number, text, stamp(since - CLOCKS))


async def _comment(work: Work, row: GitHubLetter) -> None:
    comment = await work.read(lambda db: db.get(Comment, row.about_id))
    number = await work.read(_issue_number, row.ticket_id)
    if comment is None or number is None:
        return
    since = stamp(comment.created_at - CLOCKS)
    remote = await _put_comment(work, row, number, comments.board_comment(work.repo, comment), since)
    await work.write(_remember, work.repo_id, row, remote)


async def _put_comment(work: Work, row: GitHubLetter, number: int, text: str, since: str) -> int:
    """Make the comment say that; one that we made and could not write down is found by its marker."""
    remote = row.remote_id or await _find(work, number, row.name, since)
    if remote is None:
        made = await work.hub.send("POST", f"{work.hub.at}/issues/{number}/comments", {"body": text})
        point("outbox.posted")
        other = await work.write(_stands, row, int(made["id"]), digest(text))
        point("outbox.known")
        if other is not None:  # another worker posted it while this one was frozen, and wrote that down first
            await work.hub.remove(f"{work.hub.at}/issues/comments/{made['id']}")
        return other or int(made["id"])
    if row.digest != digest(text) or row.remote_id is None:
        await work.hub.send("PATCH", f"{work.hub.at}/issues/comments/{remote}", {"body": text})
        await work.write(_stands, row, remote, digest(text))
    return remote


async def _find(work: Work, number: int, name: str, since: str) -> int | None:
    """The comment of ours with that marker; others may copy the marker, but not be us."""
    wanted = comments.marker(work.repo, name)
    for found in await work.hub.all(f"{work.hub.at}/issues/{number}/comments", since=since):
        if work.ours(found.get("user")) and str(found.get("body") or "").startswith(wanted):
            return int(found["id"])
    return None


async def _issue(work: Work, row: GitHubLetter) -> None:
    """Title, body, labels and state as they are here, where they are others there; nothing that was edited there is lost."""
    change = await work.read(_change, row.ticket_id)
    if change is None:
        return
    issue_id, number, wanted, text = change
    long = next((name for name, most in LONGEST.items() if len(wanted.get(name, "")) > most), None)
    if long is not None:  # cut there, it would come back cut
        wanted, text = {name: value for name, value in wanted.items() if name not in LONGEST}, None
    if wanted:
        answer = await work.hub.send("PATCH", f"{work.hub.at}/issues/{number}", wanted)
        await work.write(learn_written, issue_id, answer, text)
    if long is not None:
        raise Conflict(f"the {long} is too long for GitHub, which takes {LONGEST[long]:,} characters", "shorten it here")


def _change(db: Session, ticket_id: int) -> tuple[int, int, dict[str, Any], tuple[str, str] | None] | None:
    ticket = db.get_one(Ticket, ticket_id)
    issue = issue_of(db, ticket)
    if issue is None or issue.gone or issue.id is None:
        return None
    wanted: dict[str, Any] = dict(text_for(issue, ticket))
    text = (ticket.title, ticket.body) if wanted else None
    labels = [*merge_labels(issue, ticket), *(label for label in issue.labels if not usable(label))]
    if {label.casefold() for label in labels} != {label.casefold() for label in issue.labels}:  # as GitHub compares them
        wanted["labels"] = labels
    closed = ticket.state in CLOSED
    if closed != (issue.state == "closed"):
        wanted["state"] = "closed" if closed else "open"
        if closed:
            wanted["state_reason"] = "completed" if ticket.state == "done" else "not_planned"
    return issue.id, issue.number, wanted, text


async def _pull(work: Work, row: GitHubLetter) -> None:
    """Push the branch, and open the pull request or bring its words up to date; close it where the ticket was cancelled."""
    case = await work.read(_pull_case, row.ticket_id, work.settings.public_url)
    if case is None:
        return
    pull, ticket, head, base, body = case
    if ticket.state == "cancelled":
        if pull.number is not None:
            await work.hub.send("PATCH", f"{work.hub.at}/pulls/{pull.number}", {"state": "closed"})
        return
    if ticket.state != "review":
        return  # at work again: what it comes to is a letter of its own
    branch, token = await work.read(lambda db: _branch(db, row.ticket_id)), await work.hub.token()
    if head != pull.pushed_sha:
        repository = open_repository(Path(work.project.path))
        known = pull.pushed_sha

        def push(_: Session) -> None:
            pushing.push(repository, work.repo.clone_url, token, branch=branch, head=head, known=known)

        await work.read(push)
        point("outbox.pushed")
    found = await _find_pull(work, pull, branch)
    words = {"title": comments.pull_title(ticket), "body": body}
    if found is None:
        found = await work.hub.send(
            "POST", f"{work.hub.at}/pulls", words | {"head": branch, "base": base, "maintainer_can_modify": True}
        )
        point("outbox.pull_opened")
    elif MARK in str(found.get("body") or "") and row.digest != digest(body):
        await work.hub.send("PATCH", f"{work.hub.at}/pulls/{found['number']}", {"body": body})
    await work.write(opened, pull, found, head)
    await work.write(_stands, row, None, digest(body))


async def _find_pull(work: Work, pull: GitHubPull, branch: str) -> dict[str, Any] | None:
    """The open pull request of the branch: ours, or one that was opened just before we ended and could not write it down."""
    if pull.number is not None:
        found: dict[str, Any] = await work.hub.get(f"{work.hub.at}/pulls/{pull.number}")
        return found
    owner = work.repo.repository.partition("/")[0]
    rows = await work.hub.all(f"{work.hub.at}/pulls", state="open", head=f"{owner}:{branch}")
    return rows[0] if rows else None


def _pull_case(db: Session, ticket_id: int, board_url: str) -> tuple[GitHubPull, Ticket, str, str, str] | None:
    ticket = db.get_one(Ticket, ticket_id)
    pull, place = pull_of(db, ticket), workspace(db, ticket)
    if pull is None or pull.state not in ("wanted", "open") or (place is None and ticket.state != "cancelled"):
        return None
    repo = db.get_one(GitHubRepo, pull.repo_id)
    if place is None:
        return pull, ticket, "", "", ""
    return pull, ticket, place.head_sha, place.target, comments.pull_body(db, repo, ticket, place, board_url)


def _branch(db: Session, ticket_id: int) -> str:
    place = workspace(db, db.get_one(Ticket, ticket_id))
    if place is None:
        raise Conflict("the branch is gone", "the ticket was discarded meanwhile")
    return place.branch


def _run_text(db: Session, repo: GitHubRepo, run_id: int, board_url: str) -> str:
    return comments.run_comment(db, repo, db.get_one(Run, run_id), board_url)


def _issue_number(db: Session, ticket_id: int) -> int | None:
    issue = issue_of(db, db.get_one(Ticket, ticket_id))
    return issue.number if issue is not None and not issue.gone else None


def _repo(db: Session, repo_id: int) -> GitHubRepo:
    return db.get_one(GitHubRepo, repo_id)


def _stands(db: Session, row: GitHubLetter, remote_id: int | None, content: str) -> int | None:
    """Write down what stands there, and where; gives another comment that is known to be it already."""
    now = db.exec(select(GitHubLetter).where(GitHubLetter.id == row.id).with_for_update()).one()
    if remote_id is not None and now.remote_id not in (None, remote_id):
        return now.remote_id
    now.remote_id, now.digest = remote_id or now.remote_id, content
    db.add(now)
    return None


def _remember(db: Session, repo_id: int, row: GitHubLetter, remote_id: int) -> None:
    """That comment there is this one here: what GitHub tells of it is no new comment."""
    if remark(db, repo_id, "ours", remote_id) is None:
        comment = db.get(Comment, row.about_id)
        known = GitHubRemark(
            repo_id=repo_id,
            kind="ours",
            remote_id=remote_id,
            ticket_id=row.ticket_id,
            comment_id=row.about_id if comment is not None else None,
            author="",
            trusted=True,
            changed_at=utcnow(),
            came_to="comment",
        )
        db.add(known)


def _sent(db: Session, row: GitHubLetter) -> None:
    now = db.get_one(GitHubLetter, row.id)
    if now.version == row.version:
        now.sent_at, now.fault, now.attempts, now.next_at = utcnow(), "", 0, None
        db.add(now)


def _failed(db: Session, row: GitHubLetter, why: str, *, final: bool) -> None:
    now = db.get_one(GitHubLetter, row.id)
    now.attempts += 1
    now.fault = why[:2000]
    if final:
        now.sent_at = utcnow()
        issue = issue_of(db, db.get_one(Ticket, row.ticket_id)) if row.kind != "pull" else None
        log.warning("%s of %s cannot stand on GitHub any more: %s", row.name, issue.url if issue else row.ticket_id, why)
    else:
        now.next_at = utcnow() + timedelta(seconds=min(5.0 * 2**now.attempts, LAST_WAIT))
    db.add(now)
