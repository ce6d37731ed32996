"""A run that comes to know a secret and tells it everywhere: nothing of it is kept, shown, streamed or sent on."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import pytest
from sqlalchemy import inspect, text

from dispatcher import leases
from dispatcher.github import secrets
from dispatcher.models import Endpoint, Project
from tests.gitting import git
from tests.house import House, house
from tests.webbing import open_web

pytestmark = pytest.mark.guarantee("what a run tells holds no secret")

KEY = "sk-endpoint-key/9f8e7d+6c5b"
TOKEN = "github_pat_11ABCDEFG0123456789"
WAYS = (
    KEY,
    quote(KEY, safe=""),
    base64.b64encode(b"x" + KEY.encode()).decode(),
    KEY[:8] + "\x1b[31m" + KEY[8:],
    KEY.encode().hex(),
    TOKEN,
)
"""As a shell's printf writes them; what they are in JSON comes from the harness."""


@pytest.fixture
async def home(tmp_path: Path, database_url: str, repository: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    monkeypatch.setenv("MODEL_KEY", KEY)
    async with house(tmp_path, database_url, repository) as made:
        with made.database.transaction() as db:
            endpoint, project = db.get_one(Endpoint, 1), db.get_one(Project, 1)
            endpoint.key_env = "MODEL_KEY"
            secrets.write(made.settings, project.key, "token", TOKEN)
            db.add(endpoint)
        yield made


def lay_script(repository: Path) -> None:
    """What the agent runs, in its repository: it says each way, and prints each to its other stream."""
    items: list[dict[str, str]] = [{"kind": "assistant", "text": f"It is {way} indeed."} for way in WAYS]
    items.append({"kind": "tool_call", "tool": "bash", "title": f"echo {KEY}", "status": "completed", "output": KEY})
    items.append({"kind": "assistant", "text": f"Shall I keep {KEY} in a.txt?"})
    lines = [f"tell '{json.dumps(item)}'\n" for item in items] + [f"echo '{way}' >&2\n" for way in WAYS]
    (repository / "script").write_text("".join(lines))
    git(repository, "add", ".")
    git(repository, "commit", "-q", "-m", "What it tells")


def told(home: House) -> str:
    """All that the database and the runs' folders hold."""
    kept: list[str] = []
    engine = home.database.engine
    with engine.connect() as connection:
        for table in inspect(engine).get_table_names():
            kept += [repr(tuple(row)) for row in connection.execute(text(f'SELECT * FROM "{table}"'))]
    kept += [path.read_bytes().decode("latin-1") for path in home.settings.runs.rglob("*") if path.is_file()]
    return "\n".join(kept)


@pytest.mark.parametrize("how", ["asks", "fails", "check"])
async def test_what_a_run_tells_holds_no_secret(home: House, repository: Path, how: str) -> None:
    lay_script(repository)
    lines = [". ./script"]
    if how != "asks":
        lines += ["echo one > a.txt", "say Done."]
    if how == "fails":
        lines.append(". ./script; exit 3")
    if how == "check":
        home.edit(Project, check_command="grep -h indeed script; exit 1")
    key = home.file(*lines)
    assert await home.work(key) == "blocked"
    everything = told(home)
    assert "It is [redacted] indeed." in everything
    for way in (*WAYS, base64.b64encode(KEY.encode()).decode()[:20], KEY[:14]):
        assert way not in everything
    if how == "asks":
        assert home.blocker(key).text == "Shall I keep [redacted] in a.txt?"
    if how == "check":
        assert home.checks(key)[0].output.count("[redacted]") == len(WAYS)


@pytest.mark.parametrize("how", ["its worker died", "its worker was stopped"])
async def test_a_run_that_is_lost_leaves_no_secret_behind(home: House, repository: Path, how: str) -> None:
    lay_script(repository)
    key = home.file("test -f half && say Done. || { . ./script; echo x > half; sleep 60; }")
    crew = home.crew()
    await crew.take()
    await home.until(lambda: any(home.settings.worktrees.rglob("half")))
    run = home.run(key)
    if how == "its worker died":
        with home.database.transaction() as db:
            leases.renew(db, {run.id or 0: run.fence}, -1)
        await home.crew("w2").take_over()
    else:
        await crew.close()
    folder = home.settings.runs / str(run.id)
    printed = b"".join((folder / name).read_bytes() for name in ("stdout", "stderr")).decode("latin-1")
    assert "It is ***" in printed
    for way in WAYS:
        assert way not in printed


async def test_a_log_is_masked_while_it_is_written(home: House, tmp_path: Path) -> None:
    key = home.file("echo one > a.txt", "say Done.")
    await home.work(key)
    run = home.run(key)
    log = home.settings.runs / str(run.id) / "stderr"
    filler = "x" * 1000
    log.write_text(f"{filler}{KEY}\n{filler}")
    async with open_web(home.database.url, home.settings.home) as web:
        for offset in (0, 990, 1000, 1005, 1000 + len(KEY) - 1):
            answer = await web.client.get(
                f"/api/v1/runs/{run.id}/log", params={"stream": "stderr", "offset": offset, "limit": 40}
            )
            whole = filler + "*" * len(KEY) + "\n" + filler
            assert answer.text == whole[offset : offset + 40]
            assert answer.headers["X-Next-Offset"] == str(offset + 40)
