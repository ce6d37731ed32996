"""Use cases of a connection: made, changed, looked at, tried, and taken back."""

from __future__ import annotations

import re
import secrets as random
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import delete
from sqlmodel import Session, col, select

from dispatcher import activity
from dispatcher.agents import get_agent
from dispatcher.errors import Conflict, Invalid
from dispatcher.github import secrets
from dispatcher.github.client import Hub, Refused
from dispatcher.github.trust import LEAST, TRIGGERS
from dispatcher.models import (
    GitHubDelivery,
    GitHubIssue,
    GitHubLetter,
    GitHubPull,
    GitHubRemark,
    GitHubRepo,
    Project,
    Ticket,
    utcnow,
)
from dispatcher.projects import get_project
from dispatcher.settings import Settings

EVENTS = (
    "Issues",
    "Issue comments",
    "Pull requests",
    "Pull request reviews",
    "Pull request review comments",
    "Check runs",
    "Check suites",
    "Repositories",
)
"""To be ticked in GitHub's settings of the webhook, by their names there."""
PERMISSIONS = (
    ("Metadata", "read"),
    ("Issues", "read and write"),
    ("Pull requests", "read and write"),
    ("Contents", "read and write"),
    ("Checks", "read"),
)
"""Of the App. A fine-grained token has no Checks; what they came to is then taken from the webhook's deliveries."""
PULLS = ("approve", "ready", "ask", "never")
GITHUB = "https://api.github.com"
_REPOSITORY = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})/[A-Za-z0-9._-]{1,100}")
_LOGIN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})(?:_[A-Za-z0-9]+)?(?:\[bot\])?")


def connect_repo(
    db: Session,
    settings: Settings,
    project_key: str,
    *,
    repository: str,
    api_url: str = "",
    app_id: str = "",
    installation_id: str = "",
    import_open: bool = False,
) -> GitHubRepo:
    """Connect a project, or change what it is connected to; the webhook's secret is made where there is none.

    `import_open` makes tickets of the issues that are open already. Raises `Invalid` naming the field, and `Conflict` for
    another repository while tickets of the first are here.
    """
    project = get_project(db, project_key)
    repository = _repository(repository)
    api = _api(api_url)
    if bool(app_id) != bool(installation_id):
        raise Invalid(
            "an App needs both its number and its installation's", "give both, or neither for a token", "installation_id"
        )
    for field, value in (("app_id", app_id), ("installation_id", installation_id)):
        if value and not re.fullmatch(r"[A-Za-z0-9._-]{1,40}", value):
            raise Invalid(f"{value!r} is no number of an App", "GitHub shows it in the App's settings", field)
    repo = db.exec(select(GitHubRepo).where(GitHubRepo.project_id == project.id)).first()
    if repo is None:
        assert project.id is not None
        repo = GitHubRepo(project_id=project.id, repository=repository, mark=random.token_hex(6), cursor=activity.newest(db))
        repo.seen_until = None if import_open else utcnow()
        activity.record(db, "github.connected", project_id=project.id, repository=repository)
    elif repo.repository.lower() != repository.lower() or repo.api_url != api:
        if db.exec(select(GitHubIssue.id).where(GitHubIssue.repo_id == repo.id)).first() is not None:
            raise Conflict(
                f"{project.key} has tickets from {repo.repository}",
                "where it was only renamed, that is learnt by itself; else disconnect it first: the tickets stay",
                "repository",
            )
        repo.remote_id, repo.clone_url, repo.pinged_at, repo.delivered_at = 0, "", None, None
    repo.repository, repo.api_url, repo.app_id, repo.installation_id = repository, api, app_id, installation_id
    repo.paused_until, repo.failures, repo.fault = None, 0, ""
    db.add(repo)
    db.flush()
    if not secrets.read(settings, project.key, "secret"):
        secrets.write(settings, project.key, "secret", secrets.new_secret())
    return repo


def change_policy(
    db: Session,
    repo: GitHubRepo,
    *,
    permission: str | None = None,
    allowed: Sequence[str] | None = None,
    bots: bool | None = None,
    triggers: Sequence[str] | None = None,
    assignees: dict[str, str] | None = None,
    mirror: bool | None = None,
    pulls: str | None = None,
    rounds: int | None = None,
) -> None:
    """Change who may start runs, by what, and what is written to GitHub; raises `Invalid` naming the field."""
    if permission is not None:
        repo.permission = _one_of(permission, LEAST, "permission")
    if allowed is not None:
        repo.allowed = sorted({check_login(login, "allowed").lower() for login in allowed})
        repo.allowed_numbers = {login: number for login, number in repo.allowed_numbers.items() if login in repo.allowed}
    if triggers is not None:
        repo.triggers = [name for name in TRIGGERS if name in {_one_of(one, TRIGGERS, "triggers") for one in triggers}]
    if assignees is not None:
        repo.assignees = {
            check_login(login, "assignees").lower(): get_agent(db, agent).name for login, agent in assignees.items()
        }
    if pulls is not None:
        repo.pulls = _one_of(pulls, PULLS, "pulls")
    if rounds is not None:
        if not 0 <= rounds <= 100:
            raise Invalid(f"{rounds} rounds", "give 0 to 100", "rounds")
        repo.rounds = rounds
    repo.bots = repo.bots if bots is None else bots
    repo.mirror = repo.mirror if mirror is None else mirror
    db.add(repo)
    activity.record(db, "github.policy", project_id=repo.project_id, repository=repo.repository)


