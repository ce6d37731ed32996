"""The `dispatcher` program: its commands, and how it ends.

Exit status: 0 done, 1 failed, 2 wrong usage, 3 the ticket is blocked, 130 interrupted. Errors are two lines on stderr,
`error:` and `hint:`; a traceback is shown with `--debug` or DISPATCHER_DEBUG=1 only.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from adapters.base import AdapterError
from dispatcher.commands import (
    agents,
    backup,
    demo,
    doctor,
    endpoints,
    github,
    harness,
    inbox,
    projects,
    review,
    runs,
    sessions,
    tickets,
    up,
    upkeep,
    users,
    watch,
)
from dispatcher.commands.common import MARKUP, USAGE, Usage
from dispatcher.commands.output import fail
from dispatcher.errors import DispatcherError

DEBUG = "DISPATCHER_DEBUG"

app = typer.Typer(
    name="dispatcher",
    help="A board and a dispatcher for coding agents that run against models on your own hardware.\n\n"
    "Start with `dispatcher demo`, or with `dispatcher up` and `dispatcher project add .`",
    no_args_is_help=True,
    rich_markup_mode=MARKUP,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (up, demo, doctor):
    module.register(app)
for section in (projects, endpoints, harness, agents, tickets, runs, github):
    app.add_typer(section.app)
for module in (inbox, watch, review, backup, upkeep):
    module.register(app)
app.add_typer(sessions.app)
users.register(app)
app.add_typer(users.app)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"dispatcher {version('ticket-dispatcher')}")
        raise typer.Exit


@app.callback()
def _root(
    show_version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    if debug:
        os.environ[DEBUG] = "1"


def main() -> None:
    """The program's entry."""
    for stream in (sys.stdout, sys.stderr):
        # A session may hold text that is no UTF-8; it shall not end the program. A pipe gets each line when it is said.
        getattr(stream, "reconfigure", lambda **_: None)(errors="backslashreplace", line_buffering=True)
    sys.exit(run(sys.argv[1:]))


@cache
def program(made_of: typer.Typer) -> TyperCommand | TyperGroup:
    """All its commands; their parameters are read from the functions once in a process."""
    command = get_command(made_of)
    assert isinstance(command, TyperCommand | TyperGroup)
    return command


def run(arguments: Sequence[str]) -> int:
    """Run one command line and give the exit status."""
    try:
        ended = program(app).main(list(arguments), prog_name="dispatcher", standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of our output has gone, as in `| head`: nothing more may be written, not even at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (typer.Abort, KeyboardInterrupt):
        return 130
    except Exception as error:  # the last resort of a program: each becomes a clear line
        return _explain(error)
    return ended if isinstance(ended, int) else 0


def _explain(error: Exception) -> int:
    if os.environ.get(DEBUG, "0") not in ("", "0"):
        traceback.print_exception(error)
    if isinstance(error, DispatcherError):
        fail(error.message, error.hint)
        return USAGE if isinstance(error, Usage) else 1
    if isinstance(error, AdapterError):
        fail(str(error), error.hint)
        return 1
    if isinstance(error, typer.TyperException):
        _explain_usage(error)
        return error.exit_code
    if isinstance(error, OSError) and error.filename is not None:
        fail(f"{error.filename}: {error.strerror}", "check the path and its permissions; DISPATCHER_HOME names the data folder")
        return 1
    fail(f"{type(error).__name__}: {error}".partition("\n")[0], _kept(error))
    return 1


def _explain_usage(error: typer.TyperException) -> None:
    text = error.format_message().strip()
    if text.startswith("Usage:"):  # a group alone: its help, instead of an error
        print(text, file=sys.stderr)
    elif text:
        context = getattr(error, "ctx", None)
        path = context.command_path if context is not None else "dispatcher"
        fail(text[0].lower() + " ".join(text[1:].split()).rstrip("."), f"see: {path} --help")


def _kept(error: Exception) -> str:
    """Where the traceback of a fault of ours was put."""
    from dispatcher.settings import default_home

    log = Path(os.environ.get("DISPATCHER_HOME") or default_home()).expanduser() / "logs" / "cli.log"
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(f"{datetime.now().astimezone().isoformat()} dispatcher {' '.join(sys.argv[1:])}\n")
            traceback.print_exception(error, file=stream)
    except OSError:
        return "this is a fault of the dispatcher; DISPATCHER_DEBUG=1 shows where"
    return f"this is a fault of the dispatcher; the traceback is in {log}"


if __name__ == "__main__":
    main()
