"""When a run has to be ended: stop, time, silence, tokens, turns, a loop, an endpoint that stays away."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

from adapters.session import Item
from dispatcher.models import Agent
from dispatcher.prompts import Policy
from dispatcher.states import BlockerKind
from workers.gateway import Door


@dataclass(frozen=True)
class Limits:
    """What one run may use; 0 tokens means without a limit."""

    seconds: float
    silence: float
    tokens: int
    turns: int
    repeats: int

    @classmethod
    def of(cls, agent: Agent, policy: Policy, repeats: int) -> Limits:
        """The agent's limits, and the repository's where it sets its own."""
        return cls(
            seconds=policy.max_seconds or agent.max_seconds,
            silence=policy.max_silence or agent.max_silence,
            tokens=agent.max_tokens if policy.max_tokens is None else policy.max_tokens,
            turns=policy.max_turns or agent.max_turns,
            repeats=repeats,
        )


@dataclass(frozen=True)
class Ended:
    """Why the worker ended a run."""

    kind: BlockerKind
    text: str
    seq: int | None = None


class Watch:
    """Looks at one run as it goes on."""

    def __init__(self, limits: Limits, door: Door) -> None:
        self._limits = limits
        self._door = door
        self._began = self._heard = time.monotonic()
        self._last_call: str | None = None
        self._repeats = 0
        self._counted: set[str] = set()
        self._loop: Ended | None = None
        self.stop_requested = False

    def heard(self) -> None:
        """The harness has written something."""
        self._heard = time.monotonic()

    def note(self, items: list[Item]) -> None:
        """Count equal tool calls in a row."""
        for item in items:
            if item.kind != "tool_call" or item.status not in ("completed", "failed") or item.id in self._counted:
                continue
            if item.id is not None:
                self._counted.add(item.id)
            call = f"{item.tool} {json.dumps(item.input, sort_keys=True, default=str)}"
            self._repeats = self._repeats + 1 if call == self._last_call else 1
            self._last_call = call
            if self._repeats >= self._limits.repeats:
                self._loop = Ended("loop", f"the agent made the same call {self._repeats} times: {call[:160]}", item.seq)

    def verdict(self) -> Ended | None:
        """Why the run has to be ended now; None while it may go on."""
        limits, meter, now = self._limits, self._door.meter, time.monotonic()
        silent = min(now - self._heard, self._door.quiet_seconds)
        if self.stop_requested:
            return Ended("stopped", "stopped on request")
        if self._door.gave_up.is_set() and self._door.fault is not None:
            waited = "" if self._door.fault.final else f" (waited {self._door.patience:.0f} s for it)"
            return Ended(_blocker(self._door.fault.kind), f"{self._door.fault.text}{waited}")
        if now - self._began > limits.seconds:
            return Ended("timed_out", f"the run took longer than {limits.seconds:.0f} s")
        if silent > limits.silence:
            return Ended("stalled", f"nothing was written and nothing asked of the model for {silent:.0f} s")
        if limits.tokens and meter.tokens > limits.tokens:
            return Ended("limit", f"{meter.tokens:,} tokens were used; {limits.tokens:,} is the agent's limit")
        if meter.requests > limits.turns:
            return Ended("limit", f"{meter.requests} model requests were made; {limits.turns} turns is the agent's limit")
        return self._loop


def _blocker(kind: str) -> BlockerKind:
    known: dict[str, BlockerKind] = {
        "rate_limited": "rate_limited",
        "endpoint_auth": "endpoint_auth",
        "endpoint_error": "endpoint_error",
        "misconfigured": "misconfigured",
        "context_overflow": "context_overflow",
    }
    return known.get(kind, "endpoint_down")
