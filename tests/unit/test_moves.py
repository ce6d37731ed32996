"""What a move on the board means is what the state machine does."""

from __future__ import annotations

import pytest

from dispatcher import moves
from dispatcher.states import TICKET, TICKET_STATES, ticket_target

BY_WORKERS = {"claim", "ready", "block", "requeue", "conflict"}


def test_every_trigger_of_a_person_is_a_move_and_nothing_else_is() -> None:
    offered = {(move.source, move.trigger, move.target) for move in moves.MOVES}
    assert offered == {tuple(rule) for rule in TICKET if rule.trigger not in BY_WORKERS}
    assert len({(move.source, move.target) for move in moves.MOVES}) == len(moves.MOVES)


def test_every_undo_is_a_move_too() -> None:
    for move in moves.MOVES:
        assert move.undo is None or moves.move_of(move.target, move.undo) is not None, move
        assert ticket_target(move.source, move.trigger) == move.target


@pytest.mark.parametrize("source", TICKET_STATES)
def test_every_pair_of_columns_says_what_it_does_or_why_not(source: str) -> None:
    row = moves.table()[source]
    assert list(row) == list(TICKET_STATES)
    for target, cell in row.items():
        said = cell.get("refused") or cell["says"]
        assert said.endswith(".") and "\n" not in said
        allowed = moves.move_of(source, target) is not None or (source == target and source not in ("done", "cancelled"))
        assert ("refused" in cell) != allowed
