"""What the script of a transcript asks for: windows of items as HTML, and the outline that says where what is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter
from sqlmodel import Session
from starlette.responses import Response

from dispatcher import board, reading, runs
from dispatcher.errors import Invalid, NotFound
from dispatcher.models import Run
from dispatcher.reading import Branch, Show
from dispatcher.states import LIVE_RUN
from web.errors import AsciiJSON
from web.items import WORDS, Scene
from web.render import page
from web.site import Here, Number

router = APIRouter()

MOST_ITEMS = 400
"""In one window."""

_SEQS = re.compile(r"\d{1,9}-\d{1,9}|\d{1,9}(,\d{1,9})*", re.ASCII)


@router.get("/tickets/{key}/transcript/window")
def window(site: Here, key: str, *, run: Number, seqs: str, session: str = "", whole: bool = False, q: str = "") -> Response:
    """Items of one session as HTML: `seqs` is "50-99", or "3,17,20"; `whole` leaves nothing of their texts out.

    Of texts that are too large for a page it leaves out what has not the words `q`.
    """
    wanted = _seqs(seqs)
    with site.database.reading() as db:
        row = _run(db, key, run)
        branches = reading.tree(db, row)
        branch = reading.pick(branches, session)
        items = reading.window(db, branch, wanted)
    scene = Scene(run, branch, branches, row.started_at, whole, q[: reading.LONGEST_QUERY])
    return page(
        "transcript/window.html", entries=scene.entries(items), ticket={"key": key}, run_id=run, branch=branch, words=WORDS
    )


@router.get("/tickets/{key}/transcript/outline")
def outline(site: Here, key: str, *, run: Number, show: Show = "all", q: str = "", anchor: str = "") -> Response:
    """The run's sessions and where their items stand, as JSON: what a filter lets through, errors, and what has the words `q`.

    `anchor` is the harness's own name of an item of the run's own session, whose `seq` is told.
    """
    with site.database.reading() as db:
        row = _run(db, key, run)
        branches = reading.tree(db, row)
        errors = {branch.name: reading.wanted(db, branch, "errors") for branch in branches}
        shown = {
            branch.name: errors[branch.name] if show == "errors" else reading.wanted(db, branch, show) for branch in branches
        }
        if show == "errors":
            shown = _with_callers(branches, shown)
        hits = _hits(db, branches, shown, q.strip()) if q.strip() else None
        answer = {
            "run": run,
            "live": row.state in LIVE_RUN,
            "sessions": [_session(branch, shown[branch.name], errors[branch.name]) for branch in branches],
            "errors": reading.in_order(branches, errors),
            "counts": reading.counts(db, branches[0]) if branches else {},
            "hits": hits,
            "more": len(hits or ()) >= reading.MOST_FOUND,
            "anchor": reading.seq_of(db, branches[0], anchor) if branches and anchor else None,
        }
    return AsciiJSON(answer)


def _hits(db: Session, branches: list[Branch], shown: dict[str, Sequence[int]], query: str) -> list[tuple[str, int]]:
    found: dict[str, Sequence[int]] = {}
    for branch in branches:
        among = shown[branch.name] if isinstance(shown[branch.name], range) else set(shown[branch.name])
        found[branch.name] = [seq for seq in reading.find(db, branch, query) if seq in among]
    return reading.in_order(branches, found)


def _with_callers(branches: list[Branch], shown: dict[str, Sequence[int]]) -> dict[str, Sequence[int]]:
    """The calls whose sessions have errors are among them, so that these can be reached."""
    found = {name: set(seqs) for name, seqs in shown.items()}
    for child in reversed(branches):  # children stand behind their parents
        if child.parent is not None and child.call is not None and found[child.name]:
            found[child.parent].add(child.call)
    return {name: sorted(seqs) for name, seqs in found.items()}


def _session(branch: Branch, shown: Sequence[int], errors: Sequence[int]) -> dict[str, Any]:
    return {
        "name": branch.name,
        "parent": branch.parent,
        "call": branch.call,
        "begin": shown[0] if shown else branch.begin,
        "count": len(shown),
        "seqs": None if isinstance(shown, range) else shown,
        "end": branch.end,
        "errors": len(errors),
        "provisional": branch.provisional,
    }


def _run(db: Session, key: str, number: int) -> Run:
    ticket = board.get_ticket(db, key)
    run = runs.get_run(db, number)
    if run.ticket_id != ticket.id:
        raise NotFound(f"{key} has no run {number}", "open its transcript", "run")
    return run


def _seqs(text: str) -> Sequence[int]:
    if not _SEQS.fullmatch(text):
        raise Invalid(f"{text[:40]!r} names no items", "give them as 50-99 or as 3,17,20", "seqs")
    first, dash, last = text.partition("-")
    wanted = range(int(first), int(last) + 1) if dash else sorted({int(part) for part in text.split(",")})
    if len(wanted) > MOST_ITEMS:
        raise Invalid(f"{len(wanted):,} items are too many at once", f"ask for {MOST_ITEMS} at most", "seqs")
    return wanted
