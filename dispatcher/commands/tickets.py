"""`dispatcher ticket`: the work on the board."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dispatcher.commands.common import Json, Usage, Wait, api, example, group, warn_without_worker
from dispatcher.commands.output import (
    Column,
    as_json,
    changed,
    clean,
    console,
    facts,
    for_people,
    listing,
    moment,
    note,
    one_line,
    say,
)
from dispatcher.commands.progress import settle, wait
from dispatcher.errors import DispatcherError
from dispatcher.states import TicketState

if TYPE_CHECKING:
    from dispatcher.client import Client

app = group("ticket", "The work on the board.")

Key = Annotated[str, typer.Argument(metavar="KEY", help="The ticket's key, for example WEB-12.")]
Body = Annotated[str | None, typer.Option("--body", help="What is to be done, as Markdown; - reads standard input.")]
BodyFile = Annotated[Path | None, typer.Option("--body-file", metavar="FILE", help="Read the body from a file; - is stdin.")]
Labels = Annotated[list[str] | None, typer.Option("--label", "-l", help="A label; may be given several times.")]


@app.command("new", epilog=example("dispatcher ticket new 'Fix the login' --project WEB --assign coder --wait"))
def new(
    title: Annotated[str, typer.Argument(metavar="TITLE", help="What is to be done, in one line.")],
    *,
    project: Annotated[str, typer.Option("--project", "-p", metavar="KEY", help="The project.")],
    body: Body = None,
    body_file: BodyFile = None,
    label: Labels = None,
    assign_to: Annotated[str | None, typer.Option("--assign", "-a", metavar="AGENT", help="Assign it at once.")] = None,
    waiting: Wait = False,
    as_data: Json = False,
) -> None:
    """File a ticket."""
    if waiting and assign_to is None:
        raise Usage("--wait waits for a run, and nobody is assigned", "add --assign AGENT")
    text = read_body(body, body_file) or ""
    with api() as client:
        request = {"project": project, "title": title, "body": text, "labels": label or [], "agent": assign_to}
        ticket = client.post("/tickets", request)
        _filed(client, ticket, f"filed {ticket['key']}", started=assign_to is not None, waiting=waiting, as_data=as_data)


@app.command("list", epilog=example("dispatcher ticket list --project WEB --state review"))
def list_tickets(
    *,
    project: Annotated[str | None, typer.Option("--project", "-p", metavar="KEY", help="Of that project.")] = None,
    state: Annotated[TicketState | None, typer.Option(help="In that state.")] = None,
    agent: Annotated[str | None, typer.Option(help="Assigned to that agent.")] = None,
    label: Annotated[str | None, typer.Option("--label", "-l", help="With that label.")] = None,
    query: Annotated[str | None, typer.Option("--query", "-q", help="With those words; label:bug works too.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="So many at most.")] = 200,
    as_data: Json = False,
) -> None:
    """List tickets, in the order of the board."""
    with api() as client:
        tickets = client.get("/tickets", project=project, state=state, agent=agent, label=label, q=query, limit=limit)
    columns = [
        Column("KEY", lambda row: row["key"]),
        Column("STATE", lambda row: row["state"], state=True),
        Column("AGENT", lambda row: row.get("agent")),
        Column("LABELS", lambda row: row["labels"]),
        Column("TITLE", lambda row: row["title"], cut=True),
    ]
    listing(tickets, columns, json_wanted=as_data, empty="no tickets: dispatcher ticket new TITLE --project KEY")


@app.command("show", epilog=example("dispatcher ticket show WEB-12"))
def show(key: Key, as_data: Json = False) -> None:
    """Show a ticket with its blocker, comments, runs and checks."""
    with api() as client:
        page = client.get(f"/tickets/{key}")
    if as_data:
        as_json(page)
        return
    _head(page)
    if page["body"].strip():
        say()
        say(page["body"].rstrip())
    for comment in page["comments"]:
        where = f" on {comment['path']}:{comment['line']}" if comment.get("path") else ""
        say()
        say(f"{comment['author']}{where}, {moment(comment['created_at'])}:", "bold")
        say(comment["body"])
    if blocker := page.get("blocker"):
        say()
        say(f"blocked: {blocker['kind']}: {blocker['text']}", "yellow")
        if blocker.get("evidence"):
            say(blocker["evidence"], "dim")
        note(blocker["advice"])
        note(f"to answer this one and no other: dispatcher ticket answer {page['key']} TEXT --blocker {blocker['id']}")


@app.command("assign", epilog=example("dispatcher ticket assign WEB-12 coder --wait"))
def assign(
    key: Key,
    agent: Annotated[str, typer.Argument(metavar="AGENT", help="The agent's name.")],
    waiting: Wait = False,
    as_data: Json = False,
) -> None:
    """Assign a ticket to an agent; a worker starts on it."""
    act(key, "assign", {"agent": agent}, f"{key.upper()} is assigned to {agent}", waiting=waiting, as_data=as_data)


@app.command("comment", epilog=example("dispatcher ticket comment WEB-12 'Mind the tests' --line src/login.py:14"))
def comment(
    key: Key,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="The next run reads it; - reads standard input.")],
    line: Annotated[str | None, typer.Option(metavar="PATH:LINE", help="The line of the diff that it is about.")] = None,
    as_data: Json = False,
) -> None:
    """Say something on a ticket."""
    body: dict[str, Any] = {"body": read_body(text, None)}
    if line is not None:
        path, _, number = line.rpartition(":")
        if not path or not number.isdigit():
            raise Usage(f"--line {line!r} is no place in a file", "write it as PATH:LINE, for example src/login.py:14")
        body |= {"path": path, "line": int(number)}
    with api() as client:
        said = client.post(f"/tickets/{key}/comment", body)
    if as_data:
        as_json(said)
    else:
        say(f"commented on {key.upper()}")


@app.command("answer", epilog=example("dispatcher ticket answer WEB-12 'Yes, keep the old name too' --wait"))
def answer(
    key: Key,
    text: Annotated[
        str, typer.Argument(metavar="[TEXT]", help="The answer, - reads standard input; an empty one tries again.")
    ] = "",
    blocker: Annotated[
        int | None,
        typer.Option(
            metavar="ID", min=1, help="Only to that blocker, as `ticket show` names it; refused where another is open."
        ),
    ] = None,
    waiting: Wait = False,
    as_data: Json = False,
) -> None:
    """Answer a blocked ticket; its agent goes on where it stopped."""
    words = read_body(text, None)
    try:
        act(key, "answer", {"text": words, "blocker": blocker}, f"{key.upper()} goes on", waiting=waiting, as_data=as_data)
    except DispatcherError:
        if text == "-" and words and words.strip():
            note(f"what standard input said was not sent:\n{words.rstrip()}")
        raise


@app.command("cancel", epilog=example("dispatcher ticket cancel WEB-12"))
def cancel(key: Key, as_data: Json = False) -> None:
    """Cancel a ticket; a run under way is stopped, and its branch is kept."""
    act(key, "cancel", {}, f"{key.upper()} is cancelled", started=False, as_data=as_data)


@app.command("reopen", epilog=example("dispatcher ticket reopen WEB-12"))
def reopen(key: Key, as_data: Json = False) -> None:
    """Bring a closed ticket back to the backlog."""
    act(key, "reopen", {}, f"{key.upper()} is in the backlog", started=False, as_data=as_data)


@app.command("accept", epilog=example("dispatcher ticket accept WEB-12"))
def accept(key: Key, as_data: Json = False) -> None:
    """Take a blocked ticket into review as it is."""
    act(key, "accept", {}, f"{key.upper()} is in review as it is", started=False, as_data=as_data)


@app.command("withdraw", epilog=example("dispatcher ticket withdraw WEB-12"))
def withdraw(key: Key, as_data: Json = False) -> None:
    """Take a queued ticket back to the backlog."""
    act(key, "withdraw", {}, f"{key.upper()} is in the backlog", started=False, as_data=as_data)


@app.command("edit", epilog=example("dispatcher ticket edit WEB-12 --title 'Fix the login page'"))
def edit(
    key: Key,
    *,
    title: Annotated[str | None, typer.Option(help="Another title.")] = None,
    body: Body = None,
    body_file: BodyFile = None,
    label: Labels = None,
    as_data: Json = False,
) -> None:
    """Change a ticket's title, body or labels."""
    text = read_body(body, body_file)
    changes = {name: value for name, value in (("title", title), ("body", text), ("labels", label)) if value is not None}
    if not changes:
        raise Usage("nothing to change", "give --title, --body, --body-file or --label")
    with api() as client:
        ticket = client.patch(f"/tickets/{key}", changes)
    if as_data:
        as_json(ticket)
    else:
        say(f"changed {key.upper()}: {', '.join(changes)}")


