"""The catch-up: GitHub tells of each event once, so what happened while nobody listened is asked for.

What it finds goes into the same inbox as deliveries, under a name made of what it is and when it changed, so that it is worked
off by the same code, once. A person's reading of the list tells how it came: `catch-up:...`.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete
from sqlmodel import Session, col, select

from dispatcher.github import triggers
from dispatcher.github.client import Refused
from dispatcher.github.editing import commented, edited_since
from dispatcher.github.feedback import check_runs
from dispatcher.github.gone import GONE, MOST, gone_comments, gone_issues
from dispatcher.github.inbox import CATCH_UP, KEPT, receive
from dispatcher.github.remarks import is_ours, remark
from dispatcher.github.sync import CLOSED
from dispatcher.github.text import at, stamp
from dispatcher.github.work import Work, find_issue
from dispatcher.models import GitHubDelivery, GitHubIssue, GitHubPull, GitHubRepo, Ticket, utcnow

OVERLAP = timedelta(seconds=90)
"""Read twice: GitHub's lists lag behind its events, and clocks differ."""
GRACE = timedelta(seconds=60)
"""A delivery may take so long; what is older and was not delivered, was missed."""


async def reconcile(work: Work) -> int:
    """Ask for all that changed since the last time; gives how much of it was news. Raises `Away` and `Refused`."""
    place = await work.hub.get(work.hub.at)
    begun = utcnow() - work.hub.ahead
    # With its issues switched off GitHub refuses to list them; pull requests go on.
    news, newest = await _issues(work) if place.get("has_issues", True) else (0, None)
    for pull in await work.read(_pulls, work.repo_id):
        news += await _pull(work, pull)
    await work.write(_done, work.repo_id, begun, newest)
    return news


async def _issues(work: Work) -> tuple[int, datetime | None]:
    """How much of it was news, and up to where it was read."""
    hub, since = work.hub, work.repo.seen_until
    # An empty `since` is the first time with the wish to have what is open already.
    query: dict[str, Any] = {"since": stamp(since - OVERLAP), "state": "all"} if since else {"state": "open"}
    issues = await hub.all(f"{hub.at}/issues", sort="updated", direction="asc", **query)
    news = 0
    for issue in issues:
        if "pull_request" not in issue:
            news += await _issue(work, issue)
    comments = (
        await hub.all(f"{hub.at}/issues/comments", sort="updated", direction="asc", since=query.get("since")) if since else []
    )
    for comment in comments:
        news += await _comment(work, comment)
    for number, how in await gone_issues(work):
        news += await _put(work, "issues", how, {"issue": {"number": number}}, f"gone:{number}")
    newest = max((at(one["updated_at"]) for one in issues), default=None)
    if newest is not None and len(comments) >= MOST:  # the rest of them is read the next time
        newest = min(newest, at(comments[-1]["updated_at"]))
    return news, newest


async def _issue(work: Work, issue: dict[str, Any]) -> int:
    known = await work.read(find_issue, work.repo_id, int(issue["number"]))
    news = 0
    if known is None or at(issue["updated_at"]) > known[0].changed_at:
        news += await _put(work, "issues", "edited", {"issue": issue}, f"issue:{issue['number']}:{issue['updated_at']}")
    for one in await gone_comments(work, issue) if known is not None else ():
        comment = {"id": one, "updated_at": issue["updated_at"], "user": None}
        news += await _put(work, "issue_comment", "deleted", {"issue": issue, "comment": comment}, f"gone-comment:{one}")
    return news + await _triggers(work, issue, known)


async def _triggers(work: Work, issue: dict[str, Any], known: tuple[GitHubIssue, Ticket] | None) -> int:
    """Labels and assignments that ask for a run, or that were taken away: who did that stands in the issue's events."""
    names = [str(label["name"]) for label in issue.get("labels") or []]
    people = [str(person["login"]) for person in issue.get("assignees") or []]
    asks = triggers.of_labels(names) or next((triggers.of_assignee(work.repo, login) for login in people), None)
    queued = known is not None and known[1].state == "queued"
    if issue["state"] != "open" or (asks is None and not queued):
        return 0
    news, obeyed, seen = 0, known and known[0].started_at, known and known[0].triggered_at
    for event in await work.hub.all(f"{work.hub.at}/issues/{issue['number']}/events"):
        when, name = at(event["created_at"]), str(event["event"])
        if (obeyed is not None and when <= obeyed) or _is_old(work, when):
            continue
        told = {name: event[name] for name in ("label", "assignee") if name in event}
        payload = {"issue": issue | {"updated_at": event["created_at"]}, "sender": event.get("actor"), **told}
        if triggers.of_issue_event(work.repo, name, payload) is not None:
            payload["issue"] |= await edited_since(work, issue, when)
        elif triggers.taken_back(work.repo, name, payload) is None:
            continue
        # One that was refused is looked at again, and missed by no delivery.
        news += await _put(work, "issues", name, payload, f"event:{event['id']}", missed=seen is None or when > seen)
    return news


def _is_old(work: Work, when: datetime) -> bool:
    """Whether the catch-up before this one has seen it: who was refused then is not asked once more for it."""
    return work.repo.seen_until is not None and when < work.repo.seen_until - OVERLAP


