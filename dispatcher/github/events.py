"""What each kind of delivery does."""

from __future__ import annotations

from typing import Any

from sqlmodel import Session

from dispatcher.github import triggers
from dispatcher.github.client import Refused
from dispatcher.github.feedback import look_at_checks, take_review
from dispatcher.github.inbox import CATCH_UP
from dispatcher.github.pulls import take_pull
from dispatcher.github.remarks import take_comment
from dispatcher.github.start import Call, start, take_back
from dispatcher.github.sync import gone, take_issue, text_of
from dispatcher.github.text import at
from dispatcher.github.work import Work, find_issue
from dispatcher.models import GitHubDelivery, GitHubRepo

GONE = (404, 410)
"""What GitHub answers for an issue that was deleted, or transferred to where we may not look."""


async def handle(work: Work, row: GitHubDelivery) -> str:
    """Work off one delivery; gives what came of it, in words for the list of deliveries."""
    payload = row.payload
    match row.event:
        case "ping":
            return "GitHub reaches us"
        case "issues":
            return await _issue(work, row, payload)
        case "issue_comment":
            return await _comment(work, row, payload)
        case "pull_request":
            return await take_pull(work, payload["pull_request"])
        case "pull_request_review":
            return await _review(work, row.action, payload)
        case "pull_request_review_comment":
            return await _review_comment(work, row.action, payload)
        case "check_run" | "check_suite":
            return await look_at_checks(work, str(payload[row.event]["head_sha"]))
        case "repository":
            return await work.write(_rename, work.repo_id, payload)
        case _:
            return "this kind of event is not looked at"


async def know_issue(work: Work, row: GitHubDelivery, issue: dict[str, Any]) -> None:
    """Bring the ticket after the issue.

    GitHub is asked how it is where that cannot be told from here: two edits within one second carry the same time; and of an
    issue that is not known, what closed or removed it may have come before this.
    """
    known = await work.read(find_issue, work.repo_id, int(issue["number"]))
    if known is None:
        now = issue if row.guid.startswith(CATCH_UP) else await _as_it_is(work, issue)
        if now is not None:
            _, verdict = await work.judge(now.get("user"), "answer")
            await work.write(take_issue, work.repo, now, trusted=verdict.allowed)
        return
    if at(issue["updated_at"]) == known[0].changed_at and await work.read(_differs, work.repo_id, issue):
        issue = await _as_it_is(work, issue) or issue
    await work.write(take_issue, work.repo, issue, trusted=False)


async def _as_it_is(work: Work, issue: dict[str, Any]) -> dict[str, Any] | None:
    """The issue as it is now; None for one that was deleted or transferred, of which GitHub shows the one elsewhere."""
    try:
        now: dict[str, Any] = await work.hub.get(f"{work.hub.at}/issues/{issue['number']}")
    except Refused as error:
        if error.code in GONE:
            return None
        raise
    return now if now["id"] == issue["id"] else None


async def _issue(work: Work, row: GitHubDelivery, payload: dict[str, Any]) -> str:
    issue, action = payload["issue"], row.action
    if "pull_request" in issue:
        return "it is a pull request"
    if action in ("deleted", "transferred"):
        ticket = await work.write(gone, work.repo, int(issue["number"]), action)
        return f"the issue of {ticket.key} was {action}" if ticket else "it is not here"
    await know_issue(work, row, issue)
    asked = triggers.of_issue_event(work.repo, action, payload)
    back = triggers.taken_back(work.repo, action, payload)
    if asked is None and back is None:
        found = await work.read(find_issue, work.repo_id, int(issue["number"]))
        return f"{found[1].key} follows" if found else "it was closed or removed before it was seen"
    wish = asked or back
    assert wish is not None
    sender, verdict = await work.judge(payload.get("sender"), wish.trigger)
    call = Call(issue, wish, sender, verdict, at(issue["updated_at"]))
    return await work.write(start if asked else take_back, work.repo_id, call)


async def _comment(work: Work, row: GitHubDelivery, payload: dict[str, Any]) -> str:
    issue = payload["issue"]
    if "pull_request" not in issue:
        await know_issue(work, row, issue)
    return await take_comment(work, issue, payload["comment"], row.action, payload.get("sender"))


async def _review(work: Work, action: str, payload: dict[str, Any]) -> str:
    if action != "submitted":
        return f"the review was {action}"
    return await take_review(work, int(payload["pull_request"]["number"]), payload["review"])


async def _review_comment(work: Work, action: str, payload: dict[str, Any]) -> str:
    """Every line comment belongs to a review; where that one's own delivery was missed, this one tells of it."""
    number = payload["comment"].get("pull_request_review_id")
    if action != "created" or not number:
        return f"the comment was {action}"
    pull = int(payload["pull_request"]["number"])
    found = await work.hub.get(f"{work.hub.at}/pulls/{pull}/reviews/{number}")
    return await take_review(work, pull, found) if found["state"] != "PENDING" else "its review is not submitted yet"


def _differs(db: Session, repo_id: int, issue: dict[str, Any]) -> bool:
    found = find_issue(db, repo_id, int(issue["number"]))
    return found is not None and ((found[0].title, found[0].body) != text_of(issue) or found[0].state != issue["state"])


def _rename(db: Session, repo_id: int, payload: dict[str, Any]) -> str:
    repo = db.get_one(GitHubRepo, repo_id)
    told = payload["repository"]
    if repo.repository == told["full_name"]:
        return "its name is known"
    repo.repository, repo.clone_url = str(told["full_name"]), str(told["clone_url"])
    db.add(repo)
    return f"the repository is {repo.repository} now"
