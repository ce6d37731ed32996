"""What each kind of delivery does."""

from __future__ import annotations

from typing import Any

from sqlmodel import Session

from dispatcher.github import triggers
from dispatcher.github.feedback import look_at_checks, take_review
from dispatcher.github.pulls import take_pull
from dispatcher.github.remarks import take_comment
from dispatcher.github.start import Call, start
from dispatcher.github.sync import gone, take_issue, text_of
from dispatcher.github.text import at
from dispatcher.github.work import Work, find_issue
from dispatcher.models import GitHubDelivery, GitHubRepo


async def handle(work: Work, row: GitHubDelivery) -> str:
    """Work off one delivery; gives what came of it, in words for the list of deliveries."""
    payload = row.payload
    match row.event:
        case "ping":
            return "GitHub reaches us"
        case "issues":
            return await _issue(work, row.action, payload)
        case "issue_comment":
            return await _comment(work, row.action, payload)
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


async def know_issue(work: Work, issue: dict[str, Any]) -> dict[str, Any]:
    """Bring the ticket after the issue; gives the payload that counts.

    Two edits within one second carry the same time, and come in any order: then GitHub is asked which one stands.
    """
    number = int(issue["number"])
    known = await work.read(find_issue, work.repo_id, number)
    if known is None:
        _, verdict = await work.judge(issue.get("user"), "answer")
        await work.write(take_issue, work.repo, issue, trusted=verdict.allowed)
        return issue
    if at(issue["updated_at"]) == known[0].changed_at and await work.read(_differs, work.repo_id, issue):
        issue = await work.hub.get(f"{work.hub.at}/issues/{number}")
    await work.write(take_issue, work.repo, issue, trusted=False)
    return issue


async def _issue(work: Work, action: str, payload: dict[str, Any]) -> str:
    issue = payload["issue"]
    if "pull_request" in issue:
        return "it is a pull request"
    if action in ("deleted", "transferred"):
        ticket = await work.write(gone, work.repo, int(issue["number"]), action)
        return f"the issue of {ticket.key} was {action}" if ticket else "it is not here"
    await know_issue(work, issue)
    asked = triggers.of_issue_event(work.repo, action, payload)
    if asked is None:
        found = await work.read(find_issue, work.repo_id, int(issue["number"]))
        return f"{found[1].key} follows" if found else "it was closed before it was seen"
    sender, verdict = await work.judge(payload.get("sender"), asked.trigger)
    return await work.write(start, work.repo_id, Call(issue, asked, sender, verdict, at(issue["updated_at"])))


async def _comment(work: Work, action: str, payload: dict[str, Any]) -> str:
    issue = payload["issue"]
    if "pull_request" not in issue and action in ("created", "edited"):
        await know_issue(work, issue)
    return await take_comment(work, issue, payload["comment"], action)


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
