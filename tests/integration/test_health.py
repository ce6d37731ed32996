"""What supervisors, load balancers and Prometheus ask."""

from __future__ import annotations

import asyncio
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from dispatcher import doctor, room, runs
from dispatcher.settings import Settings
from tests.webbing import open_web

ASKS = runs.Result("block", "question", "Which?", "question")


async def test_figures_are_those_of_the_board(tmp_path: Path, database_url: str, repository: Path) -> None:
    async with open_web(database_url, tmp_path / "data") as web:
        await web.furnish(repository)
        await web.ticket("In the backlog")
        waiting = await web.ticket("Waits")
        blocked, done, running = [await web.ticket(name, agent="coder") for name in ("Blocked", "Done", "Runs")]
        web.work(blocked, repository, result=ASKS)
        web.work(done, repository)
        web.work(running, repository, result=None)
        await web.send("POST", f"/tickets/{waiting}/assign", {"agent": "coder"})
        answer = await web.client.get("/metrics")
        assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/plain; version=")
    samples = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    assert samples["dispatcher_tickets", "WEB", "backlog"] == 1 and samples["dispatcher_tickets", "WEB", "done"] == 0
    assert samples["dispatcher_tickets", "WEB", "review"] == 1 and samples["dispatcher_blockers_open", "question"] == 1
    assert samples["dispatcher_runs_live", "running"] == 1 and samples["dispatcher_runs_live", "queued"] == 1
    assert samples["dispatcher_runs_ended_total", "coder", "succeeded"] == 1
    assert samples["dispatcher_tokens_total", "local", "prompt"] == 36_000
    assert samples["dispatcher_endpoint_slots", "local"] == 9 and samples["dispatcher_endpoint_slots_in_use", "local"] == 1
    assert samples["dispatcher_endpoint_queue", "local"] == 1 and samples["dispatcher_oldest_queued_seconds",] >= 0
    assert samples["dispatcher_workers_alive",] == 0 and samples["dispatcher_activity_cursor",] > 10


async def test_an_empty_site_has_figures_too(tmp_path: Path) -> None:
    async with open_web(f"sqlite:///{tmp_path / 'dispatcher.db'}", tmp_path / "data") as web:
        answer = await web.client.get("/metrics")
        assert answer.status_code == 200 and "dispatcher_workers_alive 0.0" in answer.text


def test_a_disk_below_the_floor_is_a_finding(tmp_path: Path) -> None:
    short = next(one for one in doctor.examine(Settings(home=tmp_path, free_gb=1e9)) if one.what == "data folder")
    assert (
        short.state == "problem" and "new runs begin at 1e+09 GB" in short.text and "dispatcher upkeep --dry-run" in short.fix
    )
    assert room.shortage(Settings(home=tmp_path, free_gb=0)) == ""


async def test_ready_as_long_as_the_database_answers(tmp_path: Path) -> None:
    async with open_web(f"sqlite:///{tmp_path / 'dispatcher.db'}", tmp_path / "data") as web:
        assert (await web.anonymous.get("/healthz")).text == "ok\n"
        ready = await web.anonymous.get("/readyz")
        assert (ready.status_code, ready.json()) == (200, {"database": "ok", "redis": "none", "disk": "ok"})
        assert (await web.anonymous.get("/metrics")).status_code in (303, 401)
        with web.database.engine.begin() as connection:
            connection.execute(text("ALTER TABLE alembic_version RENAME TO gone"))
        away = await web.anonymous.get("/readyz")
        assert (away.status_code, away.json()["database"]) == (503, "away")
        assert (await web.anonymous.get("/healthz")).status_code == 200
        with web.database.engine.begin() as connection:
            connection.execute(text("ALTER TABLE gone RENAME TO alembic_version"))


async def test_head_is_answered_as_get_without_a_body(tmp_path: Path, repository: Path) -> None:
    async with open_web(f"sqlite:///{tmp_path / 'dispatcher.db'}", tmp_path / "data") as web:
        await web.furnish(repository)
        key = await web.ticket("Asked for by a monitor", body="x" * 5000)
        pages = [
            "/",
            "/inbox",
            "/fleet",
            f"/tickets/{key}",
            "/tickets/WEB-99",
            "/nothing",
            "/static/icon.svg",
            "/healthz",
            "/readyz",
        ]
        api = ["/api/v1/tickets", f"/api/v1/tickets/{key}", "/api/v1/tickets/WEB-99"]
        for path in pages + api:
            whole, head = [await web.client.request(method, path) for method in ("GET", "HEAD")]
            assert (head.status_code, head.content) == (whole.status_code, b""), path
            told = {name: value for name, value in head.headers.items() if name != "set-cookie"}
            assert told["content-length"] == whole.headers["content-length"] and "content-type" in told, path
            assert told.keys() == {name for name in whole.headers if name != "set-cookie"}, path
        for path in ("/live", "/api/v1/events"):  # a stream has no end of its own
            head = await asyncio.wait_for(web.client.head(path), 10)
            assert head.status_code == 200 and head.headers["content-type"].startswith("text/event-stream")
        assert (await web.anonymous.head("/readyz")).status_code == 200
        assert (await web.anonymous.head("/")).headers["location"] == "/login"
        assert (await web.anonymous.head("/api/v1/tickets")).status_code == 401
        assert (await web.client.head(f"/tickets/{key}/withdraw")).status_code == 405, "what changes something is no GET"
