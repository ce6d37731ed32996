"""`dispatcher github`: connect a project to a repository on GitHub, and look after the connection."""

from __future__ import annotations

import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dispatcher.commands.common import Json, Usage, Yes, api, confirm, example, group, load_settings
from dispatcher.commands.output import Column, as_json, facts, listing, moment, note, say

if TYPE_CHECKING:
    from dispatcher.client import Client

app = group("github", "Issues in, comments and pull requests out.")

Key = Annotated[str, typer.Argument(metavar="PROJECT", help="The project's key, for example WEB.")]
Ticket = Annotated[str, typer.Argument(metavar="KEY", help="The ticket's key, for example WEB-12.")]
PING_SECONDS = 300.0


class Pulls(StrEnum):
    """When a pull request is opened."""

    approve = "approve"
    ready = "ready"
    ask = "ask"
    never = "never"


class Permission(StrEnum):
    """The least permission of who may start runs."""

    write = "write"
    maintain = "maintain"
    admin = "admin"
    none = "none"


@app.command("connect", epilog=example("dispatcher github connect WEB --repository octo/web"))
def connect(
    key: Key,
    *,
    repository: Annotated[str, typer.Option(help="owner/name on GitHub, or its address.")],
    api_url: Annotated[str, typer.Option(help="Of a GitHub Enterprise server: https://HOST/api/v3.")] = "",
    app_id: Annotated[str, typer.Option(help="The number of a GitHub App, instead of a token.")] = "",
    installation_id: Annotated[str, typer.Option(help="The number of the App's installation.")] = "",
    import_open: Annotated[bool, typer.Option(help="Make tickets of the issues that are open already.")] = False,
    wait: Annotated[bool, typer.Option(help="Wait for GitHub's ping; on a terminal by itself.")] = sys.stdin.isatty(),
    as_data: Json = False,
) -> None:
    """Walk through it: the webhook's secret, what to enter on GitHub, the token, a ping, and whom it trusts."""
    body = {
        "repository": repository,
        "api_url": api_url,
        "app_id": app_id,
        "installation_id": installation_id,
        "import_open": import_open,
    }
    with api() as client:
        told = client.send("PUT", f"/projects/{key}/github", json=body).json()
        if as_data:
            as_json(told)
            return
        _show_hook(told)
        _ask_token(key, bool(app_id))
        fine = _try_token(client, key)
        if wait:
            _await_ping(client, key)
        _show_trust(client.get(f"/projects/{key}/github"))
    if not fine:
        say(f"Next: mend the problem above, then: dispatcher github check {key.upper()}")
        raise typer.Exit(1)
    say(f"Next: label an issue agent:NAME, or comment /agent NAME. See: dispatcher github status {key.upper()}")


@app.command("status", epilog=example("dispatcher github status WEB"))
def status(
    key: Annotated[
        str | None, typer.Argument(metavar="[PROJECT]", help="The project's key; without it all are listed.")
    ] = None,
    as_data: Json = False,
) -> None:
    """Show how a connection does: deliveries, what waits, faults, whom it trusts. Without a project, list all connections."""
    with api() as client:
        told = client.get("/github" if key is None else f"/projects/{key}/github")
    if key is None:
        columns = [
            Column("PROJECT", lambda row: row["project"]),
            Column("REPOSITORY", lambda row: row["repository"]),
            Column("LAST DELIVERY", lambda row: moment(row["delivered_at"]) or "none yet"),
            Column("TICKETS", lambda row: row["tickets"]),
            Column("WAITS", lambda row: [waits["what"] for waits in row["waiting"]]),
            Column("STATE", lambda row: row["warnings"][0]["words"] if row["warnings"] else "in step", cut=True),
        ]
        listing(told, columns, json_wanted=as_data, empty="no project is connected: dispatcher github connect PROJECT")
        return
    if as_data:
        as_json(told)
        return
    facts(
        [
            ("repository", told["repository"]),
            ("we are", told["login"] or "not asked yet"),
            ("webhook", told["hook_url"]),
            ("ping", moment(told["pinged_at"]) or "has not come yet"),
            ("last delivery", moment(told["delivered_at"]) or "none yet"),
            ("caught up", moment(told["reconciled_at"])),
            ("tickets", told["tickets"]),
            ("pull requests", f"{told['pull_requests']}, opened: {told['pulls']}"),
            *(("waits", f"{row['what']}, since {row['since']}") for row in told["waiting"]),
        ]
    )
    for warned in told["warnings"]:
        say(f"warning: {warned['words']}", "yellow")
        say(f"   hint: {warned['hint']}")
    _show_trust(told)


