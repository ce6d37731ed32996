"""What is said to a pull request of ours, by reviewers and by checks, sent back to the agent; a bounded number of times."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pydantic import ValidationError
from sqlmodel import Session, col, select

from dispatcher import activity, board, review
from dispatcher.actor import acting_as
from dispatcher.github.client import Refused
from dispatcher.github.pulls import pull_by_number
from dispatcher.github.remarks import remark
from dispatcher.github.text import at, clean, fenced, line
from dispatcher.github.trust import Sender
from dispatcher.github.work import Later, Work, key_of, name_of
from dispatcher.models import GitHubDelivery, GitHubPull, GitHubRemark, GitHubRepo, Ticket, utcnow

BAD = ("failure", "timed_out", "action_required", "startup_failure")
"""Conclusions that the agent can do something about; cancelled, stale, skipped and neutral say nothing of its work."""
OUTPUT = 4000
DELIVERED = timedelta(days=1)
"""How far back the deliveries are read for a commit's checks, where they cannot be asked for."""
CHECKS = "checks on GitHub"


async def take_review(work: Work, number: int, payload: dict[str, Any]) -> str:
    """A review that was submitted: what it says goes back to the agent, where its author may."""
    pull = await work.read(pull_by_number, work.repo_id, number)
    if pull is None:
        return "it is no review of ours"
    if work.ours(payload.get("user")) and work.repo.app_id:
        return "our own"
    state = str(payload["state"]).lower()
    if state not in ("changes_requested", "commented", "approved"):
        return f"the review is {state}"
    if await work.read(remark, work.repo_id, "review", int(payload["id"])) is not None:
        return "looked at already"
    await work.read(_wait_for, pull, "the review")
    sender, verdict = await work.judge(payload.get("user"), "review")
    comments = await work.hub.all(f"{work.hub.at}/pulls/{number}/reviews/{payload['id']}/comments")
    return await work.write(_take_review, key_of(pull), payload, comments, sender, trusted=verdict.allowed)


def _take_review(
    db: Session, pull_id: int, payload: dict[str, Any], comments: list[dict[str, Any]], sender: Sender, *, trusted: bool
) -> str:
    pull = db.get_one(GitHubPull, pull_id)
    ticket = db.get_one(Ticket, pull.ticket_id)
    body = clean(payload.get("body")).text
    lines = [one for comment in comments if (one := _line(comment)) is not None]
    wants = trusted and payload["state"].lower() != "approved" and bool(body.strip() or lines)
    if wants:
        _wait_for(db, pull, "the review")
    row = GitHubRemark(
        repo_id=pull.repo_id,
        kind="review",
        remote_id=int(payload["id"]),
        ticket_id=pull.ticket_id,
        author=sender.login,
        trusted=trusted,
        changed_at=at(payload["submitted_at"]),
        came_to="nothing",
    )
    db.add(row)
    with acting_as(name_of(sender.login)):
        if not wants:
            activity.record(
                db, "github.review", ticket=ticket, state=payload["state"].lower(), sender=sender.login, trusted=trusted
            )
            return "it asks for nothing" if trusted else f"{sender.login} may not send work back"
        row.came_to = "changes"
        return _send_back(db, pull, ticket, body, lines)


async def look_at_checks(work: Work, sha: str) -> str:
    """The checks of a commit of ours, all of them as they are now; those that failed go back to the agent, once a commit."""
    pull = await work.read(_pull_at, work.repo_id, sha)
    if pull is None:
        return "the commit is none of ours"
    await work.read(_wait_for, pull, "what is said of its checks")
    found = await check_runs(work, sha)
    if found is None:
        found = await work.read(_delivered_checks, work.repo_id, sha)
    return await work.write(_take_checks, key_of(pull), sha, found)


async def check_runs(work: Work, sha: str) -> list[dict[str, Any]] | None:
    """The newest check runs of a commit; None where we may not ask: no fine-grained token can be given that right.

    https://docs.github.com/en/rest/authentication/permissions-required-for-fine-grained-personal-access-tokens
    """
    try:
        return await work.hub.all(f"{work.hub.at}/commits/{sha}/check-runs", key="check_runs", filter="latest")
    except Refused as error:
        if error.code == 403:
            return None
        raise


