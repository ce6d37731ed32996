"""`dispatcher endpoint`: the model servers."""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer

from dispatcher.commands.common import Json, Yes, api, changes, confirm, example, group
from dispatcher.commands.output import Column, as_json, facts, listing, moment, note, say

app = group("endpoint", "The model servers that agents work with.")

CHECK_SECONDS = 300.0
"""A large local model may need minutes to load before its first token."""

Name = Annotated[str, typer.Argument(metavar="NAME", help="The endpoint's name.")]


@app.command(
    "add", epilog=example("dispatcher endpoint add local --url http://127.0.0.1:11434/v1 --model qwen3-coder:30b --slots 2")
)
def add(
    name: Name,
    *,
    url: Annotated[str, typer.Option(help="Base URL, ending in /v1 for most servers.")],
    model: Annotated[str, typer.Option(help="The model's name on that server.")],
    key_env: Annotated[str, typer.Option(help="Name of the variable that holds the key; the key itself is not stored.")] = "",
    context: Annotated[int | None, typer.Option(help="Context length in tokens.")] = None,
    output: Annotated[int | None, typer.Option(help="Longest answer in tokens.")] = None,
    slots: Annotated[int, typer.Option(help="Runs that may use it at once.")] = 1,
    as_data: Json = False,
) -> None:
    """Register a model server."""
    body = {
        "name": name,
        "base_url": url,
        "model": model,
        "key_env": key_env,
        "context_length": context,
        "output_length": output,
        "slots": slots,
    }
    with api() as client:
        endpoint = client.post("/endpoints", {field: value for field, value in body.items() if value is not None})
    if as_data:
        as_json(endpoint)
    else:
        say(f"{endpoint['name']}  {endpoint['base_url']} with {endpoint['model']}; try it: dispatcher endpoint check {name}")


@app.command("edit", epilog=example("dispatcher endpoint edit local --slots 4"))
def edit(
    name: Name,
    *,
    url: Annotated[str | None, typer.Option(help="Base URL; refused while runs are on it.")] = None,
    model: Annotated[str | None, typer.Option(help="The model's name on that server.")] = None,
    key_env: Annotated[str | None, typer.Option(help="Name of the variable that holds the key; '' for none.")] = None,
    context: Annotated[int | None, typer.Option(help="Context length in tokens.")] = None,
    output: Annotated[int | None, typer.Option(help="Longest answer in tokens.")] = None,
    slots: Annotated[int | None, typer.Option(help="Runs that may use it at once.")] = None,
    as_data: Json = False,
) -> None:
    """Change a model server."""
    body = {
        "base_url": url,
        "model": model,
        "key_env": key_env,
        "context_length": context,
        "output_length": output,
        "slots": slots,
    }
    with api() as client:
        endpoint = client.patch(f"/endpoints/{name}", changes(body))
    if as_data:
        as_json(endpoint)
    else:
        say(f"{endpoint['name']}  {endpoint['base_url']} with {endpoint['model']}; try it: dispatcher endpoint check {name}")


@app.command("retire", epilog=example("dispatcher endpoint retire local --yes"))
def retire(name: Name, yes: Yes = False) -> None:
    """Offer a model server to no more agents; its history stays. Refused while agents use it."""
    confirm(f"Retire endpoint {name}?", yes=yes)
    with api() as client:
        client.post(f"/endpoints/{name}/retire")
    say(f"retired {name}; bring it back: dispatcher endpoint restore {name}")


@app.command("restore", epilog=example("dispatcher endpoint restore local"))
def restore(name: Name) -> None:
    """Bring a retired model server back."""
    with api() as client:
        client.post(f"/endpoints/{name}/restore")
    say(f"{name} is offered again")


@app.command("list", epilog=example("dispatcher endpoint list", "dispatcher endpoint list --all"))
def list_endpoints(
    every: Annotated[bool, typer.Option("--all", help="With those that are retired.")] = False, as_data: Json = False
) -> None:
    """List the model servers."""
    with api() as client:
        endpoints = client.get("/endpoints", retired=every or None)
    columns = [
        Column("NAME", lambda row: row["name"]),
        Column("MODEL", lambda row: row["model"], cut=True),
        Column("URL", lambda row: row["base_url"], cut=True),
        Column("SLOTS", lambda row: f"{row.get('slots_in_use', 0)}/{row['slots']}"),
        Column("HEALTH", _health),
        Column("CHECKED", lambda row: moment(row.get("checked_at"))),
    ]
    listing(endpoints, columns, json_wanted=as_data, empty="no endpoints yet: dispatcher endpoint discover")


@app.command("check", epilog=example("dispatcher endpoint check local"))
def check(name: Name, as_data: Json = False) -> None:
    """Try a model server: its models, one completion, tool calling, speed. Exit status 1 when it cannot be used."""
    with api() as client:
        if not as_data:
            note(f"asking {name}; a model that is not loaded yet takes a while")
        health = client.post(f"/endpoints/{name}/check", seconds=CHECK_SECONDS)
    if as_data:
        as_json(health)
    else:
        facts((key.replace("_", " "), _shown(value)) for key, value in health.items())
    if not health["ok"]:
        raise typer.Exit(1)


@app.command("discover", epilog=example("dispatcher endpoint discover --add"))
def discover(
    add_all: Annotated[bool, typer.Option("--add", help="Register what was found.")] = False, as_data: Json = False
) -> None:
    """Look for model servers at the usual ports of this machine."""
    with api() as client:
        found = client.post("/endpoints/discover")
        added = _register(client, found) if add_all else []
    columns = [
        Column("SERVER", lambda row: row["product"]),
        Column("URL", lambda row: row["base_url"]),
        Column("MODELS", lambda row: [model["name"] for model in row["models"]], cut=True),
        Column("", lambda row: "added" if row["base_url"] in added else ""),
    ]
    empty = "found none; start Ollama, LM Studio, vLLM, llama.cpp, SGLang or LiteLLM, or use: dispatcher endpoint add"
    listing(found, columns, json_wanted=as_data, empty=empty)


@app.command("remove", epilog=example("dispatcher endpoint remove local --yes"))
def remove(name: Name, yes: Yes = False) -> None:
    """Remove a model server from the dispatcher."""
    confirm(f"Remove endpoint {name}?", yes=yes)
    with api() as client:
        client.delete(f"/endpoints/{name}")
    say(f"removed {name}")


def _register(client: Any, found: list[dict[str, Any]]) -> list[str]:
    """Add each server that has a model and is not there yet, under its own name; gives the URLs that were added."""
    known = client.get("/endpoints", retired=True)
    urls, names = {entry["base_url"] for entry in known}, {entry["name"] for entry in known}
    added = []
    for server in found:
        if server["base_url"] in urls or not server["models"]:
            continue
        base = re.sub(r"[^a-z0-9]+", "-", str(server["product"]).lower()).strip("-")
        name = next(name for name in (base, *(f"{base}-{number}" for number in range(2, 1000))) if name not in names)
        model = server["models"][0]
        body = {"name": name, "base_url": server["base_url"], "model": model["name"], "slots": server["slots"] or 1}
        client.post("/endpoints", body | ({"context_length": model["context_length"]} if model["context_length"] else {}))
        names.add(name)
        added.append(server["base_url"])
    return added


def _health(row: dict[str, Any]) -> str:
    if row.get("retired_at"):
        return "retired"
    health = row.get("health")
    return "not checked" if not health else "usable" if health["ok"] else "not usable"


def _shown(value: object) -> object:
    return f"{value:.1f}" if isinstance(value, float) else value if not isinstance(value, dict) else str(value)
