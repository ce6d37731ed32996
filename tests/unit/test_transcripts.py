"""Sessions in the database: provisional, authoritative, continued, nested; and no secret among them."""

from __future__ import annotations

import pytest

from adapters.base import ChildItems
from adapters.redact import Redactor
from adapters.session import Item, Session, Usage
from dispatcher import activity, reading, transcripts
from dispatcher.errors import FenceLost
from dispatcher.models import Run
from tests.board import Board

NOTHING = Redactor()


def held(board: Board, number: int = 1) -> Run:
    with board.database.transaction() as db:
        return board.run(db, state="running", number=number, fence=1)


def item(seq: int, text: str, **values: object) -> Item:
    return Item(seq=seq, kind="assistant", text=text, **values)  # type: ignore[arg-type]


def texts(board: Board, run: Run) -> list[str]:
    with board.database.reading() as db:
        return [data["text"] for data in transcripts.items_after(db, run)]


def test_provisional_items_are_replaced_by_seq_and_then_by_the_record(board: Board) -> None:
    run = held(board)
    with board.database.transaction() as db:
        transcripts.put(db, run, [item(0, "a"), item(1, "b")], None, NOTHING)
    with board.database.transaction() as db:
        transcripts.put(db, run, [item(1, "B"), item(2, "c")], "ses_1", NOTHING)
    assert texts(board, run) == ["a", "B", "c"]
    child = Session(harness="goose", native_id="ses_2", parent="ses_1", items=[item(0, "child")])
    session = Session(
        harness="goose", native_id="ses_1", items=[item(0, "a"), item(1, "b2")], children=[child], usage=Usage(requests=2)
    )
    for _ in range(2):
        with board.database.transaction() as db:
            transcripts.replace(db, run, session, NOTHING)
    with board.database.reading() as db:
        loaded = transcripts.load(db, run)
        assert loaded == session and transcripts.native_id(db, run) == "ses_1"


def test_a_continued_session_tells_only_what_is_new(board: Board) -> None:
    first = held(board)
    with board.database.transaction() as db:
        transcripts.replace(db, first, Session(harness="goose", native_id="s", items=[item(0, "a"), item(1, "b")]), NOTHING)
        first.state = "succeeded"
        db.add(first)
    second = held(board, number=2)
    whole = Session(harness="goose", native_id="s", items=[item(0, "a"), item(1, "b"), item(2, "c")])
    for _ in range(2):
        with board.database.transaction() as db:
            transcripts.replace(db, second, whole, NOTHING)
    assert texts(board, first) == ["a", "b"] and texts(board, second) == ["c"]


def test_a_continued_session_whose_history_was_compacted_is_cut_by_the_items_own_names(board: Board) -> None:
    first = held(board)
    with board.database.transaction() as db:
        earlier = [item(0, "a", id="1"), item(1, "b", id="2"), item(2, "c", id="3")]
        transcripts.replace(db, first, Session(harness="goose", native_id="s", items=earlier), NOTHING)
        first.state = "succeeded"
        db.add(first)
    second = held(board, number=2)
    whole = Session(harness="goose", native_id="s", items=[item(0, "sum", id="9"), item(1, "c", id="3"), item(2, "d", id="4")])
    with board.database.transaction() as db:
        transcripts.replace(db, second, whole, NOTHING)
    assert texts(board, second) == ["d"]


def test_a_child_is_told_of_while_it_runs(board: Board) -> None:
    run = held(board)
    with board.database.transaction() as db:
        transcripts.put_child(db, run, ChildItems("ses_2", "ses_1", "Explore", [item(0, "too early")]), NOTHING)
        assert reading.tree(db, run) == []
        started = Item(seq=1, kind="tool_call", tool="task", extra={"session": "ses_2"})
        transcripts.put(db, run, [item(0, "a"), started], "ses_1", NOTHING)
        transcripts.put_child(db, run, ChildItems("ses_2", "ses_1", "Explore", [item(0, "x"), item(1, "y")]), NOTHING)
        transcripts.put_child(db, run, ChildItems("ses_3", "ses_2", None, [item(0, "deep")]), NOTHING)
        transcripts.put_child(db, run, ChildItems("ses_2", "ses_1", "Explore", [item(1, "Y"), item(2, "z")]), NOTHING)
    with board.database.reading() as db:
        root, child, grandchild = reading.tree(db, run)
        assert (child.name, child.parent, child.call, child.count, child.header["title"]) == ("ses_2", "", 1, 3, "Explore")
        assert (root.count, grandchild.name, grandchild.parent, grandchild.call) == (2, "ses_3", "ses_2", None)
        assert [data["text"] for data in reading.window(db, child, range(3))] == ["x", "Y", "z"]
        told = [entry.data for entry in activity.since(db, 0) if entry.kind == "run.items"]
        assert [(data.get("session"), data["seqs"]) for data in told] == [
            (None, [0, 1]),
            ("ses_2", [0, 1]),
            ("ses_3", [0]),
            ("ses_2", [1, 2]),
        ]
    with board.database.transaction() as db:
        transcripts.replace(db, run, Session(harness="goose", native_id="ses_1", items=[item(0, "a")]), NOTHING)
        assert [branch.count for branch in reading.tree(db, run)] == [1]


def test_a_stale_worker_writes_no_items(board: Board) -> None:
    run = held(board)
    run.fence = 0
    with pytest.raises(FenceLost), board.database.transaction() as db:
        transcripts.put(db, run, [item(0, "late")], None, NOTHING)
    assert texts(board, run) == []


def test_secrets_do_not_reach_the_database(board: Board) -> None:
    run = held(board)
    redactor = Redactor(frozenset({"sk-very-secret"}))
    told = Item(seq=0, kind="tool_call", text="t", input={"sk-very-secret": ["sk-very-secret"]}, output="key=sk-very-secret!")
    with board.database.transaction() as db:
        transcripts.put(db, run, [told], None, redactor)
        transcripts.replace(db, run, Session(harness="goose", title="sk-very-secret", items=[told]), redactor)
    with board.database.reading() as db:
        loaded = transcripts.load(db, run)
        assert loaded is not None and "sk-very" not in str(loaded.to_json()) and loaded.items[0].output == "key=[redacted]!"
