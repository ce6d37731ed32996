"""GitHub's pages: connections with their health, policy and deliveries; and what a ticket from there needs of a person."""

from __future__ import annotations

import difflib
from typing import Any

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from sqlmodel import Session, select
from starlette.responses import Response

from dispatcher import activity, board, projects
from dispatcher.actor import acting
from dispatcher.errors import DispatcherError, Invalid
from dispatcher.github import connect, inbox, outbox, pulls, secrets, status, sync
from dispatcher.github.client import connect as open_hub
from dispatcher.github.trust import TRIGGERS
from dispatcher.github.work import get_repo, list_repos
from dispatcher.models import GitHubRepo, Project, Ticket
from web.api.github import ask_again, look
from web.errors import Problem, problem_of
from web.pages.forms import NOTHING, Entered, Fields, do, to
from web.render import page
from web.site import Here, Site
from web.views import ticket_out
from web.who import me

router = APIRouter()


@router.get("/github", name="github")
def list_page(site: Here) -> Response:
    """The projects that are connected, and a form to connect another."""
    return show_list(site)


@router.post("/github")
def connect_project(site: Here, form: Fields) -> Response:
    """Connect a project; its page shows the webhook's secret, once."""
    given = {name: form.get(name, "") for name in ("repository", "api_url", "app_id", "installation_id")}
    key = form.get("project", "")
    try:
        with site.database.transaction() as db:
            repo = connect.connect_repo(db, site.settings, key, import_open=form.get("import_open") == "yes", **given)
            project = db.get_one(Project, repo.project_id)
    except DispatcherError as error:
        return show_list(site, Entered(problem_of(error), "connect", form))
    return show_project(site, key, secret=secrets.read(site.settings, project.key, "secret"))


@router.get("/github/{key}")
async def project_page(site: Here, key: str, part: str | None = None, who: str = "") -> Response:
    """One connection; with `who` what that login may do, asked of GitHub now."""
    if not who.strip():
        return await run_in_threadpool(show_project, site, key, part=part)
    login = who.strip().removeprefix("@")
    try:
        tried = await _try(site, key, login)
    except DispatcherError as error:
        return await run_in_threadpool(show_project, site, key, Entered(problem_of(error), "try"), who=login)
    return await run_in_threadpool(show_project, site, key, who=login, tried=tried)


@router.post("/github/{key}/policy")
def policy(site: Here, key: str, form: Fields) -> Response:
    """Change whom it trusts, and what is written."""
    try:
        with site.database.transaction() as db:
            repo, _ = get_repo(db, key)
            connect.change_policy(db, repo, **_policy(form))
    except DispatcherError as error:
        return show_project(site, key, Entered(problem_of(error), "policy", form))
    return to(f"/github/{key.upper()}")


@router.post("/github/{key}/check")
async def check(site: Here, key: str) -> Response:
    """Try the token, and show what it may do."""
    try:
        rows = await look(site, key)
    except DispatcherError as error:
        return await run_in_threadpool(show_project, site, key, Entered(problem_of(error), "check"))
    return await run_in_threadpool(show_project, site, key, rows=rows)


@router.post("/github/{key}/secret")
def new_secret(site: Here, key: str) -> Response:
    """Make another secret, and show it once."""
    with site.database.reading() as db:
        _, project = get_repo(db, key)
    return show_project(site, key, secret=connect.new_secret(site.settings, project))


@router.post("/github/{key}/catch-up")
def catch_up(site: Here, key: str) -> Response:
    """Have a worker ask GitHub with its next look."""
    with site.database.transaction() as db:
        ask_again(db, get_repo(db, key)[0])
    return to(f"/github/{key.upper()}")


@router.post("/github/{key}/deliveries/{guid}/again")
def again(site: Here, key: str, guid: str) -> Response:
    """Work a failed delivery off once more."""
    with site.database.transaction() as db:
        repo, _ = get_repo(db, key)
        inbox.again(db, repo.id or 0, guid)
    return to(f"/github/{key.upper()}#part-deliveries")


@router.post("/github/{key}/disconnect")
def disconnect(site: Here, key: str, form: Fields) -> Response:
    """Let go of the repository; the key has to be typed."""
    if form.get("confirm", "").strip().upper() != key.upper():
        problem = Problem(422, f"type {key.upper()} to disconnect it", "tickets stay", "confirm")
        return show_project(site, key, Entered(problem, "disconnect", form))
    with site.database.transaction() as db:
        connect.disconnect(db, site.settings, *get_repo(db, key))
    return to("/github")


@router.get("/tickets/{key}/github", name="ticket-github")
def ticket_page(site: Here, key: str, part: str | None = None) -> Response:
    """What GitHub knows of a ticket, and what is to be decided."""
    return show_ticket(site, key, part=part)


@router.post("/tickets/{key}/github/accept")
def accept(site: Here, key: str, form: Fields) -> Response:
    """Accept a stranger's text, as it was read."""
    return _act(site, key, form, lambda db, ticket: sync.accept(db, ticket, acting(), form.get("seen", "")))


@router.post("/tickets/{key}/github/take-edit")
def take_edit(site: Here, key: str, form: Fields) -> Response:
    """Use what was edited on GitHub."""
    return _act(site, key, form, lambda db, ticket: sync.take_edit(db, ticket, form.get("seen", "")))


