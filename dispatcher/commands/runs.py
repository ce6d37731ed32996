"""`dispatcher run`: the attempts of agents at tickets."""

from __future__ import annotations

import sys
import time
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dispatcher.commands.common import Json, api, example, group
from dispatcher.commands.output import Column, as_json, facts, for_people, listing, moment, say, tokens
from dispatcher.states import RunState

if TYPE_CHECKING:
    from dispatcher.client import Client

app = group("run", "The attempts of agents at tickets.")

FOLLOW_SECONDS = 0.3
ENDED = ("succeeded", "no_changes", "blocked", "failed", "timed_out", "stalled", "cancelled", "lost")

Id = Annotated[int, typer.Argument(metavar="ID", help="The run's number.")]


class Stream(StrEnum):
    """A log of a run."""

    stdout = "stdout"
    stderr = "stderr"
    check = "check"


@app.command("list", epilog=example("dispatcher run list --ticket WEB-12"))
def list_runs(
    ticket: Annotated[str | None, typer.Option("--ticket", "-t", metavar="KEY", help="Of that ticket.")] = None,
    state: Annotated[RunState | None, typer.Option(help="In that state.")] = None,
    as_data: Json = False,
) -> None:
    """List runs, the newest first."""
    with api() as client:
        runs = client.get("/runs", ticket=ticket, state=state)
    columns = [
        Column("ID", lambda row: row["id"]),
        Column("TICKET", lambda row: row["ticket"]),
        Column("NO", lambda row: row["number"]),
        Column("STATE", lambda row: row["state"], state=True),
        Column("AGENT", lambda row: row.get("agent")),
        Column("STARTED", lambda row: moment(row["started_at"])),
        Column("TOKENS", _used),
        Column("DOING", lambda row: row["summary"] if row["state"] in ENDED else row["doing"], cut=True),
    ]
    listing(runs, columns, json_wanted=as_data, empty="no runs yet: dispatcher ticket assign KEY AGENT")


@app.command("show", epilog=example("dispatcher run show 12"))
def show(run_id: Id, as_data: Json = False) -> None:
    """Show one run."""
    with api() as client:
        run = client.get(f"/runs/{run_id}")
    if as_data:
        as_json(run)
        return
    facts(
        [
            ("run", f"{run['id']} (number {run['number']} of {run['ticket']})"),
            ("state", run["state"]),
            ("agent", run.get("agent")),
            ("harness", " ".join(filter(None, (run["harness"], run.get("harness_version"))))),
            ("model", run["model"]),
            ("answered by", run.get("other_model")),
            ("reason", run["reason"]),
            ("doing", "" if run["state"] in ENDED else run["doing"]),
            ("plan", f"{run['plan_done']} of {run['plan_total']}" if run.get("plan_total") else ""),
            ("outcome", run.get("outcome")),
            ("summary", run.get("summary")),
            ("exit status", run.get("exit_code")),
            *_receipt(run),
            ("worker", run.get("worker")),
            ("started", run.get("started_at")),
            ("ended", run.get("ended_at")),
            ("tokens", _used(run)),
        ]
    )


@app.command("log", epilog=example("dispatcher run log 12 --follow", "dispatcher run log 12 --stream check"))
def log(
    run_id: Id,
    stream: Annotated[Stream, typer.Option(help="What the harness printed, or the checks' output.")] = Stream.stdout,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run has ended.")] = False,
) -> None:
    """Print what the harness or the checks printed."""
    with api() as client:
        offset = 0
        while True:
            ended = not follow or client.get(f"/runs/{run_id}")["state"] in ENDED
            offset = _print_from(client, run_id, stream, offset)
            if ended:
                return
            time.sleep(FOLLOW_SECONDS)


@app.command("stop", epilog=example("dispatcher run stop 12"))
def stop(run_id: Id, as_data: Json = False) -> None:
    """Stop a run; its ticket is blocked then, and its work is kept."""
    with api() as client:
        run = client.post(f"/runs/{run_id}/stop")
    if as_data:
        as_json(run)
    else:
        say(f"run {run_id} is being stopped")


def _receipt(run: dict[str, Any]) -> list[tuple[str, str]]:
    """What its sandbox was tried on before it began, and what the project let in by name."""
    from dispatcher.sandboxes import Receipt

    if not run.get("receipt"):
        return []
    receipt = Receipt.model_validate(run["receipt"])
    return [
        ("sandbox", f"{receipt.tier} ({receipt.text})"),
        ("lets in", "; ".join(receipt.named)),
        ("takes at most", ", ".join(receipt.bounds)),
    ]


def _print_from(client: Client, run_id: int, stream: Stream, offset: int) -> int:
    """Print all that is there beyond `offset` bytes; gives the offset to go on from."""
    while True:
        answer = client.send("GET", f"/runs/{run_id}/log", params={"stream": stream.value, "offset": offset})
        after = int(answer.headers["X-Next-Offset"])
        if after == offset:
            return offset
        _write(answer.content)
        offset = after


def _write(data: bytes) -> None:
    """Bytes as they are when piped; without what a terminal would obey on one."""
    if for_people():
        from dispatcher.commands.output import clean

        sys.stdout.write(clean(data.decode("utf-8", "replace")))
    else:
        sys.stdout.buffer.write(data)
    sys.stdout.flush()


def _used(run: dict[str, Any]) -> str:
    total = (run.get("prompt_tokens") or 0) + (run.get("completion_tokens") or 0)
    return tokens(total) if total else ""
