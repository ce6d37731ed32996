"""A real OpenCode whose agent starts another: what that one does is told while it runs, under the call that started it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from dispatcher import activity, board, reading, runs
from dispatcher.demo.scripted import Call, Run, Say, ScriptedEndpoint
from dispatcher.models import Agent, Endpoint
from dispatcher.reading import Branch
from tests.conftest import HARNESSES
from tests.house import House, house

pytestmark = [pytest.mark.real, pytest.mark.slow]
DELEGATE = Call("task", {"description": "Look around", "prompt": "List the files.", "subagent_type": "general"})


@pytest.mark.asyncio
async def test_a_child_session_is_told_while_it_runs(
    tmp_path: Path, repository: Path, harness_binary: Callable[[str], Path]
) -> None:
    await asyncio.to_thread(harness_binary, "opencode")
    url = f"sqlite:///{tmp_path / 'd.db'}"
    with ScriptedEndpoint() as endpoint:
        endpoint.play([DELEGATE, Run("sleep 2; ls"), Say("There is a README."), Say("All done.")])
        async with house(tmp_path, url, repository, harness_home=HARNESSES, endpoint_patience=20) as home:
            home.edit(Agent, harness="opencode")
            home.edit(Endpoint, base_url=endpoint.base_url, model="scripted", context_length=32768, output_length=4096)
            key = home.file()
            working = asyncio.create_task(home.work(key, seconds=60))
            early = await _first_seen(home, key)
            await working
            run = home.run(key)
            with home.database.reading() as db:
                feed = [entry for entry in activity.since(db, 0) if entry.run_id == run.id]
                root, child = reading.tree(db, run)
                said = [item.get("text") or item.get("title") for item in reading.window(db, child, range(child.end))]
    kinds = [("child" if "session" in entry.data else "root") if entry.kind == "run.items" else entry.kind for entry in feed]
    assert "child" in kinds[: kinds.index("run.session")], kinds
    assert child.parent == root.name == "" and child.call is not None and not child.provisional
    assert "There is a README." in said
    # While it still ran, it stood already below the call that had started it.
    assert (early.name, early.parent, early.call) == (child.name, "", child.call)


async def _first_seen(home: House, key: str) -> Branch:
    """The child session as it is first seen with entries, while the run goes on."""
    async with asyncio.timeout(60):
        while True:
            with home.database.reading() as db:
                run = runs.live_run(db, board.get_ticket(db, key))
                found = [branch for branch in reading.tree(db, run) if branch.parent is not None] if run else []
            if found and found[0].provisional and found[0].count > 1:
                return found[0]
            await asyncio.sleep(0.05)
