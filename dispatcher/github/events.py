"""What each kind of delivery does."""

from __future__ import annotations

from typing import Any

from sqlmodel import Session

from dispatcher.github import triggers
from dispatcher.github.client import Refused
from dispatcher.github.connect import introduce, learn
from dispatcher.github.feedback import look_at_checks, take_review
from dispatcher.github.gone import GONE
from dispatcher.github.inbox import CATCH_UP
from dispatcher.github.pulls import take_pull
from dispatcher.github.remarks import take_comment
from dispatcher.github.start import Call, start, take_back
from dispatcher.github.sync import gone, take_issue, text_of
from dispatcher.github.text import at
from dispatcher.github.work import Work, find_issue
from dispatcher.models import GitHubDelivery


async def handle(work: Work, row: GitHubDelivery) -> str:
    """Work off one delivery; gives what came of it, in words for the list of deliveries."""
    payload = row.payload
    if not _fits(row.event, payload):
        return f"its body is of another event than {row.event}"
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
            return await _rename(work)
        case _:
            return "this kind of event is not looked at"


def _fits(event: str, payload: dict[str, Any]) -> bool:
    """Whether the body is of the event that the header names: the signature is over the body alone.

    A comment that was deleted would otherwise be told as an issue that was, by whoever has got hold of its delivery.
    """
    has = {name for name in _PARTS if name in payload}
    return event not in _HAS or has == _HAS[event]


_HAS = {
    "ping": set[str](),
    "repository": set[str](),
    "issues": {"issue"},
    "issue_comment": {"issue", "comment"},
    "pull_request": {"pull_request"},
    "pull_request_review": {"pull_request", "review"},
    "pull_request_review_comment": {"pull_request", "comment"},
    "check_run": {"check_run"},
    "check_suite": {"check_suite"},
}
"""Which of the parts of an event's body it has: https://docs.github.com/en/webhooks/webhook-events-and-payloads"""
_PARTS = set[str]().union(*_HAS.values())


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


async def _rename(work: Work) -> str:
    """Renamed, or transferred to another owner. GitHub is asked: deliveries come in any order, and it leads on from the old."""
    rows, place = await introduce(work.hub)
    if place["full_name"] == work.repo.repository:
        return "its name is known"
    await work.write(learn, work.repo_id, rows)
    return f"the repository is {place['full_name']} now"