async def _comment(work: Work, comment: dict[str, Any]) -> int:
    number = int(str(comment["issue_url"]).rpartition("/")[2])
    if is_ours(work, comment) or not await work.read(_is_news, work.repo_id, comment):
        return 0
    try:
        issue = await work.hub.get(f"{work.hub.at}/issues/{number}")
    except Refused as error:
        if error.code in GONE:  # deleted between the two calls
            return 0
        raise
    if "pull_request" not in issue and triggers.of_comment(str(comment.get("body") or "")) is not None:
        issue |= await edited_since(work, issue, at(comment["created_at"]))
    payload = {"issue": issue, "comment": comment, "sender": await commented(work, comment)}
    action = "created" if await work.read(_is_new, work.repo_id, int(comment["id"])) else "edited"
    return await _put(work, "issue_comment", action, payload, f"comment:{comment['id']}:{comment['updated_at']}")


async def _pull(work: Work, pull: GitHubPull) -> int:
    """A pull request of ours: whether it was merged, closed or opened again, its reviews, and its checks."""
    number, news = pull.number, 0
    found = await work.hub.get(f"{work.hub.at}/pulls/{number}")
    if found["state"] != pull.state or found.get("merged"):
        news += await _put(work, "pull_request", "closed", {"pull_request": found}, f"pull:{number}:{found['updated_at']}")
    for review in await work.hub.all(f"{work.hub.at}/pulls/{number}/reviews"):
        if review["state"] == "PENDING" or await work.read(_review_known, work.repo_id, int(review["id"])):
            continue
        payload = {"pull_request": found, "review": review, "sender": review.get("user")}
        news += await _put(work, "pull_request_review", "submitted", payload, f"review:{review['id']}")
    if found["state"] == "open" and pull.pushed_sha and pull.checked_sha != pull.pushed_sha:
        runs = await check_runs(work, pull.pushed_sha) or []
        told = [[run["name"], run["status"], run.get("conclusion")] for run in runs]
        if told and [[one["name"], one["conclusion"]] for one in pull.checks] != [
            [name, end or state] for name, state, end in told
        ]:
            mark = hashlib.sha256(repr(told).encode()).hexdigest()[:16]
            suite = {"check_suite": {"head_sha": pull.pushed_sha}}
            news += await _put(work, "check_suite", "completed", suite, f"checks:{pull.pushed_sha[:12]}:{mark}")
    return news


async def _put(work: Work, event: str, action: str, payload: dict[str, Any], name: str, *, missed: bool = True) -> int:
    payload = {"action": action, **payload}
    return int(await work.write(_receive, work.repo_id, event, payload, f"{CATCH_UP}{name}", missed=missed))


def _receive(db: Session, repo_id: int, event: str, payload: dict[str, Any], guid: str, *, missed: bool) -> bool:
    repo = db.get_one(GitHubRepo, repo_id)
    delivered, before, refused = repo.delivered_at, repo.missed, repo.refused
    news = receive(db, repo, guid, event, payload)
    # It was no delivery: whether the webhook works, it does not say. What a delivery brings a little later is no miss.
    repo.delivered_at, repo.missed, repo.refused = delivered, before, refused
    if news and missed and _changed(payload) < utcnow() - GRACE and not _first(repo):
        repo.missed, repo.missed_at = before + 1, utcnow()
    db.add(repo)
    return news


def _changed(payload: dict[str, Any]) -> datetime:
    for name, field in (
        ("review", "submitted_at"),
        ("comment", "updated_at"),
        ("issue", "updated_at"),
        ("pull_request", "updated_at"),
    ):
        part = payload.get(name)
        if isinstance(part, dict) and part.get(field):
            return at(part[field])
    return utcnow()


def _first(repo: GitHubRepo) -> bool:
    return repo.seen_until is None


def _pulls(db: Session, repo_id: int) -> list[GitHubPull]:
    """Those that are open, and those that were closed and may be opened again, while their tickets are open."""
    query = select(GitHubPull).join(Ticket).where(GitHubPull.repo_id == repo_id, col(GitHubPull.number).is_not(None))
    reopened = (col(GitHubPull.state) == "closed") & col(Ticket.state).not_in(CLOSED)
    return list(db.exec(query.where((col(GitHubPull.state) == "open") | reopened)))


def _is_new(db: Session, repo_id: int, remote_id: int) -> bool:
    return remark(db, repo_id, "comment", remote_id) is None


def _is_news(db: Session, repo_id: int, comment: dict[str, Any]) -> bool:
    if remark(db, repo_id, "ours", int(comment["id"])) is not None:
        return False
    known = remark(db, repo_id, "comment", int(comment["id"]))
    return known is None or at(comment["updated_at"]) > known.changed_at


def _review_known(db: Session, repo_id: int, remote_id: int) -> bool:
    return remark(db, repo_id, "review", remote_id) is not None


def _done(db: Session, repo_id: int, begun: datetime, newest: datetime | None) -> None:
    """The next time begins at the newest that GitHub showed, by its own clock; at ours where it showed nothing at all."""
    repo = db.get_one(GitHubRepo, repo_id)
    repo.seen_until = max(filter(None, (repo.seen_until, newest)), default=begun)
    repo.reconciled_at = utcnow()
    db.add(repo)
    old = (
        col(GitHubDelivery.repo_id) == repo_id,
        col(GitHubDelivery.state) != "waiting",
        col(GitHubDelivery.received_at) < utcnow() - KEPT,
    )
    db.execute(delete(GitHubDelivery).where(*old).execution_options(synchronize_session=False))
