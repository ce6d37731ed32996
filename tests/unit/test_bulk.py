"""The same for many tickets, on each engine."""

from __future__ import annotations

import pytest

from dispatcher import board as cases
from dispatcher import bulk
from dispatcher.errors import Invalid
from tests.board import Board


@pytest.fixture
def four(board: Board) -> Board:
    with board.database.transaction() as db:
        for number in range(4):
            cases.file_ticket(db, project="WEB", title=f"Number {number}", labels=["Old"] if number % 2 else [])
        cases.cancel(db, cases.get_ticket(db, "WEB-4"))
    return board


def told(results: list[bulk.Result]) -> list[str]:
    return [one.error.message if one.error else "changed" if one.changed else "was so" for one in results]


def test_each_ticket_is_done_or_told_why_not(four: Board) -> None:
    results = bulk.act(four.database, "assign", ["web-1", "WEB-2", "WEB-1", "WEB-4", "WEB-9"], agent="coder")
    assert [one.key for one in results] == ["WEB-1", "WEB-2", "WEB-4", "WEB-9"]
    assert told(results) == [
        *("changed", "changed", "WEB-4 is cancelled: it cannot be assigned now", "there is no ticket 'WEB-9'"),
    ]
    assert told(bulk.act(four.database, "withdraw", ["WEB-1", "WEB-3"]))[0] == "changed"
    with four.database.reading() as db:
        assert [cases.get_ticket(db, f"WEB-{number}").state for number in (1, 2, 3)] == ["backlog", "queued", "backlog"]
    assert "there is no agent 'nobody'" in told(bulk.act(four.database, "assign", ["WEB-1"], agent="nobody"))
    assert told(bulk.act(four.database, "cancel", ["WEB-1", "WEB-2"])) == ["changed", "changed"]
    assert told(bulk.act(four.database, "reopen", ["WEB-1", "WEB-4"])) == ["changed", "changed"]


def test_labels_come_and_go_without_regard_to_case(four: Board) -> None:
    assert told(bulk.act(four.database, "label", ["WEB-1", "WEB-2"], label=" old ")) == ["changed", "was so"]
    assert told(bulk.act(four.database, "unlabel", ["WEB-1", "WEB-2", "WEB-3"], label="OLD")) == [
        "changed",
        "changed",
        "was so",
    ]
    with four.database.reading() as db:
        assert cases.get_ticket(db, "WEB-1").labels == cases.get_ticket(db, "WEB-2").labels == []


@pytest.mark.parametrize(
    ("action", "keys", "more", "field"),
    [
        ("explode", ["WEB-1"], {}, "action"),
        ("cancel", [" "], {}, "keys"),
        ("cancel", [f"WEB-{number}" for number in range(1001)], {}, "keys"),
        ("assign", ["WEB-1"], {}, "agent"),
        ("label", ["WEB-1"], {}, "label"),
        ("label", ["WEB-1"], {"label": "a,b"}, "labels"),
    ],
)
def test_what_is_wrong_for_all_is_refused(four: Board, action: str, keys: list[str], more: dict[str, str], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        bulk.act(four.database, action, keys, **more)
    assert caught.value.field == field and caught.value.hint
