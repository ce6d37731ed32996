"""API: projects, endpoints, harnesses and agents."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.concurrency import run_in_threadpool

from dispatcher import agents, endpoints, harnesses, projects, retiring, roster
from dispatcher.discovery import Found, ports_of
from dispatcher.errors import DispatcherError
from dispatcher.models import Endpoint, Project
from dispatcher.probing import Health
from web.fleet_schemas import EditAgent, EditEndpoint, EditProject
from web.schemas import AgentOut, EndpointOut, NewAgent, NewEndpoint, NewProject, ProjectOut
from web.site import Here, Site
from web.views import agent_out, endpoint_out, project_out

router = APIRouter()

Retired = Annotated[bool, Query(description="with those that are retired")]


@router.get("/projects", tags=["projects"], summary="List the projects")
def list_projects(site: Here) -> list[ProjectOut]:
    """Every project, with the number of its tickets in each state."""
    with site.database.reading() as db:
        return [project_out(db, project) for project in projects.list_projects(db)]


@router.post("/projects", tags=["projects"], summary="Add a project", status_code=201)
def add_project(site: Here, body: NewProject) -> ProjectOut:
    """Take a git repository on this machine under care."""
    with site.database.transaction() as db:
        given = body.model_dump() | {"sandbox": body.sandbox or site.settings.sandbox, "reach": body.reach}
        project = projects.add_project(db, **given)
        added = project_out(db, project)
    return added.model_copy(update={"notes": projects.project_notes(project)})


@router.get("/projects/{key}", tags=["projects"], summary="Show a project")
def get_project(site: Here, key: str) -> ProjectOut:
    """One project."""
    with site.database.reading() as db:
        project = projects.get_project(db, key)
        shown = project_out(db, project)
    return shown.model_copy(update={"notes": _notes(project)})


@router.patch("/projects/{key}", tags=["projects"], summary="Change a project")
def edit_project(site: Here, key: str, body: EditProject) -> ProjectOut:
    """Change what is given; work that has begun keeps the branch that it began with."""
    project = projects.edit_project(site.database, key, **(body.model_dump() | {"reach": body.reach}))
    with site.database.reading() as db:
        return project_out(db, project)


@router.delete("/projects/{key}", tags=["projects"], summary="Remove a project", status_code=204)
def remove_project(site: Here, key: str) -> None:
    """Let a project go with its closed tickets, worktrees and branches; the repository stays."""
    projects.remove_project(site.database, site.settings, key)


@router.get("/endpoints", tags=["endpoints"], summary="List the endpoints")
def list_endpoints(site: Here, retired: Retired = False) -> list[EndpointOut]:
    """Every endpoint, with its slots in use and what its last check found."""
    with site.database.reading() as db:
        return [endpoint_out(db, endpoint) for endpoint in endpoints.list_endpoints(db, retired=retired)]


@router.post("/endpoints", tags=["endpoints"], summary="Add an endpoint", status_code=201)
async def add_endpoint(site: Here, body: NewEndpoint) -> EndpointOut:
    """Register a model server."""
    await endpoints.check_address(body.base_url)
    return await run_in_threadpool(_add_endpoint, site, body)


def _add_endpoint(site: Site, body: NewEndpoint) -> EndpointOut:
    with site.database.transaction() as db:
        return endpoint_out(db, endpoints.add_endpoint(db, **body.model_dump()))


@router.post("/endpoints/discover", tags=["endpoints"], summary="Find model servers on this machine")
async def discover_endpoints(site: Here) -> list[Found]:
    """Ask the usual local ports of Ollama, LM Studio, vLLM, llama.cpp, SGLang and LiteLLM, and DISPATCHER_DISCOVERY_PORTS."""
    return await endpoints.discover(ports_of(site.settings.discovery_ports))


@router.get("/endpoints/{name}", tags=["endpoints"], summary="Show an endpoint")
def get_endpoint(site: Here, name: str) -> EndpointOut:
    """One endpoint."""
    with site.database.reading() as db:
        return endpoint_out(db, endpoints.get_endpoint(db, name))


@router.patch("/endpoints/{name}", tags=["endpoints"], summary="Change an endpoint")
async def edit_endpoint(site: Here, name: str, body: EditEndpoint) -> EndpointOut:
    """Change what is given; address and key stay while runs are on it."""
    await endpoints.check_address(body.base_url or "")
    return await run_in_threadpool(_edit_endpoint, site, name, body)


def _edit_endpoint(site: Site, name: str, body: EditEndpoint) -> EndpointOut:
    with site.database.transaction() as db:
        endpoint = endpoints.get_endpoint(db, name)
        return endpoint_out(db, endpoints.edit_endpoint(db, endpoint, **body.model_dump()))


@router.post("/endpoints/{name}/retire", tags=["endpoints"], summary="Retire an endpoint")
def retire_endpoint(site: Here, name: str) -> EndpointOut:
    """Offer it no more; its history stays. Refused while agents use it."""
    with site.database.transaction() as db:
        return endpoint_out(db, retiring.retire_endpoint(db, name))


@router.post("/endpoints/{name}/restore", tags=["endpoints"], summary="Bring an endpoint back")
def restore_endpoint(site: Here, name: str) -> EndpointOut:
    """Offer a retired endpoint again."""
    with site.database.transaction() as db:
        return endpoint_out(db, retiring.restore_endpoint(db, name))


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
def list_agents(site: Here, retired: Retired = False) -> list[AgentOut]:
    """Every agent that tickets may be assigned to."""
    with site.database.reading() as db:
        return [agent_out(db, agent) for agent in agents.list_agents(db, retired=retired)]


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


@router.patch("/agents/{name}", tags=["agents"], summary="Change an agent")
def edit_agent(site: Here, name: str, body: EditAgent) -> AgentOut:
    """Change what is given; a run under way keeps what it began with."""
    with site.database.transaction() as db:
        return agent_out(db, agents.edit_agent(db, agents.get_agent(db, name), **body.model_dump()))


@router.post("/agents/{name}/retire", tags=["agents"], summary="Retire an agent")
def retire_agent(site: Here, name: str) -> AgentOut:
    """Assign no more to it; its live runs go on, its history stays."""
    with site.database.transaction() as db:
        return agent_out(db, retiring.retire_agent(db, name))


@router.post("/agents/{name}/restore", tags=["agents"], summary="Bring an agent back")
def restore_agent(site: Here, name: str) -> AgentOut:
    """Offer a retired agent again."""
    with site.database.transaction() as db:
        return agent_out(db, retiring.restore_agent(db, name))


@router.delete("/agents/{name}", tags=["agents"], summary="Remove an agent", status_code=204)
def remove_agent(site: Here, name: str) -> None:
    """Refused while tickets have it."""
    with site.database.transaction() as db:
        agents.remove_agent(db, agents.get_agent(db, name))


@router.delete("/workers/{name}", tags=["status"], summary="Forget a worker", status_code=204)
def forget_worker(site: Here, name: str) -> None:
    """Take a dead worker off the list; refused while it lives or has runs in hand."""
    with site.database.transaction() as db:
        roster.forget(db, name)


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
