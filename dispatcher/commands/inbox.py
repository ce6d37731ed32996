"""`dispatcher inbox`: what waits for a person."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from dispatcher.commands.common import Json, api, example
from dispatcher.commands.output import Column, as_json, changed, for_people, listing, moment, note, say


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("inbox", epilog=example("dispatcher inbox --project WEB"))(inbox)


def inbox(
    *,
    project: Annotated[str | None, typer.Option("--project", "-p", metavar="KEY", help="Of that project.")] = None,
    as_data: Json = False,
) -> None:
    """List what waits for a person: blocked tickets, tickets in review, and what keeps queued runs from beginning."""
    with api() as client:
        found = client.get("/inbox", project=project)
    if as_data:
        as_json(found)
        return
    for fault in found["faults"]:
        say(fault["text"], "red")
        note(f"hint: {fault['hint']}")
    if found["faults"] and for_people():
        say()
    columns = [
        Column("KEY", lambda row: row["ticket"]["key"]),
        Column("STATE", lambda row: row["ticket"]["state"], state=True),
        Column("SINCE", lambda row: moment(row["since"])),
        Column("WHY", _why, cut=True),
        Column("TITLE", lambda row: row["ticket"]["title"], cut=True),
    ]
    listing([*found["blocked"], *found["review"]], columns, json_wanted=False, empty="no ticket waits for you")


def _why(row: dict[str, Any]) -> str:
    ticket = row["ticket"]
    if blocker := ticket["blocker"]:
        return f"{blocker['kind']}: {blocker['text']}"
    return ", ".join(part for part in (changed(ticket), f"checks {ticket['check']}" if ticket["check"] else "") if part)