@app.command("policy", epilog=example("dispatcher github policy WEB --permission maintain --allow octocat --pulls ready"))
def policy(
    key: Key,
    *,
    permission: Annotated[Permission | None, typer.Option(help="The least permission of who may start runs.")] = None,
    allow: Annotated[
        list[str] | None, typer.Option(help="A login that may start runs whatever its permission; again for more.")
    ] = None,
    allow_nobody: Annotated[bool, typer.Option(help="Empty the allowlist.")] = False,
    bots: Annotated[bool | None, typer.Option(help="Whether bots may start runs.")] = None,
    trigger: Annotated[
        list[str] | None, typer.Option(help="label, comment or assign; again for more; replaces those set.")
    ] = None,
    assignee: Annotated[list[str] | None, typer.Option(metavar="LOGIN=AGENT", help="Assigning to LOGIN starts AGENT.")] = None,
    mirror: Annotated[bool | None, typer.Option(help="Whether edits and comments here are written to the issue.")] = None,
    pulls: Annotated[
        Pulls | None, typer.Option(help="When a pull request is opened: approved, ready for review, asked for.")
    ] = None,
    rounds: Annotated[int | None, typer.Option(help="How often GitHub sends one ticket back by itself.")] = None,
) -> None:
    """Change who may start runs, by what, and what is written to GitHub."""
    given: dict[str, Any] = {"permission": permission, "bots": bots, "triggers": trigger, "mirror": mirror, "pulls": pulls}
    given |= {"rounds": rounds, "allowed": [] if allow_nobody else allow or None}
    if assignee:
        given["assignees"] = dict(_pair(text) for text in assignee)
    with api() as client:
        told = client.patch(f"/projects/{key}/github", {name: value for name, value in given.items() if value is not None})
    _show_trust(told)
    agents = ", ".join(f"{login}={agent}" for login, agent in told["assignees"].items())
    facts(
        [
            ("agents by assignee", agents or "none"),
            ("pull requests", told["pulls"]),
            ("rounds by GitHub", told["rounds"]),
            ("edits here go there", "yes" if told["mirror"] else "no"),
        ]
    )


@app.command(
    "token", epilog=example("dispatcher github token WEB < token.txt", "dispatcher github token WEB --app-key key.pem")
)
def token(
    key: Key,
    app_key: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="The private key of a GitHub App, as a file.")
    ] = None,
) -> None:
    """Keep a token, or an App's key, in the data folder of this machine; it is read from the terminal or from stdin."""
    from dispatcher.github import secrets

    with api() as client:
        client.get(f"/projects/{key}")  # a slip of the key would be found much later
    settings = load_settings()
    if app_key is not None:
        path = secrets.write(settings, key, "app_key", app_key.read_text())
    else:
        given = typer.prompt("Token", hide_input=True, err=True) if sys.stdin.isatty() else sys.stdin.read()
        path = secrets.write(settings, key, "token", given)
    say(f"kept in {path}; see what it may do: dispatcher github check {key.upper()}")


@app.command("secret", epilog=example("dispatcher github secret WEB --yes"))
def secret(key: Key, yes: Yes = False) -> None:
    """Make another secret for the webhook, and show it."""
    confirm(f"Make another secret? Deliveries to {key.upper()} are refused until it is entered on GitHub.", yes=yes)
    with api() as client:
        told = client.post(f"/projects/{key}/github/secret")
    facts([("payload URL", told["hook_url"]), ("secret", told["secret"])])


@app.command("check", epilog=example("dispatcher github check WEB"))
def check(key: Key, as_data: Json = False) -> None:
    """Try what the token may do, without changing anything on GitHub."""
    with api() as client:
        rows = client.post(f"/projects/{key}/github/check")
    if as_data:
        as_json(rows)
    else:
        _show_check(rows)
    if not all(row["ok"] for row in rows):
        raise typer.Exit(1)


@app.command("try", epilog=example("dispatcher github try WEB octocat"))
def try_login(key: Key, login: Annotated[str, typer.Argument(help="A login on GitHub.")], as_data: Json = False) -> None:
    """Tell whether that person could start a run now, and why; nothing is started."""
    with api() as client:
        told = client.get(f"/projects/{key}/github/trust/{login}")
    if as_data:
        as_json(told)
        return
    for trigger, may in told["may"].items():
        say(f"{trigger}\t{'yes' if may else 'no'}\t{told['why'][trigger]}")


@app.command("deliveries", epilog=example("dispatcher github deliveries WEB --json"))
def deliveries(key: Key, as_data: Json = False) -> None:
    """List the newest deliveries, and what came of each."""
    from dispatcher.github.inbox import CATCH_UP

    with api() as client:
        rows = client.get(f"/projects/{key}/github/deliveries")
    columns = [
        Column("RECEIVED", lambda row: moment(row["received_at"])),
        Column("EVENT", lambda row: f"{row['event']}.{row['action']}" if row["action"] else row["event"]),
        Column("BY", lambda row: row["sender"] or ("the catch-up" if row["guid"].startswith(CATCH_UP) else "")),
        Column("STATE", lambda row: row["state"], state=True),
        Column("WHAT CAME OF IT", lambda row: row["note"], cut=True),
    ]
    listing(rows, columns, json_wanted=as_data, empty="no delivery has come yet")