def disconnect(db: Session, settings: Settings, repo: GitHubRepo, project: Project) -> None:
    """Let go of the repository: nothing comes in or goes out any more; tickets and their text stay, secrets go."""
    tickets = select(GitHubIssue.ticket_id).where(GitHubIssue.repo_id == repo.id)
    for ticket in db.exec(select(Ticket).where(col(Ticket.id).in_(tickets))):
        ticket.origin = {**(ticket.origin or {}), "gone": "disconnected"}
        db.add(ticket)
    tables: tuple[type[Any], ...] = (GitHubLetter, GitHubDelivery, GitHubRemark, GitHubPull, GitHubIssue)
    for table in tables:
        db.execute(delete(table).where(table.repo_id == repo.id).execution_options(synchronize_session=False))
    db.delete(repo)
    activity.record(db, "github.disconnected", project_id=project.id, repository=repo.repository)
    secrets.forget(settings, project.key)


def new_secret(settings: Settings, project: Project) -> str:
    """Another secret for the webhook; from now on only deliveries that are signed with it count."""
    secret = secrets.new_secret()
    secrets.write(settings, project.key, "secret", secret)
    return secret


def hook_url(settings: Settings, project: Project) -> str:
    """Where GitHub is to send deliveries."""
    base = settings.public_url.rstrip("/") or f"http://{settings.host}:{settings.port}"
    return f"{base}/hooks/github/{project.key}"


def pages(repo: GitHubRepo) -> dict[str, str]:
    """GitHub's own pages on which a connection is set up: where a webhook, and where a token is made."""
    parts = urlsplit(repo.api_url)
    site = "https://github.com" if repo.api_url == GITHUB else f"{parts.scheme}://{parts.netloc}"
    if parts.netloc.startswith("api.") and parts.netloc.endswith(".ghe.com"):
        site = f"https://{parts.netloc.removeprefix('api.')}"
    new = f"{site}/{repo.repository}/settings/hooks/new"
    return {"webhook": new, "token": f"{site}/settings/personal-access-tokens/new"}


def reachable(settings: Settings) -> bool:
    """Whether GitHub could reach that address: it is not this machine's own name for itself."""
    host = urlsplit(settings.public_url).hostname or "127.0.0.1"
    return host not in ("localhost", "::1") and not host.startswith("127.")


async def introduce(hub: Hub) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Who we are there and where the repository is, as rows for `learn`, and what GitHub says of the repository.

    Raises `Refused` where its name is another repository's by now: GitHub gives the names of renamed ones away.
    """
    login, number = await hub.me()
    found: dict[str, Any] = await hub.get(hub.at)
    if hub.remote_id and int(found["id"]) != hub.remote_id:
        hint = "disconnect it, and connect the right one: the tickets stay"
        raise Refused(f"{found['full_name']} on GitHub is another repository than the one that was connected", 409, hint)
    facts = {"remote_id": int(found["id"]), "clone_url": str(found["clone_url"]), "repository": str(found["full_name"])}
    rows = [
        _row("identity", True, f"we are {login} there", login=login, user_id=number),
        _row("repository", True, f"{found['full_name']} is there", **facts),
    ]
    return rows, found


async def try_out(hub: Hub) -> list[dict[str, Any]]:
    """What the token may do, asked of GitHub without changing anything; one row for each thing that is needed."""
    rows, found = await introduce(hub)
    login = rows[0]["facts"]["login"]
    granted = await hub.granted()
    pushes = granted.get("contents") == "write" if hub.is_app else bool((found.get("permissions") or {}).get("push"))
    rows.append(
        _row(
            "contents", pushes, "branches can be pushed" if pushes else "branches cannot be pushed: contents need write access"
        )
    )
    rows += [_granted(granted, name, access) for name, access in PERMISSIONS if hub.is_app and name != "Contents"]
    issues = bool(found.get("has_issues", True))
    rows.append(_row("issues", issues, "issues are on" if issues else "issues are switched off in the repository's settings"))
    for name, path, words in (
        ("issues read", f"{hub.at}/issues", "issues can be read"),
        ("pull requests", f"{hub.at}/pulls", "pull requests can be read"),
        ("checks", f"{hub.at}/commits/HEAD/check-runs", "checks can be read"),
        ("permissions", f"{hub.at}/collaborators/{login}/permission", "permissions of people can be read"),
    ):
        rows.append(await _try(hub, name, path, words))
    return rows


def _granted(granted: dict[str, str], name: str, access: str) -> dict[str, Any]:
    """One permission of an App, by what GitHub says its installation was given."""
    has, wanted = granted.get(name.lower().replace(" ", "_"), ""), "write" if "write" in access else "read"
    fine = has in ("write", wanted)
    words = f"the App has {has} access to {name.lower()}" if has else f"the App has no access to {name.lower()}"
    return _row(f"may {name}", fine, words if fine else f"{words}: give it {access}, and accept that in the installation")


def unticked(hook: dict[str, Any]) -> list[str]:
    """The events, by their names on GitHub's page, that a webhook does not send, as a ping or the list of webhooks tells."""
    sent = hook.get("events")
    if not isinstance(sent, list) or "*" in sent:
        return []
    return [name for name in EVENTS if name_of_event(name) not in sent]


