"""API: a project's connection to GitHub, its deliveries, and what tickets from there need of a person."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field
from sqlmodel import Session

from dispatcher import board
from dispatcher.actor import acting
from dispatcher.github import connect, inbox, pulls, secrets, status, sync
from dispatcher.github.client import connect as open_hub
from dispatcher.github.work import get_repo, list_repos
from dispatcher.models import GitHubDelivery, GitHubRepo, Project, Ticket
from web.schemas import TicketOut
from web.site import Here, Site
from web.views import ticket_out

router = APIRouter(tags=["github"])


class Connection(BaseModel):
    """A repository on GitHub. With an App give its number and the installation's, else a token is used."""

    model_config = ConfigDict(extra="forbid")

    repository: str = Field(max_length=300, description="owner/name, or its address")
    api_url: str = Field("", max_length=300, description="of a GitHub Enterprise server: https://HOST/api/v3")
    app_id: str = Field("", max_length=40)
    installation_id: str = Field("", max_length=40)
    import_open: bool = Field(False, description="make tickets of the issues that are open already")


class Policy(BaseModel):
    """Who may start runs, by what, and what is written to GitHub; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    permission: str | None = Field(None, description="write, maintain, admin, or none for the allowlist alone")
    allowed: list[str] | None = Field(None, max_length=200)
    bots: bool | None = None
    triggers: list[str] | None = Field(None, description="of label, comment, assign")
    assignees: dict[str, str] | None = Field(None, description="agents by the login that stands for them")
    mirror: bool | None = None
    pulls: str | None = Field(None, description="approve, ready, ask or never")
    rounds: int | None = None


class Seen(BaseModel):
    """The digest of the text that was read; without it, the text of now."""

    model_config = ConfigDict(extra="forbid")

    seen: str | None = None


@router.get("/github", summary="List connections to GitHub")
def list_connections(site: Here) -> list[dict[str, Any]]:
    """Of each project that is connected what it is set to, how it does, and whom it trusts."""
    with site.database.reading() as db:
        return [status.overview(db, site.settings, repo, project) for repo, project in list_repos(db)]


@router.get("/projects/{key}/github", summary="Show the connection to GitHub")
def get_connection(site: Here, key: str) -> dict[str, Any]:
    """What it is set to, how it does, and whom it trusts."""
    with site.database.reading() as db:
        repo, project = get_repo(db, key)
        return status.overview(db, site.settings, repo, project)


@router.put("/projects/{key}/github", summary="Connect to GitHub")
def put_connection(site: Here, key: str, body: Connection) -> dict[str, Any]:
    """Connect the project, or change the connection; tells the webhook's secret, once more each time."""
    with site.database.transaction() as db:
        repo = connect.connect_repo(db, site.settings, key, **body.model_dump())
        project = db.get_one(Project, repo.project_id)
        told = status.overview(db, site.settings, repo, project)
    return told | {"secret": secrets.read(site.settings, project.key, "secret")}


@router.patch("/projects/{key}/github", summary="Change whom it trusts")
def patch_connection(site: Here, key: str, body: Policy) -> dict[str, Any]:
    """Change what is given."""
    with site.database.transaction() as db:
        repo, project = get_repo(db, key)
        connect.change_policy(db, repo, **body.model_dump(exclude_unset=True))
        return status.overview(db, site.settings, repo, project)


@router.delete("/projects/{key}/github", summary="Disconnect", status_code=204)
def delete_connection(site: Here, key: str) -> None:
    """Let go of the repository; tickets stay."""
    with site.database.transaction() as db:
        connect.disconnect(db, site.settings, *get_repo(db, key))


@router.post("/projects/{key}/github/secret", summary="Make another secret for the webhook")
def post_secret(site: Here, key: str) -> dict[str, str]:
    """From now on only deliveries that are signed with it count."""
    with site.database.reading() as db:
        _, project = get_repo(db, key)
    return {"secret": connect.new_secret(site.settings, project), "hook_url": connect.hook_url(site.settings, project)}


@router.post("/projects/{key}/github/check", summary="Try the token")
async def check(site: Here, key: str) -> list[dict[str, Any]]:
    """What the token may do, asked of GitHub without changing anything there."""
    return await look(site, key)


