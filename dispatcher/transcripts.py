"""Sessions in the database: provisional items while a run goes on, then the harness's own record in their place."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from sqlalchemy import delete
from sqlmodel import Session as Db
from sqlmodel import col, select

from adapters.base import ChildItems
from adapters.redact import Redactor
from adapters.session import Item, Session, item_json
from dispatcher import activity
from dispatcher.leases import check
from dispatcher.models import ItemRow, Run, SessionRow
from dispatcher.text import storable

_LONG = 6
"""Characters of an id that is not found in a text by chance."""


def put(db: Db, run: Run, items: Iterable[Item], native_id: str | None, redactor: Redactor) -> None:
    """Write provisional items under the run's fence; one with a `seq` that is there already replaces it."""
    check(db, _id(run), run.fence)
    row = _root(db, run) or SessionRow(run_id=_id(run), header={"harness": run.harness, "model": run.model})
    row.native_id = storable(native_id) or row.native_id
    db.add(row)
    db.flush()
    if written := _write(db, row, items, redactor):
        activity.record(db, "run.items", run=run, seqs=written)


def put_child(db: Db, run: Run, child: ChildItems, redactor: Redactor) -> None:
    """Write provisional items of a session that the run's own has started, or another child of it, as `put` does."""
    check(db, _id(run), run.fence)
    native_id = storable(child.native_id)
    of_run = select(SessionRow).where(SessionRow.run_id == run.id)
    parent = db.exec(of_run.where(SessionRow.native_id == storable(child.parent))).first() or _root(db, run)
    if parent is None:
        return  # nothing of the run's own session was written yet: the record will have it all
    row = db.exec(of_run.where(SessionRow.native_id == native_id, col(SessionRow.parent_id).is_not(None))).first()
    if row is None:
        header = {"harness": run.harness, "model": run.model, "title": storable(redactor.text(child.title or "")) or None}
        row = SessionRow(run_id=_id(run), parent_id=parent.id, native_id=native_id, header=header)
    if "call" not in row.header and (call := _call_of(db, parent, native_id)) is not None:
        row.header = row.header | {"call": call}
    db.add(row)
    db.flush()
    if written := _write(db, row, child.items, redactor):
        activity.record(db, "run.items", run=run, seqs=written, session=native_id)


def _write(db: Db, row: SessionRow, items: Iterable[Item], redactor: Redactor) -> list[int]:
    """Write items of one session, those that are there already in their places; gives their numbers."""
    written = [(item.seq, storable(redactor.data(item_json(item), growing=True))) for item in items]
    there = {
        old.seq: old for old in db.exec(select(ItemRow).where(ItemRow.session_id == row.id, _in(seq for seq, _ in written)))
    }
    for seq, data in written:
        if seq in there:
            there[seq].data, there[seq].kind = data, data["kind"]
        else:
            db.add(_item(row, seq, data))
    return [seq for seq, _ in written]


def _call_of(db: Db, parent: SessionRow, native_id: str) -> int | None:
    """The `seq` of the provisional call that names a child."""
    query = select(ItemRow).where(ItemRow.session_id == parent.id, ItemRow.kind == "tool_call")
    calls = [row.data for row in db.exec(query.order_by(col(ItemRow.seq)))]
    return _calls(calls, [{"native_id": native_id}]).get(native_id)


def replace(db: Db, run: Run, session: Session, redactor: Redactor) -> None:
    """Put the authoritative session in the place of what was provisional; idempotent."""
    check(db, _id(run), run.fence)
    old = list(db.exec(select(SessionRow.id).where(SessionRow.run_id == run.id)))
    db.execute(delete(ItemRow).where(col(ItemRow.session_id).in_(old)))
    for session_id in sorted((number for number in old if number is not None), reverse=True):
        db.execute(delete(SessionRow).where(col(SessionRow.id) == session_id))
    _store(db, run, storable(redactor.data(session.to_json())), None, skip=_told_before(db, run, session))
    activity.record(db, "run.session", run=run, native_id=session.native_id, items=len(session.items))


def load(db: Db, run: Run) -> Session | None:
    """The run's session in the common form; None where it has none yet."""
    root = _root(db, run)
    return _load(db, root) if root is not None else None


