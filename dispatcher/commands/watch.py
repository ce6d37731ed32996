"""`dispatcher watch`: the activity feed, live."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from dispatcher.commands.common import api, example
from dispatcher.commands.output import STATE_STYLES, clean, console, for_people, note, one_line
from dispatcher.commands.transcript import brief, items_from

if TYPE_CHECKING:
    from dispatcher.client import Client, Event


INTERRUPTED = 128 + signal.SIGINT
"""As shells tell a process that Ctrl-C ended."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("watch", epilog=example("dispatcher watch WEB-12", "dispatcher watch --json"))(watch)


def watch(
    key: Annotated[str | None, typer.Argument(metavar="[KEY]", help="One ticket, with its transcript.")] = None,
    since: Annotated[int | None, typer.Option(metavar="CURSOR", help="Begin after that entry; default: now.")] = None,
    as_data: Annotated[bool, typer.Option("--json", help="Print JSON, one entry a line.")] = False,
) -> None:
    """Follow what happens, on the whole board or on one ticket, until Ctrl-C."""
    with api() as client:
        begin = client.get("/status")["cursor"] if since is None else since
        if key is not None:
            key = client.get(f"/tickets/{key}")["key"]
        if not as_data:
            note(f"watching {key or 'the board'}; end with Ctrl-C")
        # There is nothing to finish, and an exception can be lost: Python only prints one that comes upon it in a finalizer.
        signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
        for event in client.events(begin, key, lambda text: note(f"{text}; trying again")):
            for line in [json.dumps(event.data, ensure_ascii=False)] if as_data else _lines(client, event, key):
                _put(line, event)


def _lines(client: Client, event: Event, key: str | None) -> Iterator[str]:
    """The event in words; the items of a run for one ticket alone, since on a whole board they would drown the rest."""
    data = event.data.get("data") or {}
    if event.kind == "run.items":
        if key is not None:
            yield from _items(client, event, data.get("seqs") or [])
        return
    what = " ".join(_words(event.kind, data))
    yield " ".join(filter(None, [_clock(event.data.get("at")), event.data.get("ticket"), what]))


def _items(client: Client, event: Event, seqs: list[int]) -> Iterator[str]:
    if not seqs or event.data.get("run") is None:
        return
    first, last = min(seqs), max(seqs)
    items = client.get(f"/runs/{event.data['run']}/items", after=first - 1, limit=last - first + 1)
    for item in items_from(items):
        if item.seq in seqs and item.status not in ("pending",) and (line := brief(item)):
            yield f"{_clock(event.data.get('at'))}   {line}"


def _words(kind: str, data: dict[str, Any]) -> Iterator[str]:
    yield kind.replace(".", " ")
    for name, value in data.items():
        if name not in ("key", "seqs") and value not in (None, "", [], {}):
            yield f"{name}={one_line(value)}" if name not in ("text", "title", "target", "state") else one_line(value)


def _clock(stamp: str | None) -> str:
    return datetime.fromisoformat(stamp).astimezone().strftime("%H:%M:%S") if stamp else ""


def _put(line: str, event: Event) -> None:
    if for_people():
        state = str((event.data.get("data") or {}).get("target", ""))
        console().print(Text(clean(line), style=STATE_STYLES.get(state, "")))
    else:
        print(line, flush=True)
