"""Reading a transcript: its sessions, filters, windows and search, on both engines."""

from __future__ import annotations

import pytest

from adapters.redact import Redactor
from adapters.session import Item, PlanEntry, Session
from dispatcher import reading, transcripts
from dispatcher.errors import NotFound
from dispatcher.models import Run
from dispatcher.reading import Branch
from tests.board import Board

NOTHING = Redactor()
ITEMS = [
    Item(kind="user", text="Ticket WEB-1: Parser drops the last line"),
    Item(kind="assistant", text="I look at the   parser\nfirst. Ça commence à l'été."),
    Item(
        kind="tool_call",
        tool="task",
        tool_kind="other",
        title="Find it",
        input={"prompt": "where?"},
        extra={"session": "ses_child"},
    ),
    Item(
        kind="tool_call", tool="edit", tool_kind="edit", title="a.py", id="prt_4%", input={"oldString": "x\ty", "count": 12.5}
    ),
    Item(
        kind="tool_call", tool="bash", tool_kind="execute", status="failed", output="\x1b[31mpars\x1b[0mer: \x1b[1mzebra\x1b[0m"
    ),
    Item(kind="tool_call", tool="bash", tool_kind="execute", status="completed", exit_code=2, output='say "no" to c:\\temp'),
    Item(kind="plan", entries=[PlanEntry(content="Mend the giraffe")]),
    Item(kind="error", text="it broke", code="endpoint_down"),
]
CHILD = [Item(kind="user", text="where?"), Item(kind="error", text="no parser here"), Item(kind="assistant", text="There.")]


def told(board: Board, *, child: str | None = "ses_child", number: int = 1) -> Run:
    with board.database.transaction() as db:
        run = board.run(db, state="running", number=number, fence=1)
        children = [Session(harness="goose", native_id=child, items=[item.model_copy() for item in CHILD])]
        session = Session(harness="goose", native_id="ses_root", items=[item.model_copy() for item in ITEMS], children=children)
        transcripts.replace(db, run, session.numbered(), NOTHING)
    return run


def branches(board: Board, run: Run) -> list[Branch]:
    with board.database.reading() as db:
        return reading.tree(db, run)


def test_the_tree_names_each_session_and_the_call_that_started_it(board: Board) -> None:
    root, child = branches(board, told(board))
    assert (root.name, root.parent, root.begin, root.end, root.count) == ("", None, 0, 8, 8)
    assert (child.name, child.parent, child.call, child.count) == ("ses_child", "", 2, 3)
    with pytest.raises(NotFound):
        reading.pick([root, child], "ses_other")
    with board.database.reading() as db:
        assert transcripts.load(db, Run(id=1)) is not None  # the call in the header is no part of the common form


@pytest.mark.parametrize("name", ['ses"><script>', "a b", "", None])
def test_a_session_whose_own_name_is_no_name_gets_another(board: Board, name: str | None) -> None:
    _, child = branches(board, told(board, child=name))
    assert child.name == f"s{child.id}" and child.native_id == name


def test_filters_let_through_what_they_say(board: Board) -> None:
    root, child = branches(board, told(board))
    with board.database.reading() as db:
        found = {show: list(reading.wanted(db, root, show)) for show in reading.SHOWS}
        assert found == {
            "all": list(range(8)),
            "messages": [0, 1],
            "tools": [2, 3, 4, 5],
            "edits": [3],
            "errors": [4, 5, 7],
        }
        assert reading.counts(db, root) == {show: len(seqs) for show, seqs in found.items()}
        assert isinstance(reading.wanted(db, root), range)
        assert reading.in_order([root, child], {"": found["errors"], "ses_child": [1]}) == [
            ("ses_child", 1),
            ("", 4),
            ("", 5),
            ("", 7),
        ]


def test_a_window_is_taken_by_numbers(board: Board) -> None:
    root, child = branches(board, told(board))
    with board.database.reading() as db:
        for wanted in (range(2, 4), [3, 2, 99]):
            assert [item["seq"] for item in reading.window(db, root, wanted)] == [2, 3]
        assert reading.window(db, root, []) == [] == reading.window(db, root, range(0))
        assert [item["text"] for item in reading.window_after(db, child, 0, 1)] == ["no parser here"]
        assert (reading.seq_of(db, root, "prt_4%"), reading.seq_of(db, root, "prt_4")) == (3, None)


@pytest.mark.parametrize(
    ("words", "seqs"),
    [
        ("parser", [0, 1, 4]),
        ("PARSER  first", [1]),
        ("l'été", [1]),
        ("ÉTÉ", [1]),
        ("ça", [1]),
        ("zebra", [4]),
        ("giraffe", [6]),
        ("oldstring", [3]),
        ("x y", [3]),
        ("12.5", [3]),
        ('say "no"', [5]),
        ("c:\\temp", [5]),
        ("endpoint_down", [7]),
        ("tool_call", []),
        ("prt_4", []),
        ("%", []),
        ("_", [7]),
        ("u001b", []),
        ("  ", []),
    ],
)
def test_words_are_found_in_what_a_person_reads(board: Board, words: str, seqs: list[int]) -> None:
    root, _ = branches(board, told(board))
    with board.database.reading() as db:
        assert reading.find(db, root, words) == seqs


def test_a_search_ends_at_its_most(board: Board) -> None:
    root, _ = branches(board, told(board))
    with board.database.reading() as db:
        assert reading.find(db, root, "parser", most=2) == [0, 1]


def test_a_run_without_a_session_has_no_tree(board: Board) -> None:
    with board.database.transaction() as db:
        assert reading.tree(db, board.run(db, state="running")) == []


def test_numbers_with_gaps_are_listed(board: Board) -> None:
    with board.database.transaction() as db:
        run = board.run(db, state="running", number=1, fence=1)
        transcripts.put(db, run, [Item(seq=3, kind="notice", text="a"), Item(seq=7, kind="notice", text="b")], None, NOTHING)
    (root,) = branches(board, run)
    with board.database.reading() as db:
        assert reading.wanted(db, root) == [3, 7]


def test_children_that_an_earlier_run_told_of_are_not_told_again(board: Board) -> None:
    first = told(board)
    with board.database.transaction() as db:
        first.state = "succeeded"
        db.add(first)
        second = board.run(db, state="running", number=2, fence=1)
        late = Item(kind="tool_call", tool="task", extra={"session": "ses_late"})
        whole = Session(
            harness="goose",
            native_id="ses_root",
            items=[*(item.model_copy() for item in ITEMS), late],
            children=[
                Session(harness="goose", native_id="ses_child", items=[item.model_copy() for item in CHILD]),
                Session(harness="goose", native_id="ses_late", items=[Item(kind="assistant", text="late")]),
            ],
        )
        transcripts.replace(db, second, whole.numbered(), NOTHING)
    root, child = branches(board, second)
    assert (root.begin, root.count, child.name, child.call) == (8, 1, "ses_late", 8)