def name_of_event(words: str) -> str:
    """The name that GitHub gives in deliveries to what it calls so on its page: Check runs, check_run."""
    name = words.lower().replace(" ", "_")
    return {"issues": name, "repositories": "repository"}.get(name, name.removesuffix("s"))


async def look_at_hook(hub: Hub, url: str) -> dict[str, Any] | None:
    """What GitHub says of our webhook's last delivery; None where the token may not see hooks, which it need not."""
    try:
        hooks = await hub.all(f"{hub.at}/hooks")
    except Refused:
        return None
    mine = next((hook for hook in hooks if (hook.get("config") or {}).get("url") == url), None)
    if mine is None:
        return _row("webhook", False, f"no webhook of the repository leads to {url}")
    if lacks := unticked(mine):
        return _row("webhook", False, f"the webhook does not tell of: {', '.join(lacks)}; tick them in its settings")
    last = mine.get("last_response") or {}
    fine = last.get("code") in (None, *range(200, 300)) and bool(mine.get("active"))
    words = (
        "it is switched off"
        if not mine.get("active")
        else f"GitHub's last delivery: {last.get('code') or 'none yet'} {last.get('message') or ''}"
    )
    return _row("webhook", fine, words.strip())


def learn(db: Session, repo_id: int, rows: Sequence[dict[str, Any]], *, fine: bool = False) -> None:
    """Write down who we are there, and the repository's number and names, as `try_out` has found them.

    `fine` says that a person has seen all of it work: what stood in the way is over.
    """
    repo = db.get_one(GitHubRepo, repo_id)
    for row in rows:
        facts = row["facts"]
        repo.login, repo.user_id = facts.get("login", repo.login), facts.get("user_id", repo.user_id)
        repo.remote_id = facts.get("remote_id", repo.remote_id)
        repo.clone_url, repo.repository = facts.get("clone_url", repo.clone_url), facts.get("repository", repo.repository)
    if fine:
        repo.fault, repo.failures, repo.paused_until = "", 0, None
    db.add(repo)


async def _try(hub: Hub, name: str, path: str, words: str) -> dict[str, Any]:
    try:
        await hub.get(path, **({"per_page": 1} if "permission" not in path else {}))
    except Refused as error:
        if error.code == 409 and name == "checks":  # an empty repository
            return _row(name, True, words)
        if error.code == 403 and name == "checks" and not hub.is_app:
            return _row(name, True, "checks are taken from the webhook's deliveries: no fine-grained token may read them")
        return _row(name, False, error.line())
    return _row(name, True, words)


def _row(name: str, fine: bool, words: str, **facts: Any) -> dict[str, Any]:
    return {"name": name, "ok": fine, "words": words, "facts": facts}


def _repository(text: str) -> str:
    name = re.sub(r"^(?:https?://[^/]+/|git@[^:]+:)", "", text.strip()).removesuffix("/").removesuffix(".git")
    if not _REPOSITORY.fullmatch(name) or name.endswith(("/.", "/..")):
        raise Invalid(f"{text[:100]!r} is no repository of GitHub's", "give it as owner/name", "repository")
    return name


def _api(text: str) -> str:
    url = text.strip().rstrip("/") or GITHUB
    parts = urlsplit(url)
    local = parts.hostname in ("localhost", "127.0.0.1", "::1")
    if parts.scheme not in ("https", "http") or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise Invalid(
            f"{text[:100]!r} is no address of an API", f"{GITHUB}, or https://HOST/api/v3 of your own server", "api_url"
        )
    if parts.hostname in ("github.com", "www.github.com"):
        raise Invalid("that is GitHub's site, not its API", f"leave it empty: {GITHUB} is used", "api_url")
    if parts.scheme == "https" and not parts.path and not parts.hostname.startswith("api."):
        raise Invalid(f"{url} is no address of an API", f"a GitHub Enterprise server has it at {url}/api/v3", "api_url")
    if parts.scheme == "http" and not local:
        raise Invalid("the API's address is not https: the token would be read on the way", "use https://", "api_url")
    return url


def check_login(text: str, field: str) -> str:
    """The login without its @; raises `Invalid` for what can be none."""
    login = text.strip().removeprefix("@")
    if not _LOGIN.fullmatch(login):
        raise Invalid(f"{text[:60]!r} is no login of GitHub's", "give it as it stands in the profile's address", field)
    return login


def _one_of(value: str, known: Sequence[str], field: str) -> str:
    if value not in known:
        raise Invalid(f"{value!r} is not one of them", f"choose one of: {', '.join(known)}", field)
    return value
