"""Sessions for tests of transcripts: long ones, nested ones, and what a worker does to them while a run goes on."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import delete, insert
from sqlmodel import col, select

from adapters.base import ChildItems
from adapters.redact import Redactor
from adapters.session import Item, Session
from dispatcher import runs, transcripts
from dispatcher.db import Database
from dispatcher.models import ItemRow, Run, SessionRow
from dispatcher.transitions import move_run

BEGAN = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
ERRORS = 997
"""Each so many-th item of a long session has failed."""
NOTHING = Redactor()


def long_items(count: int) -> list[dict[str, Any]]:
    """Items as a busy agent leaves them, numbered from 0; one in the middle says "zebra"."""
    return [_item(seq, count) for seq in range(count)]


def _item(seq: int, count: int) -> dict[str, Any]:
    at = BEGAN + timedelta(seconds=seq)
    item: dict[str, Any] = {"seq": seq, "at": at.isoformat(), "id": f"prt_{seq}"}
    if seq == 0:
        return item | {"kind": "user", "text": "Ticket WEB-1: Parser drops the last line\n\n" + "Please mend it. " * 40}
    if seq and seq % ERRORS == 0:
        return item | _call("execute", f"make test PART={seq}", {"command": "make test"}, "failed", "1 failed\n" * 3)
    if seq == count // 2:
        return item | {"kind": "assistant", "text": "Here is the zebra."}
    lines = "\n".join(f"\x1b[32mok\x1b[0m tests/test_{number}.py" for number in range(seq % 40))
    new = f"def run_{seq}(self) -> str:\n    rest, self.rest = self.rest, ''\n    return rest"
    return (
        item
        | [
            {"kind": "assistant", "text": f"Entry {seq}: the **last** chunk is not flushed.\n\n- `parse()` is called once"},
            {"kind": "reasoning", "text": "Let me think about what this means. " * 12},
            _call("execute", f"make part PART={seq}", {"command": f"make part PART={seq}"}, "completed", lines),
            _call(
                "edit",
                f"src/part_{seq % 77}.py",
                {"oldString": f"def run_{seq}(self):\n    return self.rest", "newString": new},
            ),
            {"kind": "usage", "usage": {"prompt_tokens": 7100 + seq, "cached_tokens": 6000, "completion_tokens": 40}},
        ][seq % 5]
    )


def _call(kind: str, title: str, given: Any, status: str = "completed", output: str = "Done.") -> dict[str, Any]:
    return {
        "kind": "tool_call",
        "tool": kind,
        "tool_kind": kind,
        "title": title,
        "input": given,
        "status": status,
        "output": output,
    }


def fill(database: Database, run_id: int, items: list[dict[str, Any]]) -> None:
    """Put those items in the place of what the run's own session has, without a word in the feed."""
    with database.transaction() as db:
        row = db.exec(select(SessionRow).where(SessionRow.run_id == run_id, col(SessionRow.parent_id).is_(None))).one()
        db.execute(delete(ItemRow).where(col(ItemRow.session_id) == row.id))
        row.header = row.header | {"started_at": BEGAN.isoformat()}
        db.add(row)
        db.execute(
            insert(ItemRow), [{"session_id": row.id, "seq": one["seq"], "kind": one["kind"], "data": one} for one in items]
        )


def tell(database: Database, run_id: int, items: Iterable[Item]) -> None:
    """What a worker does with new items of a run that goes on."""
    with database.transaction() as db:
        transcripts.put(db, db.get_one(Run, run_id), items, "session-1", NOTHING)


def tell_of_child(database: Database, run_id: int, child: ChildItems) -> None:
    """What a worker does with new items of a session that the run's own has started."""
    with database.transaction() as db:
        transcripts.put_child(db, db.get_one(Run, run_id), child, NOTHING)


def record(database: Database, run_id: int, session: Session) -> None:
    """What a worker does with the session that it has read back."""
    with database.transaction() as db:
        transcripts.replace(db, db.get_one(Run, run_id), session, NOTHING)


def end(database: Database, run_id: int) -> None:
    """The run ends, and its work is ready for review."""
    with database.transaction() as db:
        run = db.get_one(Run, run_id)
        move_run(db, run, "finish", exit_code=0)
        runs.finish(db, run, runs.Result("succeed", "done", "The change is made."))
