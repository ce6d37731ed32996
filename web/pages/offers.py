"""What can be done with a ticket in its state, as its page offers it: what a button is called, does, and which key it has."""

from __future__ import annotations

from typing import NamedTuple

from dispatcher.moves import moves_from
from web.schemas import RunOut, TicketDetail


class Offer(NamedTuple):
    """One button; `asks` ones lead to a question first."""

    name: str
    label: str
    says: str
    key: str
    style: str = ""
    asks: bool = False


_KEYS = {"withdraw": "Shift+W", "accept": "Shift+T", "reopen": "Shift+O"}
_STOP = "Ends the agent. What it did stays in the workspace, and the ticket waits for you to say how to go on."
_DISCARD = "Removes branch and worktree, and cancels the ticket. Transcripts and comments stay."


def offers(ticket: TicketDetail, live: RunOut | None) -> list[Offer]:
    """The buttons of its page; assigning, answering and the verdicts have forms of their own."""
    found = []
    if live is not None and not live.cancel_requested and ticket.state == "running":
        found.append(Offer("stop", "Stop the run", _STOP, "Shift+S"))
    moves = moves_from(ticket.state)
    for move in moves:
        if move.trigger in _KEYS and (move.trigger != "accept" or ticket.files):
            style = "primary" if move.trigger == "reopen" else ""
            found.append(Offer(move.trigger, move.label, move.says, _KEYS[move.trigger], style))
    for move in moves:
        if move.trigger == "cancel":
            found.append(Offer("cancel", "Cancel the ticket…", move.says, "Shift+X", "danger", asks=True))
    if ticket.workspace is not None and live is None and ticket.state != "done":
        found.append(Offer("discard", "Discard the work…", _DISCARD, "Shift+D", "danger", asks=True))
    return found