@app.command("accept", epilog=example("dispatcher github accept WEB-12"))
def accept(key: Ticket, yes: Yes = False) -> None:
    """Read a stranger's issue exactly as the agent would get it, and accept it."""
    with api() as client:
        told = client.get(f"/tickets/{key}/github")
        if told is None or told["issue"] is None:
            raise Usage(f"{key} did not come from GitHub", "assign it as it is")
        print(_plain(told["issue"]["prompt"]))
        confirm(f"Accept this text for {key.upper()}?", yes=yes)
        client.post(f"/tickets/{key}/github/accept", {"seen": told["issue"]["seen"]})
    say(f"{key.upper()} is accepted; assign it: dispatcher ticket assign {key.upper()} AGENT")


@app.command("pull", epilog=example("dispatcher github pull WEB-12"))
def pull(key: Ticket) -> None:
    """Push the branch of a ticket in review, and open a pull request."""
    with api() as client:
        client.post(f"/tickets/{key}/github/pull")
    say(f"the pull request of {key.upper()} is being opened")


@app.command("catch-up", epilog=example("dispatcher github catch-up WEB"))
def catch_up(key: Key) -> None:
    """Have a worker ask GitHub now for what no webhook brought."""
    with api() as client:
        client.post(f"/projects/{key}/github/catch-up")
    say("a worker asks GitHub with its next look")


@app.command("disconnect", epilog=example("dispatcher github disconnect WEB --yes"))
def disconnect(key: Key, yes: Yes = False) -> None:
    """Let go of the repository: nothing comes in or goes out any more; tickets stay, the secrets here go."""
    confirm(f"Disconnect {key.upper()} from GitHub?", yes=yes)
    with api() as client:
        client.delete(f"/projects/{key}/github")
    say(f"{key.upper()} is disconnected; remove the webhook on GitHub too")


def _show_hook(told: dict[str, Any]) -> None:
    say(f"1. Add a webhook on {told['pages']['webhook']}, with:", "bold")
    facts(
        [
            ("   payload URL", told["hook_url"]),
            ("   content type", "application/json"),
            ("   secret", told["secret"]),
            ("   events", 'choose "Let me select individual events", and tick:'),
            *(("", name) for name in told["events"]),
        ]
    )
    if told["app_id"]:
        say("   or enter the same, once for all its repositories, as the App's own webhook")
    if not told["reachable"]:
        say("problem  GitHub cannot reach that address", "yellow")
        say("   hint: set DISPATCHER_PUBLIC_URL to one that it can, start again, and connect again")
    where = "in the App's settings" if told["app_id"] else f"on {told['pages']['token']}"
    say(f"2. Give {'the App' if told['app_id'] else 'a fine-grained token'} access to {told['repository']} {where}:", "bold")
    facts([(f"   {name}", access) for name, access in told["permissions"]])


def _ask_token(key: str, is_app: bool) -> None:
    from dispatcher.github import secrets

    settings, what = load_settings(), "app_key" if is_app else "token"
    if secrets.read(settings, key, what) or not sys.stdin.isatty() or is_app:  # type: ignore[arg-type]
        return
    given = typer.prompt("   the token (empty: later)", default="", show_default=False, hide_input=True, err=True)
    if given.strip():
        secrets.write(settings, key, "token", given)


def _try_token(client: Client, key: str) -> bool:
    """Try what the token may do, and tell; whether all of it is fine."""
    from dispatcher.errors import DispatcherError

    try:
        rows = client.post(f"/projects/{key}/github/check")
    except DispatcherError as error:
        say(f"problem  {error.message}", "red")
        say(f"   hint: {error.hint}")
        return False
    _show_check(rows)
    return all(row["ok"] for row in rows)


def _show_check(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        say(f"{'ok     ' if row['ok'] else 'problem'}  {row['words']}", "green" if row["ok"] else "red")


def _await_ping(client: Client, key: str) -> None:
    note("waiting for GitHub's ping; Ctrl-C goes on without it")
    deadline, refused = time.monotonic() + PING_SECONDS, ""
    try:
        while time.monotonic() < deadline:
            told = client.get(f"/projects/{key}/github")
            if told["pinged_at"]:
                say("ok       GitHub's ping has come", "green")
                _show_unticked(told)
                return
            if told["refused"] not in ("", refused):
                say(f"problem  {told['refused']}", "red")
            refused = told["refused"]
            time.sleep(2)
    except KeyboardInterrupt:
        pass
    say("problem  no ping has come yet", "yellow")


def _show_unticked(told: dict[str, Any]) -> None:
    if told["unticked"]:
        say(f"problem  not ticked at the webhook when it came: {', '.join(told['unticked'])}", "yellow")


def _show_trust(told: dict[str, Any]) -> None:
    say("Who may start a run:", "bold")
    for row in told["trust"]:
        words = ", ".join(name for name, may in row["may"].items() if may) or "no"
        say(f"   {row['sender']}: {words}")


def _pair(text: str) -> tuple[str, str]:
    login, _, agent = text.partition("=")
    if not login or not agent:
        raise Usage(f"--assignee {text!r} is no pair", "write it as LOGIN=AGENT")
    return login, agent


def _plain(text: str) -> str:
    from dispatcher.commands.output import clean

    return clean(text)