def native_id(db: Db, run: Run) -> str | None:
    """The id that the harness gave the run's session, where it is known."""
    root = _root(db, run)
    return root.native_id if root is not None else None


def items_after(db: Db, run: Run, after: int = -1, limit: int = 500) -> list[dict[str, Any]]:
    """The items of the run's own session whose `seq` is above `after`, in order, as JSON data."""
    root = _root(db, run)
    if root is None:
        return []
    query = select(ItemRow).where(ItemRow.session_id == root.id, ItemRow.seq > after).order_by(col(ItemRow.seq)).limit(limit)
    return [row.data for row in db.exec(query)]


def _store(db: Db, run: Run, data: dict[str, Any], parent: int | None, *, skip: int = 0, call: int | None = None) -> None:
    header = {key: value for key, value in data.items() if key not in ("items", "children")}
    if call is not None:
        header["call"] = call
    row = SessionRow(
        run_id=_id(run), parent_id=parent, native_id=data["native_id"], header=header, provisional=False, skipped=skip
    )
    db.add(row)
    db.flush()
    db.add_all(_item(row, item["seq"], item) for item in data["items"][skip:])
    calls = _calls(data["items"], data["children"])
    for child in data["children"]:
        began = calls.get(child["native_id"])
        if began is None or began >= skip:  # else an earlier run of the ticket has told of it
            _store(db, run, child, row.id, call=began)


def _calls(items: list[dict[str, Any]], children: list[dict[str, Any]]) -> dict[str | None, int]:
    """The `seq` of the item that started each child: the tool call that names its id."""
    ids = {child["native_id"] for child in children if child["native_id"]}
    found: dict[str | None, int] = {}
    for item in items if ids else []:
        if item["kind"] != "tool_call":
            continue
        told = json.dumps([item.get("input"), item.get("output"), item.get("extra")], default=str)
        for native_id in ids - found.keys():
            if f": {json.dumps(native_id)}" in told or (len(native_id) >= _LONG and native_id in told):
                found[native_id] = item["seq"]
    return found


def _told_before(db: Db, run: Run, session: Session) -> int:
    """How many items at the head of that native session an earlier run of the ticket has stored."""
    query = (
        select(SessionRow)
        .join(Run, col(SessionRow.run_id) == col(Run.id))
        .where(Run.ticket_id == run.ticket_id, Run.number < run.number, SessionRow.native_id == session.native_id)
        .where(col(SessionRow.parent_id).is_(None), col(SessionRow.provisional).is_(False))
        .order_by(col(SessionRow.id).desc())
    )
    earlier = db.exec(query).first() if session.native_id is not None else None
    if earlier is None:
        return 0
    last = db.exec(select(ItemRow).where(ItemRow.session_id == earlier.id).order_by(col(ItemRow.seq).desc())).first()
    if last is None:
        return earlier.skipped
    # By the item's own name where it has one: a harness that compacts its history moves the numbers.
    named = [place for place, item in enumerate(session.items) if item.id is not None and item.id == last.data.get("id")]
    count = (named[-1] if named else last.seq) + 1
    return count if count <= len(session.items) else 0


def _load(db: Db, row: SessionRow) -> Session:
    items = db.exec(select(ItemRow).where(ItemRow.session_id == row.id).order_by(col(ItemRow.seq)))
    children = list(db.exec(select(SessionRow).where(SessionRow.parent_id == row.id).order_by(col(SessionRow.id))))
    return Session.model_validate(
        {**row.header, "native_id": row.native_id, "items": [item.data for item in items], "children": []}
    ).model_copy(update={"children": [_load(db, child) for child in children]})


def _root(db: Db, run: Run) -> SessionRow | None:
    return db.exec(select(SessionRow).where(SessionRow.run_id == run.id, col(SessionRow.parent_id).is_(None))).first()


def _item(row: SessionRow, seq: int, data: dict[str, Any]) -> ItemRow:
    assert row.id is not None
    return ItemRow(session_id=row.id, seq=seq, kind=data["kind"], data=data)


def _in(seqs: Iterable[int]) -> Any:
    return col(ItemRow.seq).in_(list(seqs))


def _id(run: Run) -> int:
    assert run.id is not None
    return run.id