def _delivered_checks(db: Session, repo_id: int, sha: str) -> list[dict[str, Any]]:
    """The newest check runs of a commit by their deliveries."""
    since = col(GitHubDelivery.received_at) > utcnow() - DELIVERED
    query = select(GitHubDelivery).where(GitHubDelivery.repo_id == repo_id, GitHubDelivery.event == "check_run", since)
    newest: dict[str, dict[str, Any]] = {}
    for row in db.exec(query.order_by(col(GitHubDelivery.received_at))):
        run = row.payload["check_run"]
        known = newest.get(run["name"])
        # A rerun is another run; of one run, what is completed came last, in whatever order it was told.
        if run["head_sha"] == sha and (known is None or _age(run) >= _age(known)):
            newest[run["name"]] = run
    return list(newest.values())


def _age(run: dict[str, Any]) -> tuple[int, bool]:
    return int(run["id"]), run["status"] == "completed"


def _wait_for(db: Session, pull: GitHubPull, what: str) -> None:
    """Raise `Later` while the agent is at work: before GitHub is asked for anything, since it may be at work for hours."""
    ticket = db.get_one(Ticket, pull.ticket_id)
    if ticket.state in ("queued", "running"):
        raise Later(f"{ticket.key} is at work; {what} waits for it")


def _take_checks(db: Session, pull_id: int, sha: str, found: list[dict[str, Any]]) -> str:
    pull = db.get_one(GitHubPull, pull_id)
    ticket = db.get_one(Ticket, pull.ticket_id)
    told = [
        {"name": line(run["name"], 200), "conclusion": run.get("conclusion") or run["status"], "url": run.get("html_url") or ""}
        for run in found
    ]
    if told != pull.checks:
        pull.checks = told
        db.add(pull)
        activity.record(db, "github.checks", ticket=ticket, checks=[f"{one['name']}: {one['conclusion']}" for one in told])
    if any(run["status"] != "completed" for run in found):
        return "some still run"
    bad = [run for run in found if run.get("conclusion") in BAD]
    if not bad or pull.checked_sha == sha:
        return "they passed" if not bad else "looked at already"
    _wait_for(db, pull, "what is said of its checks")
    pull.checked_sha = sha
    with acting_as(CHECKS):
        return _send_back(db, pull, ticket, _told(bad), [])


def _send_back(db: Session, pull: GitHubPull, ticket: Ticket, body: str, lines: list[review.LineComment]) -> str:
    limit = db.get_one(GitHubRepo, pull.repo_id).rounds
    if ticket.state not in ("review", "blocked"):
        return f"{ticket.key} is {ticket.state}"
    if pull.rounds >= limit:
        activity.record(db, "github.rounds_used", ticket=ticket, rounds=pull.rounds)
        return f"{ticket.key} was sent back {pull.rounds} times already: a person on the board decides"
    pull.rounds += 1
    db.add(pull)
    if ticket.state == "blocked":
        said = [f"- {one.path}{f':{one.line}' if one.line else ''}: {one.body}" for one in lines]
        board.answer(db, ticket, "\n\n".join([body, "\n".join(said)]).strip())
    else:
        review.request_changes(db, ticket, body, lines)
    return f"{ticket.key} goes back to its agent, round {pull.rounds} of {limit}"


def _told(bad: list[dict[str, Any]]) -> str:
    """What failed, for the agent. A check's words are a program's output: fenced, and cut."""
    parts = ["These checks failed on GitHub:"]
    for run in bad:
        output = run.get("output") or {}
        words = "\n".join(clean(output.get(name)).text for name in ("title", "summary", "text") if output.get(name))
        parts.append(f"- {line(run['name'], 200)}: {run['conclusion']}")
        if words.strip():
            parts.append(fenced(words[-OUTPUT:]))
    return "\n".join(parts)


def _line(comment: dict[str, Any]) -> review.LineComment | None:
    body, number = clean(comment.get("body")).text, comment.get("line") or comment.get("original_line")
    try:
        side = "" if comment.get("side") != "LEFT" else "(about a line that was removed) "
        return review.LineComment(
            path=str(comment.get("path") or ""), line=number, body=f"{side}{body}" if body.strip() else ""
        )
    except ValidationError:
        return None


def _pull_at(db: Session, repo_id: int, sha: str) -> GitHubPull | None:
    return db.exec(select(GitHubPull).where(GitHubPull.repo_id == repo_id, GitHubPull.pushed_sha == sha)).first()
