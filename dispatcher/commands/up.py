"""`dispatcher up`, `web` and `worker`: the processes."""

from __future__ import annotations

import ipaddress
import os
import signal
import socket
import threading
import webbrowser
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from dispatcher import logs
from dispatcher.commands.common import Usage, example, load_settings
from dispatcher.commands.output import facts, note, say

if TYPE_CHECKING:
    from dispatcher.settings import Settings
    from dispatcher.stack import Stack

WORKER = "workers.main:run"
SITE = "web.main:run"
TEND_SECONDS = 0.5

Host = Annotated[str | None, typer.Option(help="Address to listen on; default: 127.0.0.1.")]
Port = Annotated[int | None, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one; default: 8484.")]
Insecure = Annotated[
    bool, typer.Option("--insecure-bind", help="Listen for other machines though nobody has logged in or was added yet.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("up", epilog=example("dispatcher up", "dispatcher up --port 9000 --workers 2"))(up)
    app.command(
        "web", epilog=example("DISPATCHER_DATABASE_URL=postgresql://... DISPATCHER_REDIS_URL=redis://... dispatcher web")
    )(web)
    app.command(
        "worker", epilog=example("DISPATCHER_DATABASE_URL=postgresql://... DISPATCHER_REDIS_URL=redis://... dispatcher worker")
    )(worker)


def up(
    host: Host = None,
    port: Port = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Worker processes.")] = 1,
    insecure: Insecure = False,
    browser: Annotated[bool, typer.Option("--open", help="Open the board in a browser, logged in.")] = False,
) -> None:
    """Start all that one machine needs: web app, worker, and a Redis of its own unless DISPATCHER_REDIS_URL is set."""
    from dispatcher.stack import Stack

    settings = load_settings(host=host, port=port)
    refuse_open_bind(settings, insecure)
    note("starting")
    signal.signal(signal.SIGTERM, _give_up)
    with Stack(settings, workers, note) as stack:
        told = heed(stack)
        _welcome(stack, browser)
        serve_until(told, stack)
    note("stopped")


def web(
    host: Host = None,
    port: Port = None,
    insecure: Insecure = False,
    fd: Annotated[int | None, typer.Option(hidden=True, help="A listening socket that was passed on.")] = None,
) -> None:
    """Start the web app alone, for a set-up of several machines."""
    from dispatcher.client import running_server
    from dispatcher.errors import Conflict
    from dispatcher.stack import address, listen

    settings = load_settings(host=host, port=port)
    if fd is not None:
        listener = socket.socket(fileno=fd)
    else:
        refuse_open_bind(settings, insecure)
        if url := running_server(settings):
            raise Conflict(f"already running at {url}", f"end that one first (data folder {settings.home})")
        listener = listen(settings.host, settings.port)
    _serve(settings, listener, f"listening at {address(listener)}" if fd is None else "")


def worker() -> None:
    """Start one worker, for a set-up of several machines. Without DISPATCHER_REDIS_URL it looks at the database by itself."""
    from dispatcher.client import load

    settings = load_settings()
    logs.configure(settings)
    load(WORKER)(settings)


def refuse_open_bind(settings: Settings, insecure: bool) -> None:
    """Refuse to listen for other machines before somebody has taken the site in hand; raises `Usage`.

    Each address needs a login, but a site that nobody has entered yet was likely not meant for others. Beyond this machine
    plain HTTP is warned of: whoever sees the traffic sees the sessions in it.
    """
    from dispatcher.entry import is_set_up

    if _loopback(settings.host):
        return
    if not insecure and not is_set_up(settings):
        raise Usage(
            f"refusing to listen on {settings.host}: nobody has logged in yet, no user was added, and agents run commands here",
            "first add yourself: dispatcher user add NAME --role admin; or --insecure-bind listens there all the same",
        )
    if not settings.trusted_proxies:
        note(f"{settings.host} is reached by plain HTTP: put a proxy with TLS before it, named in DISPATCHER_TRUSTED_PROXIES")


def heed(stack: Stack) -> threading.Event:
    """The event that SIGINT or SIGTERM sets; a second signal, while the stack ends, ends everything at once."""
    told = threading.Event()

    def stop(number: int, _frame: FrameType | None) -> None:
        if told.is_set():
            stack.kill()
            os._exit(128 + number)
        told.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    return told


def serve_until(told: threading.Event, stack: Stack) -> None:
    """Tend the stack until it is told to end."""
    while not told.wait(TEND_SECONDS):
        stack.tend()
    note("stopping; once more ends at once")


def _give_up(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)  # what has started already is ended on the way out


def _welcome(stack: Stack, browser: bool) -> None:
    from dispatcher.client import open_client
    from dispatcher.entry import login_link

    say(f"The board is at {stack.url}", "bold")
    link = login_link(stack.settings, stack.url)
    say(f"Log in: {link}")
    note("it works once, for 10 minutes; a new one: dispatcher login")
    if browser and not webbrowser.open(link):
        note("there is no browser to open it here")
    facts([("data folder", stack.settings.home), ("logs", stack.settings.home / "logs")])
    with open_client(stack.settings.model_copy(update={"url": stack.url})) as client:
        for path, step in (
            ("/projects", "dispatcher project add PATH"),
            ("/endpoints", "dispatcher endpoint discover --add"),
            ("/agents", "dispatcher agent add NAME --harness opencode --endpoint NAME"),
        ):
            if not client.get(path):
                say(f"Next: {step}")
                break
        else:
            say("Next: dispatcher ticket new TITLE --project KEY --assign AGENT")
    note("end with Ctrl-C")


def _serve(settings: Settings, listener: socket.socket, told: str) -> None:
    """Serve on the socket, and tell the data folder's commands where, until SIGTERM or SIGINT."""
    from dispatcher.client import announce, load, withdraw
    from dispatcher.entry import machine_token
    from dispatcher.stack import address

    def end(_number: int, _frame: FrameType | None) -> None:
        raise SystemExit(0)

    # The server sends the signal that ended it once more, to whoever listened for it before; see uvicorn's capture_signals.
    signal.signal(signal.SIGTERM, end)
    logs.configure(settings)
    # The socket listens already: who comes before the app is ready, waits.
    with machine_token(settings) as token:
        announce(settings, address(listener), token)
        if told:
            say(told)
        try:
            load(SITE)(settings, listener=listener)
        finally:
            withdraw(settings)


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
