"""`dispatcher agent`: a harness, an endpoint, a model, instructions and limits under one name."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dispatcher.commands.common import Json, Yes, api, changes, confirm, example, group
from dispatcher.commands.output import Column, as_json, facts, listing, moment, say, span

app = group("agent", "Who tickets are assigned to: a harness with a model, instructions and limits.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The agent's name.")]


@app.command("add", epilog=example("dispatcher agent add coder --harness opencode --endpoint local --max-seconds 7200"))
def add(
    name: Name,
    *,
    harness: Annotated[str, typer.Option(help="opencode, aider or goose.")],
    endpoint: Annotated[str, typer.Option(help="The model server, by name.")],
    model: Annotated[str, typer.Option(help="Another model of that server than its own.")] = "",
    instructions: Annotated[str, typer.Option(help="Added to every prompt; @FILE reads them from a file.")] = "",
    max_seconds: Annotated[float | None, typer.Option(help="Seconds that a run may take.")] = None,
    max_silence: Annotated[float | None, typer.Option(help="Seconds that it may be silent.")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Tokens that a run may use; 0: any number.")] = None,
    max_turns: Annotated[int | None, typer.Option(help="Answers of the model in a run.")] = None,
    as_data: Json = False,
) -> None:
    """Add an agent."""
    body = {
        "name": name,
        "harness": harness,
        "endpoint": endpoint,
        "model": model,
        "instructions": _text(instructions),
        "max_seconds": max_seconds,
        "max_silence": max_silence,
        "max_tokens": max_tokens,
        "max_turns": max_turns,
    }
    with api() as client:
        agent = client.post("/agents", {field: value for field, value in body.items() if value is not None})
    if as_data:
        as_json(agent)
    else:
        say(f"{agent['name']}  {agent['harness']} on {agent['endpoint']}")


@app.command("edit", epilog=example("dispatcher agent edit coder --model qwen3-coder:480b --max-seconds 7200"))
def edit(
    name: Name,
    *,
    harness: Annotated[str | None, typer.Option(help="opencode, aider or goose; refused while it has live runs.")] = None,
    endpoint: Annotated[str | None, typer.Option(help="The model server, by name.")] = None,
    model: Annotated[str | None, typer.Option(help="Another model of that server; '' for its own.")] = None,
    instructions: Annotated[str | None, typer.Option(help="Added to every prompt; @FILE reads them from a file.")] = None,
    max_seconds: Annotated[float | None, typer.Option(help="Seconds that a run may take.")] = None,
    max_silence: Annotated[float | None, typer.Option(help="Seconds that it may be silent.")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Tokens that a run may use; 0: any number.")] = None,
    max_turns: Annotated[int | None, typer.Option(help="Answers of the model in a run.")] = None,
    as_data: Json = False,
) -> None:
    """Change an agent; runs under way keep what they began with."""
    body = {
        "harness": harness,
        "endpoint": endpoint,
        "model": model,
        "instructions": None if instructions is None else _text(instructions),
        "max_seconds": max_seconds,
        "max_silence": max_silence,
        "max_tokens": max_tokens,
        "max_turns": max_turns,
    }
    with api() as client:
        agent = client.patch(f"/agents/{name}", changes(body))
    if as_data:
        as_json(agent)
    else:
        say(f"{agent['name']}  {agent['harness']} on {agent['endpoint']}")


@app.command("retire", epilog=example("dispatcher agent retire coder --yes"))
def retire(name: Name, yes: Yes = False) -> None:
    """Assign no more to an agent; its live runs go on, its history stays."""
    confirm(f"Retire agent {name}?", yes=yes)
    with api() as client:
        client.post(f"/agents/{name}/retire")
    say(f"retired {name}; bring it back: dispatcher agent restore {name}")


@app.command("restore", epilog=example("dispatcher agent restore coder"))
def restore(name: Name) -> None:
    """Bring a retired agent back."""
    with api() as client:
        client.post(f"/agents/{name}/restore")
    say(f"{name} takes work again")


@app.command("list", epilog=example("dispatcher agent list", "dispatcher agent list --all"))
def list_agents(
    every: Annotated[bool, typer.Option("--all", help="With those that are retired.")] = False, as_data: Json = False
) -> None:
    """List the agents."""
    with api() as client:
        agents = client.get("/agents", retired=every or None)
    columns = [
        Column("NAME", lambda row: row["name"]),
        Column("HARNESS", lambda row: row["harness"]),
        Column("ENDPOINT", lambda row: row["endpoint"]),
        Column("MODEL", lambda row: row["model"], cut=True),
        Column("TIME", lambda row: span(row["max_seconds"])),
        *([Column("", lambda row: "retired" if row["retired_at"] else "")] if every else []),
    ]
    empty = "no agents yet: dispatcher agent add NAME --harness opencode --endpoint NAME"
    listing(agents, columns, json_wanted=as_data, empty=empty)


@app.command("show", epilog=example("dispatcher agent show coder"))
def show(name: Name, as_data: Json = False) -> None:
    """Show one agent."""
    with api() as client:
        agent = client.get(f"/agents/{name}")
    if as_data:
        as_json(agent)
        return
    facts(
        [
            ("name", agent["name"]),
            ("harness", agent["harness"]),
            ("endpoint", agent["endpoint"]),
            ("model", agent["model"]),
            ("time", span(agent["max_seconds"])),
            ("silence", span(agent["max_silence"])),
            ("tokens", agent["max_tokens"] or "any number"),
            ("turns", agent["max_turns"]),
            ("retired", moment(agent["retired_at"])),
            ("instructions", agent["instructions"]),
        ]
    )


@app.command("remove", epilog=example("dispatcher agent remove coder --yes"))
def remove(name: Name, yes: Yes = False) -> None:
    """Remove an agent."""
    confirm(f"Remove agent {name}?", yes=yes)
    with api() as client:
        client.delete(f"/agents/{name}")
    say(f"removed {name}")


def _text(given: str) -> str:
    """Instructions as they were given, or the file's that is named."""
    return Path(given[1:]).expanduser().read_text(encoding="utf-8") if given.startswith("@") else given
