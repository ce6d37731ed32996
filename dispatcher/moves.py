"""What it means to move a ticket from one column of the board to another: a person's triggers of the state machine.

Everything that shows, offers or does a move reads this table, so that what is said before it is done is what is done.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from dispatcher.states import OPEN_TICKET, TICKET_STATES, TicketState, TicketTrigger

Needs = Literal["nothing", "agent", "answer", "words", "confirm"]
"""What a person has to give with it: an agent's name, the answer to a question (else it may be empty), what is to be changed,
or a yes to what is said."""


class Move(NamedTuple):
    """A move between two columns: what a button for it is called, and what it will do, as a sentence."""

    source: TicketState
    target: TicketState
    trigger: TicketTrigger
    label: str
    says: str
    needs: Needs = "nothing"
    undo: TicketState | None = None
    """Where a move back leads that undoes it, by the same state machine; None where nothing does."""


_CANCEL = "Closes the ticket without a merge. {more}Branch and worktree stay until they are discarded."

MOVES: tuple[Move, ...] = (
    Move("backlog", "queued", "assign", "Assign", "Queues a run of the agent.", "agent", "backlog"),
    Move("queued", "backlog", "withdraw", "Back to the backlog", "Takes the queued run back before it begins.", undo="queued"),
    Move(
        "blocked", "queued", "answer", "Answer or try again", "The agent goes on in the same session and workspace.", "answer"
    ),
    Move("blocked", "review", "accept", "Accept as it is", "Takes the changes into review as they are, without another run."),
    Move("review", "queued", "change", "Request changes", "Queues another run in the same workspace with your words.", "words"),
    Move("review", "done", "merge", "Approve and merge", "Merges the branch. That cannot be undone here.", "confirm"),
    Move("backlog", "cancelled", "cancel", "Cancel", _CANCEL.format(more=""), undo="backlog"),
    Move("queued", "cancelled", "cancel", "Cancel", _CANCEL.format(more="Its queued run is taken back. "), undo="backlog"),
    Move("running", "cancelled", "cancel", "Cancel", _CANCEL.format(more="Its agent is stopped. "), "confirm", "backlog"),
    Move("blocked", "cancelled", "cancel", "Cancel", _CANCEL.format(more=""), "confirm", "backlog"),
    Move("review", "cancelled", "cancel", "Cancel", _CANCEL.format(more=""), "confirm", "backlog"),
    Move("done", "backlog", "reopen", "Reopen", "Brings the ticket back to the backlog; what was merged stays merged."),
    Move("cancelled", "backlog", "reopen", "Reopen", "Brings the ticket back to the backlog.", undo="cancelled"),
)

_BY_PLACES: dict[tuple[str, str], Move] = {(move.source, move.target): move for move in MOVES}

_NEVER: dict[str, str] = {
    "running": "A worker takes a queued ticket as soon as its endpoint has a free slot.",
    "blocked": "Only a run, or a merge that fails, blocks a ticket.",
}
_FROM: dict[str, str] = {
    "backlog": "Nobody has worked on it yet: assign it first.",
    "queued": "Its run has not begun: take it back to the backlog, or wait.",
    "running": "An agent is at work on it: stop the run or wait for its end, or cancel the ticket.",
    "blocked": "It waits for a person: answer it, accept it as it is, or cancel it.",
    "review": "It waits for a review: approve it, request changes, or cancel it.",
    "done": "It is closed: reopen it first.",
    "cancelled": "It is closed: reopen it first.",
}


def move_of(source: str, target: str) -> Move | None:
    """The move between two states; None where a person cannot make it."""
    return _BY_PLACES.get((source, target))


def moves_from(source: str) -> list[Move]:
    """The moves that a person can make from there."""
    return [move for move in MOVES if move.source == source]


def refusal(source: str, target: str) -> str:
    """Why a ticket cannot be moved there, as a sentence."""
    if source == target:
        return "Closed tickets stand by when they were closed." if source not in OPEN_TICKET else "It is there already."
    return _NEVER.get(target) or _FROM[source]


def table() -> dict[str, dict[str, dict[str, str]]]:
    """For a browser, by the state that is left and the one that is entered: `says` and `needs`, or `refused` with why."""
    return {source: {target: _row(source, target) for target in TICKET_STATES} for source in TICKET_STATES}


def _row(source: str, target: str) -> dict[str, str]:
    if source == target and source in OPEN_TICKET:
        return {"says": "Keeps its place in the column.", "needs": "nothing", "label": "Reorder"}
    move = move_of(source, target)
    if move is None:
        return {"refused": refusal(source, target)}
    return {"says": move.says, "needs": move.needs, "label": move.label}
