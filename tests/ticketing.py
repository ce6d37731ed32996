"""What happens to a ticket after its first run, for tests of its page."""

from __future__ import annotations

from typing import Any

from sqlmodel import select

from dispatcher import board, runs
from dispatcher.models import Check, Workspace, utcnow
from dispatcher.transitions import move_run
from tests.webbing import DONE, Web


def again(web: Web, key: str, result: runs.Result | None = DONE, *, check: dict[str, Any] | None = None) -> int:
    """The next run of a ticket that has a worktree: claimed, launched, with a check and an end (None: it still runs)."""
    with web.database.transaction() as db:
        ticket = board.get_ticket(db, key)
        place = db.exec(select(Workspace).where(Workspace.ticket_id == ticket.id)).one()
        run = runs.live_run(db, ticket)
        assert run is not None and run.id is not None
        assert runs.claim(db, "worker", 300, run.id) is not None
        move_run(db, run, "launch", pid=1, started_at=utcnow(), base_sha=place.head_sha)
        if check is not None:
            db.add(Check(run_id=run.id, name="check", **check))
        if result is not None:
            end(web, run.id, result, db=db)
        return run.id


def end(web: Web, run_id: int, result: runs.Result, *, db: Any = None) -> None:
    """End a run that is under way."""
    if db is None:
        with web.database.transaction() as own:
            end(web, run_id, result, db=own)
        return
    run = runs.get_run(db, run_id)
    place = db.exec(select(Workspace).where(Workspace.ticket_id == run.ticket_id)).one()
    move_run(db, run, "finish", exit_code=0, head_sha=place.head_sha)
    runs.finish(db, run, result)
