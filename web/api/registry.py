"""API: projects, endpoints, harnesses and agents."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool

from dispatcher import agents, endpoints, harnesses, projects
from dispatcher.discovery import Found
from dispatcher.errors import DispatcherError
from dispatcher.models import Endpoint, Project
from dispatcher.probing import Health
from web.schemas import AgentOut, EndpointOut, NewAgent, NewEndpoint, NewProject, ProjectOut
from web.site import Here, Site
from web.views import agent_out, endpoint_out, project_out

router = APIRouter()


@router.get("/projects", tags=["projects"], summary="List the projects")
def list_projects(site: Here) -> list[ProjectOut]:
    """Every project, with the number of its tickets in each state."""
    with site.database.reading() as db:
        return [project_out(db, project) for project in projects.list_projects(db)]


@router.post("/projects", tags=["projects"], summary="Add a project", status_code=201)
def add_project(site: Here, body: NewProject) -> ProjectOut:
    """Take a git repository on this machine under care."""
    with site.database.transaction() as db:
        project = projects.add_project(db, **body.model_dump())
        added = project_out(db, project)
    return added.model_copy(update={"notes": projects.project_notes(project)})


@router.get("/projects/{key}", tags=["projects"], summary="Show a project")
def get_project(site: Here, key: str) -> ProjectOut:
    """One project."""
    with site.database.reading() as db:
        project = projects.get_project(db, key)
        shown = project_out(db, project)
    return shown.model_copy(update={"notes": _notes(project)})


@router.delete("/projects/{key}", tags=["projects"], summary="Remove a project", status_code=204)
def remove_project(site: Here, key: str) -> None:
    """Let a project go with its closed tickets, worktrees and branches; the repository stays."""
    projects.remove_project(site.database, site.settings, key)


@router.get("/endpoints", tags=["endpoints"], summary="List the endpoints")
def list_endpoints(site: Here) -> list[EndpointOut]:
    """Every endpoint, with its slots in use and what its last check found."""
    with site.database.reading() as db:
        return [endpoint_out(db, endpoint) for endpoint in endpoints.list_endpoints(db)]


@router.post("/endpoints", tags=["endpoints"], summary="Add an endpoint", status_code=201)
def add_endpoint(site: Here, body: NewEndpoint) -> EndpointOut:
    """Register a model server."""
    with site.database.transaction() as db:
        return endpoint_out(db, endpoints.add_endpoint(db, **body.model_dump()))


@router.post("/endpoints/discover", tags=["endpoints"], summary="Find model servers on this machine")
async def discover_endpoints() -> list[Found]:
    """Ask the usual local ports of Ollama, LM Studio, vLLM, llama.cpp, SGLang and LiteLLM."""
    return await endpoints.discover()


@router.delete("/endpoints/{name}", tags=["endpoints"], summary="Remove an endpoint", status_code=204)
def remove_endpoint(site: Here, name: str) -> None:
    """Refused while an agent uses it."""
    with site.database.transaction() as db:
        endpoints.remove_endpoint(db, endpoints.get_endpoint(db, name))


@router.post("/endpoints/{name}/check", tags=["endpoints"], summary="Check an endpoint")
async def check_endpoint(site: Here, name: str) -> Health:
    """List its models, complete once, call one tool; what was found is kept with the endpoint."""
    health = await endpoints.check(await run_in_threadpool(_find, site, name))
    await run_in_threadpool(_keep, site, name, health)
    return health


@router.get("/harnesses", tags=["harnesses"], summary="List the harnesses")
def list_harnesses(site: Here) -> list[dict[str, Any]]:
    """Every harness, with the binary that this machine's runs use."""
    return [row.to_json() for row in harnesses.list_harnesses(site.settings.harness_root)]


@router.get("/agents", tags=["agents"], summary="List the agents")
def list_agents(site: Here) -> list[AgentOut]:
    """Every agent."""
    with site.database.reading() as db:
        return [agent_out(db, agent) for agent in agents.list_agents(db)]


@router.post("/agents", tags=["agents"], summary="Add an agent", status_code=201)
def add_agent(site: Here, body: NewAgent) -> AgentOut:
    """Put a harness, an endpoint and limits under one name."""
    with site.database.transaction() as db:
        return agent_out(db, agents.add_agent(db, **body.model_dump()))


@router.get("/agents/{name}", tags=["agents"], summary="Show an agent")
def get_agent(site: Here, name: str) -> AgentOut:
    """One agent."""
    with site.database.reading() as db:
        return agent_out(db, agents.get_agent(db, name))


@router.delete("/agents/{name}", tags=["agents"], summary="Remove an agent", status_code=204)
def remove_agent(site: Here, name: str) -> None:
    """Refused while tickets have it."""
    with site.database.transaction() as db:
        agents.remove_agent(db, agents.get_agent(db, name))


def _notes(project: Project) -> list[str]:
    """The notes, or why there are none: a repository that is gone shall still be shown, and be removable."""
    try:
        return projects.project_notes(project)
    except DispatcherError as error:
        return [error.line()]


def _find(site: Site, name: str) -> Endpoint:
    with site.database.reading() as db:
        return endpoints.get_endpoint(db, name)


def _keep(site: Site, name: str, health: Health) -> None:
    with site.database.transaction() as db:
        endpoints.record_health(db, endpoints.get_endpoint(db, name), health)
