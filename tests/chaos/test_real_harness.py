"""A real harness, whose worker is killed in the midst of its work: its own session goes on with the next worker."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dispatcher.demo.scripted import Run, Say, Stall
from tests.story import FIX, Site, standing

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.guarantee("a lost run continues, it does not start over")]
HARNESS = "opencode"


@pytest.fixture
def site(tmp_path: Path, harness_binary: Callable[[str], Path]) -> Iterator[Site]:
    harness_binary(HARNESS)
    with standing(tmp_path / "home", tmp_path / "calc", lease_seconds="2", sweep_seconds="0.2") as site:
        site.furnish(HARNESS)
        yield site


def test_killed_in_the_midst_it_goes_on_in_the_same_session_and_workspace(site: Site) -> None:
    site.play(Run("echo half > half.txt"), Stall(60), Say("too late"))
    site.cli("ticket", "new", "Fix add in calc.py", "--project", "CALC", "--assign", HARNESS)
    key = site.newest()
    # The second question to the model holds the first one's result, so the session has it.
    site.until(lambda: len(site.endpoint.completions) >= 2 and (site.home / "worktrees/CALC" / key / "half.txt").exists())
    [worker] = site.ask("/workers")
    asked = len(site.endpoint.completions)
    site.play(FIX, Say("Done in the second go."))
    os.kill(worker["pid"], signal.SIGKILL)
    site.until(lambda: site.ticket(key)["state"] in ("review", "blocked"))
    assert site.ticket(key)["state"] == "review", site.ticket(key)["blocker"]
    assert [run["state"] for run in sorted(site.ticket(key)["runs"], key=lambda run: run["number"])] == ["lost", "succeeded"]
    told = site.endpoint.completions[-1].text()
    before, _, after = told.partition("Your last run did not finish.")
    assert f"Ticket {key}" in before and after, "the model is told all that was said before, in one conversation"
    assert len(site.endpoint.completions) > asked
    assert "half.txt" in site.git("ls-tree", "--name-only", f"agent/{key}"), "the workspace is the same"
