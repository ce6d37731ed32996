"""How a connection does, for its page and for the command line."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlmodel import Session, col, func, select

from dispatcher.github import connect, inbox, outbox, secrets
from dispatcher.github.client import Hub
from dispatcher.github.prompt import told_ticket
from dispatcher.github.pulls import pull_of
from dispatcher.github.sync import agreed, edited_there
from dispatcher.github.trust import ORDER, TRIGGERS, Sender, judge, needs_permission
from dispatcher.github.work import issue_of, permission
from dispatcher.models import GitHubIssue, GitHubPull, GitHubRepo, Project, Ticket, utcnow
from dispatcher.settings import Settings

SLOW = timedelta(minutes=2)
"""What lies longer than that in the inbox or the outbox is said."""


class Warned(NamedTuple):
    """Something that is not as it should be, and what to do about it."""

    words: str
    hint: str


def warnings(db: Session, settings: Settings, repo: GitHubRepo, project: Project) -> list[Warned]:
    """All that stands in the way, the gravest first."""
    found = []
    what: secrets.What = "app_key" if repo.app_id else "token"
    if not secrets.read(settings, project.key, what):
        hint = f"{secrets.command(project.key, what)}, or set {secrets.variable(project.key, what)}"
        found.append(Warned(f"there is no {what.replace('_', ' ')} on this machine", hint))
    if repo.fault and not found:  # without a token that is the fault
        found.append(Warned(repo.fault, "it is tried again by itself; nothing is lost"))
    if repo.refused and (repo.delivered_at is None or (repo.refused_at or repo.created_at) > repo.delivered_at):
        found.append(Warned(f"a delivery was refused: {repo.refused}", f"look at the webhook's settings of {repo.repository}"))
    if repo.delivered_at is None:
        found.append(
            Warned("no delivery has come yet", f"enter {connect.hook_url(settings, project)} as {_hook(repo)} on GitHub")
        )
    elif repo.missed:
        changes = f"{repo.missed} change{'' if repo.missed == 1 else 's'}"
        hint = f"look at its recent deliveries on GitHub, and whether all of these are ticked: {', '.join(connect.EVENTS)}"
        found.append(Warned(f"the webhook seems dead: {changes} came by the catch-up alone", hint))
    if not connect.reachable(settings):
        found.append(
            Warned("GitHub cannot reach this machine by its address here", "set DISPATCHER_PUBLIC_URL to one that it can")
        )
    for letter in outbox.newest(db, repo.id or 0):
        if letter.sent_at is None and letter.fault:
            words = f"{outbox.words(db, letter)} cannot be written: {letter.fault}"
            found.append(Warned(words, "it is tried again by itself; nothing is lost"))
    for count, why, waits in inbox.troubles(db, repo.id or 0):
        many = f"{count} deliver{'y' if count == 1 else 'ies'} cannot be read: {why}"
        hint = "it is tried again by itself" if waits else f'press "Again" at it, on the page /github/{project.key}'
        found.append(Warned(many, hint))
    for words, oldest in lags(db, repo):
        if utcnow() - oldest > SLOW:
            found.append(Warned(f"{words} since {oldest:%Y-%m-%d %H:%M} UTC", "see whether a worker runs: dispatcher up"))
    return found


def _hook(repo: GitHubRepo) -> str:
    return "a webhook, of the repository or of the App," if repo.app_id else "a webhook"


def lags(db: Session, repo: GitHubRepo) -> list[tuple[str, datetime]]:
    """What waits, and since when the oldest of it does."""
    assert repo.id is not None
    rows = []
    for (count, oldest), words in ((inbox.backlog(db, repo.id), "to be read"), (outbox.debt(db, repo.id), "to be written")):
        if oldest is not None:
            rows.append((f"{count} {words}", oldest))
    return rows


def overview(db: Session, settings: Settings, repo: GitHubRepo, project: Project) -> dict[str, Any]:
    """The connection as data: what it is set to, how it does, what there is; no secret is among it."""
    issues = db.exec(select(func.count()).where(col(GitHubIssue.repo_id) == repo.id)).one()
    pulls = db.exec(select(func.count()).where(col(GitHubPull.repo_id) == repo.id)).one()
    shown = ("repository", "api_url", "app_id", "installation_id", "login", "permission", "allowed", "bots", "triggers")
    more = ("assignees", "mirror", "pulls", "rounds", "missed", "fault", "refused")
    times = ("pinged_at", "delivered_at", "reconciled_at", "paused_until", "created_at")
    return {
        "project": project.key,
        **{name: getattr(repo, name) for name in (*shown, *more)},
        **{name: at.isoformat() if (at := getattr(repo, name)) else None for name in times},
        "hook_url": connect.hook_url(settings, project),
        "pages": connect.pages(repo),
        "reachable": connect.reachable(settings),
        "events": list(connect.EVENTS),
        "unticked": connect.unticked(inbox.newest_ping(db, repo.id or 0)),
        "permissions": [list(row) for row in connect.PERMISSIONS if repo.app_id or row[0] != "Checks"],
        "warnings": [warned._asdict() for warned in warnings(db, settings, repo, project)],
        "waiting": [{"what": words, "since": oldest.isoformat()} for words, oldest in lags(db, repo)],
        "tickets": int(issues),
        "pull_requests": int(pulls),
        "trust": trust_table(repo),
    }


def trust_table(repo: GitHubRepo) -> list[dict[str, Any]]:
    """What the policy comes to for each kind of sender and trigger."""
    senders = [(f"a person with {name} permission", Sender("somebody", "User", name)) for name in reversed(ORDER[1:])]
    senders.append(("a person without any", Sender("somebody", "User", "none")))
    senders.append(("a bot with write permission", Sender("robot[bot]", "Bot", "write")))
    for login in repo.allowed:
        senders.append((f"{login}, on the allowlist", Sender(login, "User", "none", repo.allowed_numbers.get(login, 0))))
    return [
        {"sender": words, "may": {trigger: judge(repo, sender, trigger).allowed for trigger in TRIGGERS}}
        for words, sender in senders
    ]


async def try_sender(hub: Hub, repo: GitHubRepo, login: str, kind: str = "User") -> dict[str, Any]:
    """What one login may do, with the permission that GitHub tells of them now."""
    number = repo.allowed_numbers.get(login.lower(), 0)
    sender = Sender(login, "Bot" if login.endswith("[bot]") else kind, number=number)
    if needs_permission(repo, sender):
        sender = sender._replace(permission=await permission(hub, login))
    rows = {trigger: judge(repo, sender, trigger) for trigger in TRIGGERS}
    return {
        "login": login,
        "permission": sender.permission,
        "may": {name: row.allowed for name, row in rows.items()},
        "why": {name: row.why for name, row in rows.items()},
    }


def source(db: Session, ticket: Ticket) -> dict[str, Any] | None:
    """Where a ticket came from, as the approver sees it: exactly what agents get of it, and what was edited since."""
    issue, pull, origin = issue_of(db, ticket), pull_of(db, ticket), ticket.origin or {}
    if origin.get("kind") != "github" and pull is None:
        return None
    repo = db.exec(select(GitHubRepo).where(GitHubRepo.project_id == ticket.project_id)).first()
    return {
        "repository": repo.repository if repo is not None else origin.get("repository"),
        "issue": _issue(issue, ticket, origin) if origin.get("kind") == "github" else None,
        "pull": _pull(pull) if pull is not None else None,
        "pulls": repo.pulls if repo is not None else "never",
    }


def _issue(issue: GitHubIssue | None, ticket: Ticket, origin: dict[str, Any]) -> dict[str, Any]:
    """Without the row, which goes with the connection, as the ticket itself tells of it."""
    told = told_ticket(ticket)
    rest: dict[str, Any] = {"accepted_by": "", "accepted_at": None, "edited": None}
    if issue is not None:
        rest["accepted_by"] = issue.accepted_by
        rest["accepted_at"] = issue.accepted_at.isoformat() if issue.accepted_at else None
        if edited_there(issue):
            rest["edited"] = {"title": issue.title, "body": issue.body, "seen": agreed(issue.title, issue.body)}
    return {
        **{name: origin[name] for name in ("number", "url", "author")},
        "gone": origin.get("gone", ""),
        "waiting": bool(origin.get("waiting")),
        "prompt": f"{told.title}\n\n{told.body}",
        "seen": agreed(ticket.title, ticket.body),
        **rest,
    }


def _pull(pull: GitHubPull) -> dict[str, Any]:
    shown = ("number", "url", "state", "rounds", "checks", "asked_by", "pushed_sha")
    return {name: getattr(pull, name) for name in shown}
