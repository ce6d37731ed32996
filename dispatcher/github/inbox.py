"""The inbox: a delivery is written down once, answered at once, and worked off later, in any order."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DataError, IntegrityError
from sqlmodel import Session, col, func, select

from dispatcher.crashing import point
from dispatcher.errors import DispatcherError, NotFound
from dispatcher.github.client import Away, Refused
from dispatcher.github.work import Later, Work
from dispatcher.models import GitHubDelivery, GitHubRepo, utcnow
from dispatcher.text import storable

EVENTS = (
    "check_run",
    "check_suite",
    "issue_comment",
    "issues",
    "ping",
    "pull_request",
    "pull_request_review",
    "pull_request_review_comment",
    "repository",
)
"""What is looked at; of everything else only the name is kept."""
CATCH_UP = "catch-up:"
"""What the names of those begin with that no webhook brought: they are as GitHub's API tells them now."""
ATTEMPTS = 8
LATER = timedelta(seconds=15)
KEPT = timedelta(days=14)
"""So long a delivery stays after it was worked off: GitHub itself keeps them for three days."""

log = logging.getLogger(__name__)
Handler = Callable[[Work, GitHubDelivery], Awaitable[str]]


def addressee(db: Session, repo: GitHubRepo, payload: dict[str, Any]) -> GitHubRepo:
    """The connection whose inbox a delivery to `repo` belongs in: an App has one webhook, which tells of all its repositories.

    It is another than `repo` only where both talk to GitHub as the same App, whose secret the delivery was signed with.
    """
    if not repo.app_id or not _elsewhere(repo, payload):
        return repo
    same = (GitHubRepo.app_id == repo.app_id, GitHubRepo.api_url == repo.api_url)
    others = db.exec(select(GitHubRepo).where(*same).order_by(col(GitHubRepo.id)))
    return next((other for other in others if not _elsewhere(other, payload)), repo)


def receive(db: Session, repo: GitHubRepo, guid: str, event: str, payload: dict[str, Any]) -> bool:
    """Write a delivery down; False for one that is here already, which changes nothing."""
    now, payload = utcnow(), storable(payload)
    other, sender = _elsewhere(repo, payload), payload.get("sender")
    kept = event in EVENTS and not other
    row = {
        "repo_id": repo.id,
        "guid": guid,
        "event": event,
        "action": str(payload.get("action") or "")[:100],
        "sender": str(sender.get("login") or "")[:100] if isinstance(sender, dict) else "",
        "number": _number(payload),
        "payload": payload if kept else {},
        "state": "waiting" if kept else "ignored",
        "note": "" if kept else f"it is about {other}" if other else "this kind of event is not looked at",
        "attempts": 0,
        "received_at": now,
        "done_at": None if kept else now,
    }
    insert = postgresql.insert if db.get_bind().dialect.name == "postgresql" else sqlite.insert
    written = insert(GitHubDelivery).values(**row).on_conflict_do_nothing().returning(col(GitHubDelivery.guid))
    if db.execute(written).first() is None:  # the count of rows is -1 on PostgreSQL
        return False
    if other:  # it shows that a webhook works, and not that ours does
        if event == "ping":
            repo.refused_at, repo.refused = now, f"its webhook is one of {other}: add it to {repo.repository}"
    else:
        repo.delivered_at, repo.missed, repo.refused = now, 0, ""
        if event == "ping":
            repo.pinged_at, repo.hook_id = now, int(payload.get("hook_id") or 0)
    db.add(repo)
    return True


def waiting(db: Session, repo_id: int, limit: int = 50) -> list[GitHubDelivery]:
    """What is to be worked off now, in the order in which it came."""
    query = select(GitHubDelivery).where(GitHubDelivery.repo_id == repo_id, GitHubDelivery.state == "waiting")
    due = col(GitHubDelivery.next_at).is_(None) | (col(GitHubDelivery.next_at) <= utcnow())
    return list(db.exec(query.where(due).order_by(col(GitHubDelivery.received_at)).limit(limit)))


async def work_off(work: Work, handle: Handler) -> int:
    """Work off what waits; gives how many. Raises `Away` when GitHub is: what was in hand then waits on."""
    done = 0
    for row in await work.read(waiting, work.repo_id):
        await _one(work, row, handle)
        done += 1
    return done


