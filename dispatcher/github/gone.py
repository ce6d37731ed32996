"""What is on GitHub no longer: no list tells of it, so that what is known here is compared with what is listed there."""

from __future__ import annotations

from typing import Any

from sqlmodel import Session, col, func, select

from dispatcher.github.client import Refused
from dispatcher.github.sync import CLOSED
from dispatcher.github.work import Work
from dispatcher.models import GitHubIssue, GitHubLetter, GitHubRemark, Ticket

GONE = (404, 410)
"""What GitHub answers for what was deleted, or transferred to where we may not look."""
MOST = 5000
"""Issues of which the list is compared; `Hub.all` reads no more."""


async def whereabouts(work: Work, number: int) -> str:
    """How an issue is in the repository no longer: deleted or transferred; empty for one that is there.

    GitHub leads from a transferred one to where it is now, and from a renamed repository to its new name:
    https://docs.github.com/en/rest/issues/issues#get-an-issue
    """
    url = ""
    try:
        url = str((await work.hub.get(f"{work.hub.at}/issues/{number}"))["url"]).lower()
    except Refused as error:
        if error.code not in GONE:
            raise
    if url.endswith(f"{work.hub.at}/issues/{number}".lower()):
        return ""
    place = await work.hub.get(work.hub.at)
    if not place.get("has_issues", True):  # switched off, they are not shown, and come back when switched on
        return ""
    if not url:
        return "deleted"
    return "" if url.endswith(f"/repos/{place['full_name']}/issues/{number}".lower()) else "transferred"


async def gone_issues(work: Work) -> list[tuple[int, str]]:
    """Issues of open tickets that are gone, with how."""
    known = await work.read(_open_here, work.repo_id)
    if not known:
        return []
    rows = await work.hub.all(f"{work.hub.at}/issues", state="open", sort="created", direction="asc")
    if len(rows) >= MOST:
        return []
    found = []
    for number in sorted(known - {int(row["number"]) for row in rows}):
        if how := await whereabouts(work, number):
            found.append((number, how))
    return found


async def gone_comments(work: Work, issue: dict[str, Any]) -> list[int]:
    """Comments that are here and were deleted there; GitHub is asked where it counts fewer than we know of."""
    number = int(issue["number"])
    known, count = await work.read(_comments_here, work.repo_id, number)
    if not known or int(issue.get("comments") or 0) >= count:
        return []
    rows = await work.hub.all(f"{work.hub.at}/issues/{number}/comments")
    # Those on the ticket's pull requests are not in that list.
    return [one for one in sorted(known - {int(row["id"]) for row in rows}) if await _is_gone(work, one)]


async def _is_gone(work: Work, comment: int) -> bool:
    try:
        await work.hub.get(f"{work.hub.at}/issues/comments/{comment}")
    except Refused as error:
        if error.code in GONE:
            return True
        raise
    return False


def _open_here(db: Session, repo_id: int) -> set[int]:
    query = select(GitHubIssue.number).join(Ticket).where(GitHubIssue.repo_id == repo_id, GitHubIssue.state == "open")
    return set(db.exec(query.where(GitHubIssue.gone == "", col(Ticket.state).not_in(CLOSED))))


def _comments_here(db: Session, repo_id: int, number: int) -> tuple[set[int], int]:
    """Those of others, and how many there are with ours."""
    issue = db.exec(select(GitHubIssue).where(GitHubIssue.repo_id == repo_id, GitHubIssue.number == number)).first()
    if issue is None:
        return set(), 0
    theirs = select(GitHubRemark).where(GitHubRemark.ticket_id == issue.ticket_id, GitHubRemark.kind == "comment")
    there = [row for row in db.exec(theirs) if row.came_to != "deleted"]
    ours = select(func.count()).where(col(GitHubLetter.ticket_id) == issue.ticket_id, col(GitHubLetter.remote_id).is_not(None))
    return {row.remote_id for row in there if row.comment_id is not None}, len(there) + int(db.exec(ours).one())
