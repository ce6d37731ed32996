"""The order within a column, on each engine."""

from __future__ import annotations

from itertools import pairwise

import pytest

from dispatcher import activity, ordering, search
from dispatcher import board as cases
from dispatcher.errors import Conflict, NotFound
from tests.board import Board


def column(board: Board, state: str = "backlog") -> str:
    with board.database.reading() as db:
        return " ".join(ticket.key.removeprefix("WEB-") for ticket in search.tickets(db, search.parse(""), state=state))


def place(board: Board, number: int, after: int | None = None, before: int | None = None) -> None:
    with board.database.transaction() as db:
        neighbours = {name: f"web-{value}" for name, value in (("after", after), ("before", before)) if value}
        ordering.place(db, cases.get_ticket(db, f"WEB-{number}"), **neighbours)


@pytest.fixture
def five(board: Board) -> Board:
    with board.database.transaction() as db:
        for number in range(5):
            cases.file_ticket(db, project="WEB", title=f"Number {number}")
    return board


def test_new_tickets_come_last_and_each_can_go_between_two(five: Board) -> None:
    assert column(five) == "1 2 3 4 5"
    place(five, 5, after=1, before=2)
    assert column(five) == "1 5 2 3 4"
    place(five, 1, after=4)
    assert column(five) == "5 2 3 4 1"
    place(five, 3, before=5)
    assert column(five) == "3 5 2 4 1"
    place(five, 2, after=2, before=2)
    place(five, 2)
    assert column(five) == "3 5 2 4 1"
    with five.database.reading() as db:
        assert ordering.neighbours(db, cases.get_ticket(db, "WEB-5")) == ("WEB-3", "WEB-2")
        assert ordering.neighbours(db, cases.get_ticket(db, "WEB-3")) == (None, "WEB-5")
        kinds = [entry.kind for entry in activity.since(db, 0)][5:]
    assert kinds == ["ticket.placed"] * 3
    with five.database.transaction() as db:
        cases.file_ticket(db, project="WEB", title="The newest")
    assert column(five) == "3 5 2 4 1 6"


def test_numbers_are_given_anew_when_the_gaps_are_gone(five: Board) -> None:
    order = [1, 2, 3, 4, 5]
    for turn in range(60):
        moved = order[2 + turn % 2]
        order.remove(moved)
        order.insert(1, moved)
        place(five, moved, after=order[0])
        assert column(five) == " ".join(map(str, order))
    with five.database.reading() as db:
        kinds = [entry.kind for entry in activity.since(db, 0)]
        positions = [ticket.position for ticket in search.tickets(db, search.parse(""))]
    assert 1 <= kinds.count("board.renumbered") <= 4
    assert min(after - before for before, after in pairwise(positions)) > ordering.SMALLEST_GAP / 2


def test_equal_positions_make_room(five: Board) -> None:
    with five.database.transaction() as db:
        for ticket in search.tickets(db, search.parse("")):
            ticket.position = 7
            db.add(ticket)
    place(five, 5, after=2)
    assert column(five) == "1 2 5 3 4"


def test_a_neighbour_that_has_gone_is_passed_over(five: Board) -> None:
    with five.database.transaction() as db:
        cases.cancel(db, cases.get_ticket(db, "WEB-2"))
    place(five, 5, after=2, before=3)
    assert column(five) == "1 5 3 4"
    place(five, 5, after=2)
    assert column(five) == "1 5 3 4"
    with pytest.raises(NotFound):
        place(five, 5, after=99)
    with pytest.raises(Conflict, match="by when they were closed"):
        place(five, 2, after=1)