async def _one(work: Work, row: GitHubDelivery, handle: Handler) -> None:
    try:
        note = await handle(work, row)
    except Away:
        raise
    except Later as later:
        await work.write(settle, row, "waiting", str(later), next_at=utcnow() + LATER)
        return
    except Refused as error:
        if error.code == 401:
            raise  # it is the same for all, until somebody mends the token
        # What one delivery may not ask for hinders no other; it waits until somebody gives the token the right to it.
        await work.write(_failed, row, error.line(), final=error.code != 403)
        return
    except DispatcherError as error:
        await work.write(_failed, row, error.line())
        return
    except (IntegrityError, DataError) as error:  # another worker was faster, or it holds what no column does
        await work.write(_failed, row, f"the database refuses what came of it: {type(error).__name__}")
        return
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        log.exception("delivery %s (%s) of %s is not of the shape that GitHub documents", row.guid, row.event, row.repo_id)
        await work.write(
            settle, row, "failed", f"it is not of the shape that GitHub documents: {type(error).__name__}: {error}"
        )
        return
    point("webhook.handled")
    await work.write(settle, row, "done", note)
    point("webhook.settled")


def settle(db: Session, row: GitHubDelivery, state: str, note: str, *, next_at: datetime | None = None, tries: int = 0) -> None:
    """Write down what came of a delivery."""
    now = db.get_one(GitHubDelivery, (row.repo_id, row.guid))
    now.state, now.note, now.next_at = state, str(storable(note))[:2000], next_at
    now.attempts += tries
    now.done_at = None if state == "waiting" else utcnow()
    db.add(now)


def again(db: Session, repo_id: int, guid: str) -> None:
    """Work a failed delivery off once more; raises `NotFound`."""
    row = db.get(GitHubDelivery, (repo_id, guid))
    if row is None or row.state != "failed":
        raise NotFound(f"there is no failed delivery {guid!r}", "look at the list again", "guid")
    row.state, row.attempts, row.next_at = "waiting", 0, None
    db.add(row)


def newest(db: Session, repo_id: int, limit: int = 50) -> list[GitHubDelivery]:
    """The newest deliveries, newest first."""
    query = select(GitHubDelivery).where(GitHubDelivery.repo_id == repo_id)
    return list(db.exec(query.order_by(col(GitHubDelivery.received_at).desc()).limit(limit)))


def troubles(db: Session, repo_id: int) -> list[tuple[int, str, bool]]:
    """What keeps deliveries from being worked off: of how many, why, and whether they wait to be tried again by themselves."""
    retried = (col(GitHubDelivery.state) == "waiting") & (col(GitHubDelivery.attempts) > 0)
    stuck = retried | (col(GitHubDelivery.state) == "failed")
    query = select(func.count(), GitHubDelivery.note, GitHubDelivery.state).where(GitHubDelivery.repo_id == repo_id, stuck)
    rows = db.exec(query.group_by(col(GitHubDelivery.note), col(GitHubDelivery.state)))
    return [(int(count), note, state == "waiting") for count, note, state in rows]


def newest_ping(db: Session, repo_id: int) -> dict[str, Any]:
    """What GitHub told of the webhook when it last tried it; empty where that is not here any more."""
    query = select(GitHubDelivery).where(GitHubDelivery.repo_id == repo_id, GitHubDelivery.event == "ping")
    kept = query.where(GitHubDelivery.state != "ignored").order_by(col(GitHubDelivery.received_at).desc())
    ping = db.exec(kept).first()
    hook = ping.payload.get("hook") if ping is not None else None
    return hook if isinstance(hook, dict) else {}


def backlog(db: Session, repo_id: int) -> tuple[int, datetime | None]:
    """How many deliveries wait, and since when the oldest does."""
    query = select(func.count(), func.min(GitHubDelivery.received_at)).where(GitHubDelivery.state == "waiting")
    count, oldest = db.exec(query.where(GitHubDelivery.repo_id == repo_id)).one()
    return int(count), oldest


def _failed(db: Session, row: GitHubDelivery, why: str, *, final: bool = True) -> None:
    last = final and row.attempts + 1 >= ATTEMPTS
    wait = None if last else utcnow() + timedelta(seconds=min(5.0 * 2 ** min(row.attempts, 8), 600))
    settle(db, row, "failed" if last else "waiting", why, next_at=wait, tries=1)


def _elsewhere(repo: GitHubRepo, payload: dict[str, Any]) -> str:
    """The other repository that it is about: the hook of an App or an organisation tells of all of them."""
    told = payload.get("repository") or {}
    if not isinstance(told, dict) or "id" not in told:
        return ""
    same = told["id"] == repo.remote_id if repo.remote_id else str(told.get("full_name", "")).lower() == repo.repository.lower()
    return "" if same else str(told.get("full_name") or "another repository")[:200]


def _number(payload: dict[str, Any]) -> int | None:
    for name in ("issue", "pull_request"):
        part = payload.get(name)
        if isinstance(part, dict) and isinstance(part.get("number"), int):
            return int(part["number"])
    return None
