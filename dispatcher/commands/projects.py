"""`dispatcher project`: the git repositories under the dispatcher's care."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from dispatcher.commands.common import Json, Yes, api, changes, confirm, example, group
from dispatcher.commands.output import Column, as_json, facts, listing, say

app = group("project", "The git repositories under the dispatcher's care.")

Key = Annotated[str, typer.Argument(metavar="KEY", help="The project's key, for example WEB.")]


class Merge(StrEnum):
    """How an approved branch gets into its target."""

    merge = "merge"
    squash = "squash"
    ff = "ff"


class Sandbox(StrEnum):
    """What agents, set-up and checks run in."""

    strict = "strict"
    landlock = "landlock"
    none = "none"


Tier = Annotated[Sandbox | None, typer.Option(help="What agents, set-up and checks run in; default: DISPATCHER_SANDBOX.")]
Read = Annotated[list[str] | None, typer.Option(metavar="PATH", help="Further path that the sandbox lets be read; repeatable.")]
Write = Annotated[list[str] | None, typer.Option(metavar="PATH", help="Further path that it lets be written; repeatable.")]
Hosts = Annotated[list[str] | None, typer.Option("--host", metavar="NAME:PORT", help="Further host to reach; repeatable.")]
SetupHosts = Annotated[
    list[str] | None, typer.Option("--setup-host", metavar="NAME:PORT", help="One that the set-up alone reaches; repeatable.")
]


@app.command("add", epilog=example("dispatcher project add ~/src/shop --key SHOP --check 'make test'"))
def add(
    path: Annotated[Path, typer.Argument(help="The repository.")] = Path(),
    *,
    key: Annotated[str | None, typer.Option(help="Begins its tickets' keys; default: from the folder's name.")] = None,
    name: Annotated[str | None, typer.Option(help="What people call it; default: the folder's name.")] = None,
    branch: Annotated[
        str | None, typer.Option(help="The branch that tickets start from; default: the checked out one.")
    ] = None,
    check: Annotated[str, typer.Option(help="Command that must pass before a ticket is ready for review.")] = "",
    setup: Annotated[str, typer.Option(help="Command that makes a new workspace ready, run once in each.")] = "",
    merge: Annotated[Merge, typer.Option(help="How approved branches are merged.")] = Merge.merge,
    sandbox: Tier = None,
    read: Read = None,
    write: Write = None,
    host: Hosts = None,
    setup_host: SetupHosts = None,
    as_data: Json = False,
) -> None:
    """Take a git repository under the dispatcher's care."""
    body = {
        "path": str(path.expanduser().absolute()),
        "key": key,
        "name": name,
        "default_branch": branch,
        "check_command": check,
        "setup_command": setup,
        "merge_method": merge.value,
        "sandbox": None if sandbox is None else sandbox.value,
        "reach": _reach({}, read=read, write=write, hosts=host, setup_hosts=setup_host),
    }
    with api() as client:
        project = client.post("/projects", {field: value for field, value in body.items() if value is not None})
    if as_data:
        as_json(project)
    else:
        say(f"{project['key']}  {project['path']} on {project['default_branch']}")


@app.command("edit", epilog=example("dispatcher project edit SHOP --check 'make test lint'"))
def edit(
    key: Key,
    *,
    path: Annotated[
        Path | None, typer.Option(help="Where the repository is now; refused while tickets have worktrees.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="What people call it.")] = None,
    branch: Annotated[str | None, typer.Option(help="The branch that tickets start from.")] = None,
    check: Annotated[str | None, typer.Option(help="Command that must pass before review; '' for none.")] = None,
    setup: Annotated[str | None, typer.Option(help="Command that makes a new workspace ready; '' for none.")] = None,
    merge: Annotated[Merge | None, typer.Option(help="How approved branches are merged.")] = None,
    sandbox: Tier = None,
    read: Read = None,
    write: Write = None,
    host: Hosts = None,
    setup_host: SetupHosts = None,
    as_data: Json = False,
) -> None:
    """Change a project; tickets that have begun keep the branch that they began with. An empty --host clears that list."""
    body: dict[str, Any] = {
        "path": None if path is None else str(path.expanduser().absolute()),
        "name": name,
        "default_branch": branch,
        "check_command": check,
        "setup_command": setup,
        "merge_method": None if merge is None else merge.value,
        "sandbox": None if sandbox is None else sandbox.value,
    }
    lists = {"read": read, "write": write, "hosts": host, "setup_hosts": setup_host}
    with api() as client:
        if any(given is not None for given in lists.values()):
            body["reach"] = _reach(client.get(f"/projects/{key}")["reach"], **lists)
        project = client.patch(f"/projects/{key}", changes(body))
    if as_data:
        as_json(project)
    else:
        say(f"{project['key']}  {project['path']} on {project['default_branch']}")


@app.command("list", epilog=example("dispatcher project list --json"))
def list_projects(as_data: Json = False) -> None:
    """List the projects."""
    with api() as client:
        projects = client.get("/projects")
    columns = [
        Column("KEY", lambda row: row["key"]),
        Column("BRANCH", lambda row: row["default_branch"]),
        Column("CHECK", lambda row: row["check_command"], cut=True),
        Column("PATH", lambda row: row["path"], cut=True),
    ]
    listing(projects, columns, json_wanted=as_data, empty="no projects yet: dispatcher project add PATH")


@app.command("show", epilog=example("dispatcher project show SHOP"))
def show(key: Key, as_data: Json = False) -> None:
    """Show one project."""
    with api() as client:
        project = client.get(f"/projects/{key}")
    if as_data:
        as_json(project)
        return
    facts(
        [
            ("key", project["key"]),
            ("name", project["name"]),
            ("path", project["path"]),
            ("branch", project["default_branch"]),
            ("check", project["check_command"]),
            ("setup", project["setup_command"]),
            ("merge", project["merge_method"]),
            ("sandbox", project["sandbox"]),
            *(
                (name.replace("_", "-"), ", ".join(project["reach"][name]))
                for name in ("read", "write", "hosts", "setup_hosts")
            ),
        ]
    )


@app.command("remove", epilog=example("dispatcher project remove SHOP --yes"))
def remove(key: Key, yes: Yes = False) -> None:
    """Remove a project from the dispatcher; the repository itself stays as it is."""
    with api() as client:
        project = client.get(f"/projects/{key}")
        confirm(f"Remove project {project['key']} ({project['path']}) and its tickets?", yes=yes)
        client.delete(f"/projects/{project['key']}")
    say(f"removed {project['key']}; the repository stays")


def _reach(now: dict[str, list[str]], **given: list[str] | None) -> dict[str, list[str]]:
    """The lists as they are, with those that were given in their place; an empty entry clears a list."""
    return now | {name: [entry for entry in entries if entry] for name, entries in given.items() if entries is not None}
