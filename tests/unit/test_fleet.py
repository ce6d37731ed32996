"""Changing, retiring and measuring the fleet, on each engine."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from dispatcher import activity, agents, checking, endpoints, retiring, roster, usage
from dispatcher import board as tickets
from dispatcher.errors import Conflict, DispatcherError, Invalid, NotFound
from dispatcher.models import Endpoint, Worker, utcnow
from tests.board import Board
from tests.fleet import FOUND, WELL, add_run, enter_worker


def kinds(board: Board) -> list[str]:
    with board.database.reading() as db:
        return [entry.kind for entry in activity.since(db, 0)]


def test_an_endpoint_is_edited_and_its_health_dropped_where_it_is_another(board: Board) -> None:
    with board.database.transaction() as db:
        local = endpoints.get_endpoint(db, "local")
        endpoints.record_health(db, local, WELL)
        endpoints.edit_endpoint(db, local, slots=5)
        assert (local.slots, local.health is not None) == (5, True)
        endpoints.edit_endpoint(db, local, base_url="http://127.0.0.1:2/v1", model="other", key_env="LOCAL_API_KEY")
        assert (local.base_url, local.model, local.key_env) == ("http://127.0.0.1:2/v1", "other", "LOCAL_API_KEY")
        assert local.health is None and local.checked_at is None
        endpoints.edit_endpoint(db, local, key_env="")
        assert local.key_env == ""
    assert kinds(board) == ["endpoint.checked", "endpoint.edited", "endpoint.edited", "endpoint.edited"]


def test_an_edit_that_changes_nothing_is_not_told(board: Board) -> None:
    with board.database.transaction() as db:
        endpoints.edit_endpoint(db, endpoints.get_endpoint(db, "local"), slots=2, model="local-coder")
        agents.edit_agent(db, agents.get_agent(db, "coder"), harness="goose", endpoint="local")
    assert kinds(board) == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"base_url": "http://127.0.0.1:1"}, "base_url"),
        ({"model": " "}, "model"),
        ({"key_env": "sk-abcdefghijklmnopqrstuvwxyz0123456789"}, "key_env"),
        ({"slots": 0}, "slots"),
        ({"context_length": 4096}, "output_length"),  # below the longest answer that it has
    ],
)
def test_a_wrong_edit_of_an_endpoint_names_the_field_and_changes_nothing(
    board: Board, change: dict[str, Any], field: str
) -> None:
    with pytest.raises(Invalid) as caught, board.database.transaction() as db:
        endpoints.edit_endpoint(db, endpoints.get_endpoint(db, "local"), **change)
    assert caught.value.field == field and caught.value.hint
    with board.database.reading() as db:
        assert endpoints.get_endpoint(db, "local").model == "local-coder"


@pytest.mark.parametrize("change", [{"base_url": "http://127.0.0.1:2/v1"}, {"key_env": "OTHER"}])
def test_address_and_key_stay_under_a_run(board: Board, change: dict[str, str]) -> None:
    with board.database.transaction() as db:
        add_run(db, "coder", state="queued")
        endpoints.edit_endpoint(db, endpoints.get_endpoint(db, "local"), **change)  # nobody has it in hand yet
    with board.database.transaction() as db:
        run = add_run(db, "coder", state="running", worker="w1")
        assert run.id is not None
    with pytest.raises(Conflict, match="WEB-2 runs on local") as caught, board.database.transaction() as db:
        other = {name: f"{value}9" if name == "key_env" else "http://127.0.0.1:3/v1" for name, value in change.items()}
        endpoints.edit_endpoint(db, endpoints.get_endpoint(db, "local"), **other)
    assert caught.value.field in change
    with board.database.transaction() as db:
        endpoints.edit_endpoint(db, endpoints.get_endpoint(db, "local"), slots=9, model="next")


def test_an_agent_is_edited_but_not_its_harness_under_a_run(board: Board) -> None:
    with board.database.transaction() as db:
        endpoints.add_endpoint(db, name="second", base_url="http://127.0.0.1:5/v1", model="m")
        coder = agents.get_agent(db, "coder")
        agents.edit_agent(db, coder, harness="aider", endpoint="second", model="x", instructions="Short.", max_tokens=5)
        assert (coder.harness, coder.model, coder.instructions, coder.max_tokens) == ("aider", "x", "Short.", 5)
        agents.edit_agent(db, coder, model="", instructions="", max_tokens=0)
        assert (coder.model, coder.instructions, coder.max_tokens) == ("", "", 0)
        add_run(db, "coder", state="queued")
    with pytest.raises(Conflict, match="live runs of WEB-1") as caught, board.database.transaction() as db:
        agents.edit_agent(db, agents.get_agent(db, "coder"), harness="goose")
    assert caught.value.field == "harness"
    with pytest.raises(Invalid) as wrong, board.database.transaction() as db:
        agents.edit_agent(db, agents.get_agent(db, "coder"), max_turns=0)
    assert wrong.value.field == "max_turns"


def test_a_retired_agent_takes_no_more_work_and_comes_back(board: Board) -> None:
    with board.database.transaction() as db:
        ticket = board.ticket(db, agent_id=board.agent(db).id)
        retiring.retire_agent(db, "coder")
        retiring.retire_agent(db, "coder")
        assert agents.list_agents(db) == []
        assert [agent.name for agent in agents.list_agents(db, retired=True)] == ["coder"]
        with pytest.raises(Conflict, match="coder is retired") as caught:
            tickets.assign(db, ticket, "coder")
        assert "dispatcher agent restore coder" in caught.value.hint
        with pytest.raises(Conflict, match="coder is retired"):
            tickets.assigned_agent(db, ticket)
        assert ticket.state == "backlog"
    with board.database.transaction() as db:
        retiring.restore_agent(db, "coder")
        assert [agent.name for agent in agents.list_agents(db)] == ["coder"]
    assert kinds(board).count("agent.retired") == 1


def test_an_endpoint_in_use_is_not_retired(board: Board) -> None:
    with pytest.raises(Conflict, match="local is used by coder"), board.database.transaction() as db:
        retiring.retire_endpoint(db, "local")
    with board.database.transaction() as db:
        retiring.retire_agent(db, "coder")
        add_run(db, "coder", state="running", worker="w1")
    with pytest.raises(Conflict, match="live runs of WEB-1"), board.database.transaction() as db:
        retiring.retire_endpoint(db, "local")


def test_a_retired_endpoint_is_offered_to_nobody(board: Board) -> None:
    with board.database.transaction() as db:
        retiring.retire_agent(db, "coder")
        retiring.retire_endpoint(db, "local")
        endpoints.add_endpoint(db, name="second", base_url="http://127.0.0.1:5/v1", model="m")
        assert [one.name for one in endpoints.list_endpoints(db)] == ["second"]
        assert [one.name for one in endpoints.list_endpoints(db, retired=True)] == ["second", "local"]
    for refused in (
        lambda db: agents.add_agent(db, name="other", harness="goose", endpoint="local"),
        lambda db: retiring.restore_agent(db, "coder"),
    ):
        with pytest.raises(Conflict, match="retired") as caught, board.database.transaction() as db:
            refused(db)
        assert "dispatcher endpoint restore local" in caught.value.hint
    with board.database.transaction() as db:
        agents.edit_agent(db, agents.get_agent(db, "coder"), endpoint="local", max_turns=5)  # its own may stay
        agents.edit_agent(db, agents.get_agent(db, "coder"), endpoint="second")
        retiring.restore_agent(db, "coder")
        retiring.restore_endpoint(db, "local")
        assert len(endpoints.list_endpoints(db)) == 2


def test_only_what_was_never_used_can_be_removed(board: Board) -> None:
    with board.database.transaction() as db:
        agent, endpoint = agents.get_agent(db, "coder"), endpoints.get_endpoint(db, "local")
        assert retiring.removable(db, agent) and not retiring.removable(db, endpoint)
        add_run(db, "coder", hours_ago=1)
        assert not retiring.removable(db, agent)
        fresh = endpoints.add_endpoint(db, name="second", base_url="http://127.0.0.1:5/v1", model="m")
        assert retiring.removable(db, fresh)


def test_names_for_found_servers_are_free_ones(board: Board) -> None:
    with board.database.transaction() as db:
        assert endpoints.free_name(db, "LM Studio") == "lm-studio"
        assert endpoints.free_name(db, "Local") == "local-2"
        assert endpoints.free_name(db, "***") == "local-2"


def test_one_check_at_a_time_and_a_dead_one_does_not_block(board: Board) -> None:
    with board.database.transaction() as db:
        checking.begin(db, "local")
        checking.tell(db, "local", "waits for a tool call")
    with pytest.raises(Conflict, match="being checked"), board.database.transaction() as db:
        checking.begin(db, "local")
    with board.database.transaction() as db:
        local = endpoints.get_endpoint(db, "local")
        assert checking.under_way(local) and (local.checking or {})["step"] == "waits for a tool call"
        endpoints.record_health(db, local, WELL)
        assert local.checking is None and local.health is not None
    with board.database.transaction() as db:
        long_ago = utcnow() - timedelta(seconds=checking.LONGEST + 1)
        db.add(_with(endpoints.get_endpoint(db, "local"), checking={"since": long_ago.isoformat(), "step": "waits"}))
    with board.database.transaction() as db:
        assert not checking.under_way(endpoints.get_endpoint(db, "local"))
        checking.begin(db, "local")
        checking.break_off(db, "local")
        assert endpoints.get_endpoint(db, "local").checking is None


def _with(row: Endpoint, **values: Any) -> Endpoint:
    for name, value in values.items():
        setattr(row, name, value)
    return row


def test_workers_come_report_and_go(board: Board) -> None:
    about = {"host": "forge", "pid": 1, "version": "1", "runs_at_once": 8}
    with board.database.transaction() as db:
        roster.beat(db, "w1", **about)  # type: ignore[arg-type]
        roster.beat(db, "w1", **about)  # type: ignore[arg-type]
        roster.report(db, "w1", {"opencode": FOUND})
        roster.report(db, "w1", {"opencode": FOUND})
        roster.report(db, "unknown", {})
        [worker] = roster.list_workers(db)
        assert roster.alive(worker) and worker.harnesses == {"opencode": FOUND}
        roster.sign_off(db, "w1")
        roster.sign_off(db, "w1")
        assert roster.list_workers(db) == []
    assert kinds(board) == ["worker.started", "worker.harnesses", "worker.stopped"]


def test_dead_workers_fade_after_a_day_but_not_with_runs_in_hand(board: Board) -> None:
    with board.database.transaction() as db:
        enter_worker(db, "now:1:a", {})
        enter_worker(db, "old:2:b", {}, silent=roster.FADE_SECONDS + 60)
        enter_worker(db, "holds:3:c", {}, silent=roster.FADE_SECONDS + 60)
        add_run(db, "coder", state="running", worker="holds:3:c")
        assert {worker.host for worker in roster.list_workers(db)} == {"now", "holds"}
        roster.report(db, "now:1:a", {})
        assert db.get(Worker, "old:2:b") is None and db.get(Worker, "holds:3:c") is not None


def test_only_a_dead_worker_without_runs_is_forgotten(board: Board) -> None:
    with board.database.transaction() as db:
        enter_worker(db, "now:1:a", {})
        enter_worker(db, "gone:2:b", {}, silent=60)
        enter_worker(db, "holds:3:c", {}, silent=60)
        add_run(db, "coder", state="running", worker="holds:3:c")
        for name, error, words in (
            ("now:1:a", Conflict, "is alive"),
            ("holds:3:c", Conflict, "runs in hand"),
            ("nobody", NotFound, "no worker"),
        ):
            with pytest.raises(error, match=words):
                roster.forget(db, name)
        roster.forget(db, "gone:2:b")
        assert {worker.host for worker in roster.list_workers(db)} == {"now", "holds"}


def test_load_and_use_are_counted_by_endpoint_and_agent(board: Board) -> None:
    tokens = {"prompt_tokens": 900, "completion_tokens": 100}
    with board.database.transaction() as db:
        second = endpoints.add_endpoint(db, name="second", base_url="http://127.0.0.1:5/v1", model="m")
        agents.add_agent(db, name="pair", harness="aider", endpoint="second")
        add_run(db, "coder", state="running", worker="w1", tokens_per_second=40.25, **tokens)
        add_run(db, "coder", state="preparing", worker="w1")
        add_run(db, "coder", state="queued")
        add_run(db, "coder", hours_ago=2, tokens_per_second=30, first_token_ms=200, **tokens)
        add_run(db, "pair", hours_ago=30, **tokens)
        add_run(db, "pair", hours_ago=24 * 8, **tokens)
        local, agent = endpoints.get_endpoint(db, "local").id or 0, agents.get_agent(db, "pair").id or 0
    with board.database.reading() as db:
        live = usage.live_runs(db)
        assert [run.ticket for run in usage.held(live)] == ["WEB-1", "WEB-2"]
        assert [run.ticket for run in usage.waiting(live)] == ["WEB-3"]
        assert usage.rate(live) == 40.2 and usage.rate([]) is None
        assert usage.spent(db, "endpoint", 24) == {local: usage.Spent(3, 2000)}
        assert usage.spent(db, "agent", 168)[agent] == usage.Spent(1, 1000)
        [point] = usage.history(db, 24, endpoint=local)
        assert (point.ticket, point.agent, point.rate, point.first_token_ms, point.tokens) == ("WEB-4", "coder", 30, 200, 1000)
        assert [point.ticket for point in usage.history(db, 24 * 30, agent=agent)] == ["WEB-6", "WEB-5"]
        assert usage.ended(db, agent, 24 * 30) == {"succeeded": 2}
        over_time = usage.tokens_over_time(db, "endpoint", 24, 24)
        assert [total for _, total in over_time[local]] == [0] * 21 + [1000, 0, 0]
        assert second.id not in over_time


def test_a_history_keeps_to_the_newest(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "MOST_POINTS", 3)
    with board.database.transaction() as db:
        for number in range(5):
            add_run(db, "coder", hours_ago=number / 10)
    with board.database.reading() as db:
        points = usage.history(db, 24)
        assert len(points) == 3 and points[-1].ticket == "WEB-1"


def test_no_endpoint_of_that_name(board: Board) -> None:
    for look in (retiring.retire_endpoint, retiring.restore_endpoint, checking.begin):
        with pytest.raises(NotFound, match="nowhere"), board.database.transaction() as db:
            look(db, "nowhere")
    with pytest.raises(DispatcherError), board.database.transaction() as db:
        retiring.retire_agent(db, "nobody")
