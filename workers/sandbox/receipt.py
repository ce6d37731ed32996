"""The receipt of a sandbox: what it let in, what was tried from inside, and how that went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from workers.sandbox import trials
from workers.sandbox.channel import Tried
from workers.sandbox.inside.probe import REACHED
from workers.sandbox.reasons import Refused


@dataclass(frozen=True)
class Receipt:
    """What the trials of one sandbox showed. A name counts as refused when all that was tried under it was."""

    tier: str
    reached: tuple[str, ...]
    refused: tuple[str, ...]
    open: tuple[str, ...]
    """What the tier cannot hold, and nobody tried."""
    leaks: tuple[str, ...] = ()
    """What was reached and must not be, with the target."""
    missing: tuple[str, ...] = ()
    """What must work and does not, with the reason."""
    tried: int = 0

    @classmethod
    def of(cls, tier: str, tried: Sequence[Tried]) -> Receipt:
        """The receipt of these trials."""
        shut = [one for one in tried if one.trial.name in trials.CLOSED]
        works = [one for one in tried if one.trial.name not in trials.CLOSED]
        leaking = [one for one in shut if one.answer.startswith(REACHED)]
        names = dict.fromkeys(one.trial.name for one in shut)
        return cls(
            tier=tier,
            reached=tuple(one.trial.name for one in works if one.answer == REACHED),
            refused=tuple(name for name in names if name not in {one.trial.name for one in leaking}),
            open=tuple(trials.not_held(tier)),
            leaks=tuple(f"{one.trial.name} ({_target(one)})" for one in leaking),
            missing=tuple(f"{one.trial.name}: {one.answer}" for one in works if one.answer != REACHED),
            tried=len(tried),
        )

    def check(self) -> None:
        """Raise `Refused` where the sandbox is not what it has to be."""
        if self.leaks:
            raise Refused(
                f"the {self.tier} sandbox leaks, and the agent was not started: {'; '.join(self.leaks)} could be reached",
                "see: dispatcher doctor",
            )
        if self.missing:
            raise Refused(f"the {self.tier} sandbox is too tight: {'; '.join(self.missing)}", "see: dispatcher doctor")

    def to_json(self) -> dict[str, Any]:
        """As it is stored with a run."""
        return {
            "tier": self.tier,
            "reached": list(self.reached),
            "refused": list(self.refused),
            "open": list(self.open),
            "of": len(self.refused) + len(self.leaks),
            "tried": self.tried,
        }


def _target(one: Tried) -> str:
    """What was tried, shortly: an address, a path."""
    parts = [str(part) for part in one.trial.target]
    return ":".join(parts) if one.trial.kind in ("tcp", "away", "udp") else parts[0]