@router.get("/projects/{key}/github/trust/{login}", summary="Try a login")
async def try_login(site: Here, key: str, login: str) -> dict[str, Any]:
    """Whether that person could start a run now, and why; nothing is started."""
    repo, project = await run_in_threadpool(_repo, site, key)
    connect.check_login(login, "login")
    async with open_hub(site.settings, repo, project.key) as hub:
        return await status.try_sender(hub, repo, login)


@router.get("/projects/{key}/github/deliveries", summary="List deliveries")
def list_deliveries(site: Here, key: str, limit: Annotated[int, Query(ge=1, le=500)] = 50) -> list[dict[str, Any]]:
    """The newest deliveries, and what came of each."""
    with site.database.reading() as db:
        repo, _ = get_repo(db, key)
        return [_delivery(row) for row in inbox.newest(db, repo.id or 0, limit)]


@router.post("/projects/{key}/github/deliveries/{guid}/again", summary="Work a failed delivery off again", status_code=204)
def again(site: Here, key: str, guid: str) -> None:
    """It waits again, and is worked off with the next look."""
    with site.database.transaction() as db:
        repo, _ = get_repo(db, key)
        inbox.again(db, repo.id or 0, guid)


@router.post("/projects/{key}/github/catch-up", summary="Ask GitHub for what was missed", status_code=204)
def catch_up(site: Here, key: str) -> None:
    """With a worker's next look, whatever the schedule says."""
    with site.database.transaction() as db:
        ask_again(db, get_repo(db, key)[0])


@router.get("/tickets/{key}/github", summary="Show where a ticket came from")
def get_source(site: Here, key: str) -> dict[str, Any] | None:
    """Its issue with the text exactly as agents get it, what was edited since, and its pull request."""
    with site.database.reading() as db:
        return status.source(db, board.get_ticket(db, key))


@router.post("/tickets/{key}/github/accept", summary="Accept a stranger's issue")
def accept(site: Here, key: str, body: Seen) -> TicketOut:
    """Take its text for good, so that it can be assigned."""
    return _act(site, key, lambda db, ticket: sync.accept(db, ticket, acting(), body.seen))


@router.post("/tickets/{key}/github/take-edit", summary="Take an edit over")
def take_edit(site: Here, key: str, body: Seen) -> TicketOut:
    """The ticket gets the issue's text of now."""
    return _act(site, key, lambda db, ticket: sync.take_edit(db, ticket, body.seen or ""))


@router.post("/tickets/{key}/github/pull", summary="Open a pull request")
def pull(site: Here, key: str) -> TicketOut:
    """Push the branch of a ticket in review and open a pull request, or bring the open one up to date."""
    return _act(site, key, pulls.want_pull)


async def look(site: Site, key: str) -> list[dict[str, Any]]:
    """Try the token, and write down who we are there; also what GitHub says of the webhook, where it tells."""
    repo, project = await run_in_threadpool(_repo, site, key)
    async with open_hub(site.settings, repo, project.key) as hub:
        rows = await connect.try_out(hub)
        hook = await connect.look_at_hook(hub, connect.hook_url(site.settings, project))
    await run_in_threadpool(_learn, site, repo.id or 0, rows)
    return rows + ([hook] if hook is not None else [])


def ask_again(db: Session, repo: GitHubRepo) -> None:
    """Make the catch-up due, and end a pause."""
    repo.reconciled_at, repo.paused_until = None, None
    db.add(repo)


def _learn(site: Site, repo_id: int, rows: list[dict[str, Any]]) -> None:
    with site.database.transaction() as db:
        connect.learn(db, repo_id, rows, fine=all(row["ok"] for row in rows))


def _repo(site: Site, key: str) -> tuple[GitHubRepo, Project]:
    with site.database.reading() as db:
        return get_repo(db, key)


def _act(site: Site, key: str, use_case: Any) -> TicketOut:
    with site.database.transaction() as db:
        ticket: Ticket = board.get_ticket(db, key)
        use_case(db, ticket)
        return ticket_out(db, ticket)


def _delivery(row: GitHubDelivery) -> dict[str, Any]:
    shown = ("guid", "event", "action", "sender", "number", "state", "note", "attempts")
    times = {"received_at": row.received_at.isoformat(), "done_at": row.done_at.isoformat() if row.done_at else None}
    return {name: getattr(row, name) for name in shown} | times