def act(
    key: str,
    verb: str,
    body: dict[str, Any],
    told: str,
    *,
    started: bool = True,
    waiting: bool = False,
    as_data: bool = False,
) -> None:
    """One of the board's verbs on a ticket; where it starts a run, wait for that if it was asked for."""
    with api() as client:
        client.post(f"/tickets/{key}/{verb}", body)
        ticket = client.get(f"/tickets/{key}")
        _filed(client, ticket, told, started=started, waiting=waiting, as_data=as_data)


def read_body(text: str | None, file: Path | None) -> str | None:
    """The text from the option, from a file, or from standard input for "-"; raises `Usage`."""
    if text is not None and file is not None:
        raise Usage("--body and --body-file were both given", "give one of them")
    if text == "-" or (file is not None and str(file) == "-"):
        return sys.stdin.read()
    if file is None:
        return text
    try:
        return file.expanduser().read_text(encoding="utf-8")
    except OSError as error:
        raise Usage(f"--body-file {file}: {error.strerror}", "name a text file, or - for standard input") from error
    except UnicodeDecodeError as error:
        raise Usage(f"--body-file {file} is no UTF-8 text", "name a text file, or - for standard input") from error


def _filed(client: Client, ticket: dict[str, Any], told: str, *, started: bool, waiting: bool, as_data: bool) -> None:
    """Say what was done, that a worker is missing, and how it ends where that was asked for."""
    if not (as_data and waiting):
        as_json(ticket) if as_data else say(told)
    if started:
        warn_without_worker(client)
    if waiting:
        page = wait(client, ticket["key"])
        if as_data:
            as_json(page)
        settle(page, quiet=as_data)


def _origin(page: dict[str, Any]) -> str | None:
    origin = page["origin"] or {}
    if origin.get("kind") != "github":
        return None
    waits = f", to be accepted: dispatcher github accept {page['key']}" if origin.get("waiting") else ""
    return f"{origin['repository']}#{origin['number']}, by {origin['author']}{waits}"


def _head(page: dict[str, Any]) -> None:
    run, place = page["run"], page["workspace"]
    title = f"{page['key']}  {one_line(page['title'])}"
    if for_people():
        console().print(clean(title), style="bold")
    else:
        say(title)
    pairs: list[tuple[str, object]] = [
        ("state", page["state"]),
        ("agent", page["agent"]),
        ("labels", page["labels"]),
        ("from GitHub", _origin(page)),
        ("branch", place["branch"] if place else None),
        ("look at it", place["checkout"] if place else None),
        ("changes", changed(page)),
    ]
    if run is not None:
        pairs.append((f"run {run['number']}", " · ".join(filter(None, [f"id {run['id']}", run["state"], run.get("summary")]))))
    for check in page["checks"]:
        pairs.append((check["name"], f"{check['state']} in {check['seconds']:.1f} s: {one_line(check['command'])}"))
    facts(pairs)