@router.post("/tickets/{key}/github/keep")
def keep(site: Here, key: str, form: Fields) -> Response:
    """Leave GitHub's edit aside."""
    return _act(site, key, form, lambda db, ticket: sync.keep_ours(db, ticket, form.get("seen", "")))


@router.post("/tickets/{key}/github/pull")
def pull(site: Here, key: str, form: Fields) -> Response:
    """Open a pull request."""
    return _act(site, key, form, pulls.want_pull)


def show_list(site: Site, entered: Entered = NOTHING) -> Response:
    """The list of connections."""
    with site.database.reading() as db:
        cursor = activity.newest(db)
        rows = [
            status.overview(db, site.settings, repo, project) | {"delivered": repo.delivered_at}
            for repo, project in list_repos(db)
        ]
        known = projects.list_projects(db)
    return page("github/list.html", entered.status, entered=entered, rows=rows, projects=known, place="/github", cursor=cursor)


def show_project(
    site: Site,
    key: str,
    entered: Entered = NOTHING,
    *,
    part: str | None = None,
    secret: str = "",
    rows: list[dict[str, Any]] | None = None,
    who: str = "",
    tried: dict[str, Any] | None = None,
) -> Response:
    """A connection's page."""
    with site.database.reading() as db:
        cursor = activity.newest(db)
        repo, project = get_repo(db, key)
        context: dict[str, Any] = {
            "it": status.overview(db, site.settings, repo, project),
            "delivered": repo.delivered_at,
            "pinged": repo.pinged_at,
            "reconciled": repo.reconciled_at,
            "assignees": ", ".join(f"{login}={agent}" for login, agent in repo.assignees.items()),
            "variable": secrets.variable(project.key, "app_key" if repo.app_id else "token"),
            "deliveries": inbox.newest(db, repo.id or 0),
            "letters": [(outbox.words(db, row), row.fault) for row in outbox.newest(db, repo.id or 0) if row.sent_at is None],
        }
    more = {"secret": secret, "rows": rows, "who": who, "tried": tried, "entered": entered, "cursor": cursor}
    return page("github/project.html", entered.status, part=part, place="/github", **context, **more)


def show_ticket(site: Site, key: str, entered: Entered = NOTHING, *, part: str | None = None) -> Response:
    """A ticket's page on GitHub."""
    person = me()
    with site.database.reading() as db:
        cursor = activity.newest(db)
        row = board.get_ticket(db, key)
        source = status.source(db, row)
        place = pulls.workspace(db, row)
        connected = db.exec(select(GitHubRepo.id).where(GitHubRepo.project_id == row.project_id)).first() is not None
        context: dict[str, Any] = {
            "ticket": ticket_out(db, row),
            "source": source,
            "difference": _difference(row, source),
            "branch": place.branch if place else "",
            "connected": connected,
            "may_act": person is None or person.may("member"),
        }
    return page("github/ticket.html", entered.status, part=part, entered=entered, cursor=cursor, **context)


def _difference(ticket: Ticket, source: dict[str, Any] | None) -> list[tuple[str, str]]:
    """The lines of the edited text beside those that run: kept, added, removed."""
    edited = ((source or {}).get("issue") or {}).get("edited")
    if not edited:
        return []
    old, new = ticket.body.splitlines(), str(edited["body"]).splitlines()
    kinds = {" ": "kept", "+": "added", "-": "removed"}
    return [(kinds[line[0]], line[2:]) for line in difflib.ndiff(old, new) if line[0] in kinds]


def _policy(form: dict[str, str]) -> dict[str, Any]:
    rounds = form.get("rounds", "").strip()
    if not rounds.isascii() or not rounds.isdigit() or len(rounds) > 4:
        raise Invalid(f"{rounds[:20]!r} is no number of rounds", "give 0 to 100", "rounds")
    pairs = [text.partition("=") for text in _words(form.get("assignees", ""))]
    if wrong := next((login for login, sign, agent in pairs if not sign or not agent), None):
        raise Invalid(f"{wrong!r} names no agent", "write it as LOGIN=AGENT", "assignees")
    return {
        "permission": form.get("permission", ""),
        "allowed": _words(form.get("allowed", "")),
        "assignees": {login.strip(): agent.strip() for login, _, agent in pairs},
        "triggers": [name for name in TRIGGERS if form.get(f"trigger_{name}") == "yes"],
        "bots": form.get("bots") == "yes",
        "mirror": form.get("mirror") == "yes",
        "pulls": form.get("pulls", ""),
        "rounds": int(rounds),
    }


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.replace("\n", ",").split(",") if word.strip()]


async def _try(site: Site, key: str, login: str) -> dict[str, Any]:
    def load() -> tuple[GitHubRepo, Project]:
        with site.database.reading() as db:
            return get_repo(db, key)

    repo, project = await run_in_threadpool(load)
    connect.check_login(login, "who")
    async with open_hub(site.settings, repo, project.key) as hub:
        return await status.try_sender(hub, repo, login)


def _act(site: Site, key: str, form: dict[str, str], use_case: Any) -> Response:
    def work(db: Session, ticket: Ticket) -> None:
        use_case(db, ticket)

    wrong = do(site, key, "github", form, work)
    return show_ticket(site, key, wrong) if wrong else to(f"/tickets/{key.upper()}/github")
