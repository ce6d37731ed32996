"""What every command needs: the settings, the API, a confirmation."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from pydantic import ValidationError

from dispatcher.commands.output import note
from dispatcher.errors import DispatcherError, Invalid
from dispatcher.settings import Settings

if TYPE_CHECKING:
    from dispatcher.client import Client

MARKUP: Literal["markdown"] | None = "markdown" if sys.stdout.isatty() else None
"""How help is written: with boxes and colour on a terminal, plain when piped."""

REDIS_SCHEMES = ("redis://", "rediss://", "unix://")

USAGE = 2
BLOCKED = 3

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait for the outcome: 0 in review or done, 3 blocked, 1 cancelled.")]


class Usage(DispatcherError):
    """The command line itself is wrong; exit status 2."""


def group(name: str, about: str) -> typer.Typer:
    """An empty group of commands."""
    return typer.Typer(name=name, help=about, no_args_is_help=True, rich_markup_mode=MARKUP)


def example(*lines: str) -> str:
    """The examples below a command's help."""
    if MARKUP is None:
        # The \b keeps the lines as they are: https://click.palletsprojects.com/en/stable/documentation/
        return "\n".join(["\b", "Example:", *(f"  $ {line}" for line in lines)])
    return "Example:\n\n" + "\n\n".join(f"`$ {line}`" for line in lines)


def load_settings(**given: Any) -> Settings:
    """The settings; what is None in `given` is left to the environment. Raises `Invalid` naming the variable."""
    try:
        settings = Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise Invalid(
            f"{name} = {first['input']!r}: {first['msg']}", f"mend the variable DISPATCHER_{name.upper()}", name
        ) from error
    if settings.redis_url and not settings.redis_url.startswith(REDIS_SCHEMES):
        raise Invalid("redis_url is no Redis URL", f"begin DISPATCHER_REDIS_URL with {' or '.join(REDIS_SCHEMES)}", "redis_url")
    return settings


@contextmanager
def api() -> Iterator[Client]:
    """The API: the running server's, or the app in this process where none runs."""
    from dispatcher.client import open_client

    with open_client(load_settings()) as client:
        yield client


def warn_without_worker(client: Client) -> None:
    """Say on stderr that nothing will happen as long as no worker runs."""
    if not client.has_worker():
        note("no worker is running; start one: dispatcher up")


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something is lost; without a terminal `--yes` has to be given. Raises `Usage` and `typer.Exit`."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise Usage(f"{question} There is no terminal to ask on", "add --yes to confirm")
    if not typer.confirm(clean_question(question), err=True):
        raise typer.Exit(1)


def changes(body: dict[str, Any]) -> dict[str, Any]:
    """What is to be changed, without what was not given; raises `Usage` where that is nothing."""
    given = {field: value for field, value in body.items() if value is not None}
    if not given:
        raise Usage("nothing to change was given", "see the options: --help")
    return given


def clean_question(question: str) -> str:
    """A question that may hold foreign text, safe for a terminal."""
    from dispatcher.commands.output import one_line

    return one_line(question)
