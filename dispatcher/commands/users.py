"""`dispatcher login`, and `dispatcher user`: who may enter the board, and by what."""

from __future__ import annotations

import webbrowser
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dispatcher.commands.common import Json, Yes, api, confirm, example, group, load_settings
from dispatcher.commands.output import Column, as_json, listing, moment, note, say

if TYPE_CHECKING:
    from dispatcher.client import Client

app = group("user", "Who may enter the board: people and programs, their roles, login links and tokens.")
tokens = group("token", "API tokens: what programs prove themselves with.")
app.add_typer(tokens)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The user's name.")]
Role = Annotated[str, typer.Option(help="viewer reads; member also files, assigns, answers and reviews; admin may all.")]
Hours = Annotated[int, typer.Option(help="Hours that the login link lasts, unless it is used before.")]


def register(program: typer.Typer) -> None:
    """Add the command that is no part of a group."""
    program.command("login", epilog=example("dispatcher login", "dispatcher login --open"))(login)


def login(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Another user than the first administrator.")] = None,
    browser: Annotated[bool, typer.Option("--open", help="Open it in a browser.")] = False,
    as_data: Json = False,
) -> None:
    """Print a link that logs a browser in, once. It is made in the database, so this works on the board's own machine."""
    from dispatcher.client import announced_server
    from dispatcher.entry import login_link

    settings = load_settings()
    running = settings.url or announced_server(settings)
    link = login_link(settings, running or f"http://127.0.0.1:{settings.port}", name)
    if as_data:
        as_json({"link": link})
    else:
        say(link)
        note("it works once, for 10 minutes")
    if not running:
        note("no board is running; start it: dispatcher up")
    if browser and not webbrowser.open(link):
        note("there is no browser to open it here")


@app.command("add", epilog=example("dispatcher user add ada --role admin", "dispatcher user add ci --role viewer"))
def add(name: Name, role: Role = "member", hours: Hours = 24, as_data: Json = False) -> None:
    """Add a user, and print the link by which it logs in."""
    with api() as client:
        user = client.post("/users", {"name": name, "role": role, "hours": hours})
        link = _link(client, user["link"])
    if as_data:
        as_json(user | {"link": link})
        return
    say(f"{user['name']}  {user['role']}")
    _show(link, user["name"], hours)


@app.command("list", epilog=example("dispatcher user list"))
def list_users(as_data: Json = False) -> None:
    """List the users."""
    with api() as client:
        users = client.get("/users")
    columns = [
        Column("NAME", lambda row: row["name"]),
        Column("ROLE", lambda row: row["role"]),
        Column("STATE", lambda row: "disabled" if row["disabled_at"] else "ok", state=True),
        Column("SESSIONS", lambda row: row["sessions"]),
        Column("LAST LOGIN", lambda row: moment(row["login_at"]) or "never"),
    ]
    listing(users, columns, json_wanted=as_data, empty="no users")


@app.command("role", epilog=example("dispatcher user role ada admin"))
def role_of(
    name: Name, role: Annotated[str, typer.Argument(metavar="ROLE", help="viewer, member or admin.")], as_data: Json = False
) -> None:
    """Give a user another role; it holds at once."""
    with api() as client:
        user = client.patch(f"/users/{name}", {"role": role})
    _told(user, f"{user['name']}  {user['role']}", as_data)


@app.command("disable", epilog=example("dispatcher user disable ada --yes"))
def disable(name: Name, yes: Yes = False, as_data: Json = False) -> None:
    """Shut a user out: its sessions, links and tokens end at once, and what it did stays."""
    confirm(f"Disable {name}? Its sessions and tokens end.", yes=yes)
    with api() as client:
        user = client.patch(f"/users/{name}", {"disabled": True})
    _told(user, f"disabled {name}", as_data)


@app.command("enable", epilog=example("dispatcher user enable ada"))
def enable(name: Name, as_data: Json = False) -> None:
    """Let a disabled user in again, by a new link."""
    with api() as client:
        user = client.patch(f"/users/{name}", {"disabled": False})
    _told(user, f"enabled {name}", as_data)
    note(f"a login link: dispatcher user link {name}")


@app.command("link", epilog=example("dispatcher user link ada --hours 72"))
def link_of(name: Name, hours: Hours = 24, as_data: Json = False) -> None:
    """Make a login link to send to somebody; the one made before stops working."""
    with api() as client:
        made = client.post(f"/users/{name}/link", {"hours": hours})
        link = _link(client, made)
    if as_data:
        as_json(made | {"link": link})
    else:
        _show(link, name, hours)


@tokens.command("add", epilog=example("dispatcher user token add ci --label 'nightly build' --days 90"))
def add_token(
    name: Name,
    *,
    label: Annotated[str, typer.Option(help="What it is for.")],
    days: Annotated[int | None, typer.Option(help="Days that it lasts; without it, until it is revoked.")] = None,
    as_data: Json = False,
) -> None:
    """Make an API token with a user's rights. It is shown this once."""
    body: dict[str, Any] = {"label": label} | ({"days": days} if days is not None else {})
    with api() as client:
        made = client.post(f"/users/{name}/tokens", body)
    if as_data:
        as_json(made)
        return
    say(made["token"])
    note("keep it now, it is not shown again; the command line takes it from DISPATCHER_TOKEN, with DISPATCHER_URL")


@tokens.command("list", epilog=example("dispatcher user token list ci"))
def list_tokens(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One user's; without it, those of all.")] = None,
    as_data: Json = False,
) -> None:
    """List API tokens, without their secrets."""
    with api() as client:
        names = [name] if name is not None else [user["name"] for user in client.get("/users")]
        rows = [row | {"user": one} for one in names for row in client.get(f"/users/{one}/tokens")]
    columns = [
        Column("ID", lambda row: row["id"]),
        Column("USER", lambda row: row["user"]),
        Column("LABEL", lambda row: row["label"], cut=True),
        Column("USED", lambda row: moment(row["seen_at"]) or "never"),
        Column("UNTIL", lambda row: (row["expires_at"] or "revoked")[:10]),
    ]
    listing(rows, columns, json_wanted=as_data, empty="no tokens: dispatcher user token add NAME --label WHAT-FOR")


@tokens.command("revoke", epilog=example("dispatcher user token revoke ci 12"))
def revoke_token(name: Name, number: Annotated[int, typer.Argument(metavar="ID", help="Its number in the list.")]) -> None:
    """Revoke an API token; it is refused at once."""
    with api() as client:
        client.delete(f"/users/{name}/credentials/{number}")
    say(f"revoked {number}")


def _link(client: Client, made: dict[str, Any]) -> str:
    base = client.url or f"http://127.0.0.1:{load_settings().port}"
    return f"{base}{made['path']}"


def _told(user: dict[str, Any], words: str, as_data: bool) -> None:
    if as_data:
        as_json(user)
    else:
        say(words)


def _show(link: str, name: str, hours: int) -> None:
    say(link)
    note(f"send it to {name}: it works once, for {hours} h; a new one: dispatcher user link {name}")
