"""Both state machines as data: (from, trigger, to). `transitions.py` is the only writer of a state."""

from __future__ import annotations

from typing import Literal, NamedTuple

from adapters.session import FaultKind

TicketState = Literal["backlog", "queued", "running", "blocked", "review", "done", "cancelled"]
TicketTrigger = Literal[
    "assign",
    "withdraw",
    "claim",
    "ready",
    "block",
    "requeue",
    "answer",
    "accept",
    "change",
    "conflict",
    "merge",
    "cancel",
    "reopen",
]
RunState = Literal[
    "queued",
    "preparing",
    "running",
    "finishing",
    "succeeded",
    "no_changes",
    "blocked",
    "failed",
    "timed_out",
    "stalled",
    "cancelled",
    "lost",
]
RunTrigger = Literal[
    "claim",
    "launch",
    "finish",
    "takeover",
    "succeed",
    "find_nothing",
    "block",
    "fail",
    "time_out",
    "stall",
    "cancel",
    "lose",
]
BlockerKind = Literal[
    FaultKind,
    "no_changes",
    "check_failed",
    "conflict",
    "setup_failed",
    "harness_missing",
    "sandbox",
    "timed_out",
    "stalled",
]


class TicketRule(NamedTuple):
    """One row of the ticket's machine."""

    source: TicketState
    trigger: TicketTrigger
    target: TicketState


class RunRule(NamedTuple):
    """One row of the run's machine."""

    source: RunState
    trigger: RunTrigger
    target: RunState


TICKET: tuple[TicketRule, ...] = (
    TicketRule("backlog", "assign", "queued"),
    TicketRule("queued", "withdraw", "backlog"),
    TicketRule("queued", "claim", "running"),
    TicketRule("queued", "block", "blocked"),
    TicketRule("running", "ready", "review"),
    TicketRule("running", "block", "blocked"),
    TicketRule("running", "requeue", "queued"),
    TicketRule("blocked", "answer", "queued"),
    TicketRule("blocked", "accept", "review"),
    TicketRule("review", "change", "queued"),
    TicketRule("review", "conflict", "blocked"),
    TicketRule("review", "merge", "done"),
    TicketRule("backlog", "cancel", "cancelled"),
    TicketRule("queued", "cancel", "cancelled"),
    TicketRule("running", "cancel", "cancelled"),
    TicketRule("blocked", "cancel", "cancelled"),
    TicketRule("review", "cancel", "cancelled"),
    TicketRule("done", "reopen", "backlog"),
    TicketRule("cancelled", "reopen", "backlog"),
)

RUN: tuple[RunRule, ...] = (
    RunRule("queued", "claim", "preparing"),
    RunRule("queued", "cancel", "cancelled"),
    RunRule("preparing", "launch", "running"),
    RunRule("preparing", "finish", "finishing"),
    RunRule("running", "finish", "finishing"),
    RunRule("finishing", "takeover", "finishing"),
    RunRule("finishing", "succeed", "succeeded"),
    RunRule("finishing", "find_nothing", "no_changes"),
    RunRule("finishing", "block", "blocked"),
    RunRule("finishing", "fail", "failed"),
    RunRule("finishing", "time_out", "timed_out"),
    RunRule("finishing", "stall", "stalled"),
    RunRule("finishing", "cancel", "cancelled"),
    RunRule("preparing", "lose", "lost"),
    RunRule("running", "lose", "lost"),
)

TICKET_STATES: tuple[TicketState, ...] = ("backlog", "queued", "running", "blocked", "review", "done", "cancelled")
OPEN_TICKET: tuple[TicketState, ...] = ("backlog", "queued", "running", "blocked", "review")
LIVE_RUN: tuple[RunState, ...] = ("queued", "preparing", "running", "finishing")
HELD_RUN: tuple[RunState, ...] = ("preparing", "running", "finishing")
"""States in which a worker holds the run, and a slot of its endpoint."""


def ticket_target(source: str, trigger: TicketTrigger) -> TicketState | None:
    """Where `trigger` takes a ticket, or None where it may not."""
    return next((rule.target for rule in TICKET if rule.source == source and rule.trigger == trigger), None)


def run_target(source: str, trigger: RunTrigger) -> RunState | None:
    """Where `trigger` takes a run, or None where it may not."""
    return next((rule.target for rule in RUN if rule.source == source and rule.trigger == trigger), None)


def ticket_triggers(source: str) -> list[TicketTrigger]:
    """What may happen to a ticket in that state."""
    return [rule.trigger for rule in TICKET if rule.source == source]


def diagram() -> str:
    """Both machines as a Mermaid state diagram, for ARCHITECTURE.md."""
    blocks = []
    for title, rules in (("Ticket", TICKET), ("Run", RUN)):
        lines = "\n".join(f"    {rule.source} --> {rule.target}: {rule.trigger}" for rule in rules)
        blocks.append(f"```mermaid\n---\ntitle: {title}\n---\nstateDiagram-v2\n{lines}\n```")
    return "\n\n".join(blocks)
