"""One run from claim to verdict, on both databases, with a harness that does what the ticket says."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError
from sqlmodel import Session

from dispatcher import board, leases, review, runs, transcripts
from dispatcher.demo.scripted import Say, ScriptedEndpoint
from dispatcher.errors import MergeConflict
from dispatcher.models import Agent, Endpoint, Project, Run, Ticket
from dispatcher.transitions import move_ticket
from tests.house import House, house
from workers.process import marked


def asks(body: str) -> str:
    """A harness's request to its model."""
    url, key = "os.environ['BASE_URL'] + '/chat/completions'", "{'Authorization': 'Bearer ' + os.environ['API_KEY']}"
    program = f"import os, sys, urllib.request as u; u.urlopen(u.Request({url}, sys.stdin.buffer.read(), {key})).read()"
    return f"printf %s '{body}' | python3 -c \"{program}\""


@pytest.fixture
async def home(tmp_path: Path, database_url: str, repository: Path) -> AsyncIterator[House]:
    async with house(tmp_path, database_url, repository) as made:
        yield made


def git(repository: Path, *args: str) -> str:
    return subprocess.run(["git", *args], cwd=repository, check=True, capture_output=True, text=True).stdout.strip()


async def test_a_ticket_reaches_review_with_its_branch_stats_and_transcript(home: House, repository: Path) -> None:
    key = home.file("echo one > a.txt", "say 'Did it.'")
    before = git(repository, "status", "--porcelain", "--branch")
    assert await home.work(key) == "review"
    run, ticket = home.run(key), home.ticket(key)
    assert (run.state, run.outcome, run.summary, run.exit_code) == ("succeeded", "done", "Did it.", 0)
    assert (ticket.files, ticket.additions, ticket.deletions) == (1, 1, 0)
    assert git(repository, "show", f"agent/{key}:a.txt") == "one"
    assert git(repository, "rev-parse", f"agent/{key}") == run.head_sha
    assert git(repository, "status", "--porcelain", "--branch") == before
    assert run.prompt.startswith(f"Ticket {key}: Do it\n")


async def test_a_question_is_answered_in_the_same_session_and_workspace(home: House) -> None:
    key = home.file("test -f asked && echo yes > b.txt && say Done. || { touch asked; say 'Which one do you want?'; }")
    assert await home.work(key) == "blocked"
    blocker, first = home.blocker(key), home.workspace(key)
    assert (blocker.kind, blocker.text, blocker.evidence) == ("question", "Which one do you want?", "Which one do you want?")
    run = home.do(board.answer, key, "the second")
    assert run.resume == "fake-1"
    assert await home.work(key) == "review"
    assert "The answer: the second" in home.run(key).prompt
    assert home.workspace(key).path == first.path and home.run(key).number == 2


async def test_a_stop_works_within_the_grace_period_and_leaves_the_work(home: House) -> None:
    key = home.file("trap '' TERM", "setsid sleep 77 &", "echo half > a.txt", "sleep 77")
    crew = home.crew()
    await crew.take()
    await home.until(lambda: home.run(key).state == "running" and any(home.settings.worktrees.rglob("a.txt")))
    home.do(lambda db, ticket: runs.request_stop(db, runs.latest_run(db, ticket)), key)
    await crew.heed_stops()
    assert await home.work(key, crew=crew) == "blocked"
    assert home.blocker(key).kind == "stopped" and home.run(key).state == "cancelled"
    assert home.ticket(key).files == 1 and marked(f"{home.settings.home}:{home.run(key).id}") == set()


@pytest.mark.parametrize(
    ("agent", "script", "kind", "state"),
    [
        ({"max_seconds": 0.6}, ["sleep 30"], "timed_out", "timed_out"),
        ({"max_silence": 0.5}, ["sleep 30"], "stalled", "stalled"),
        ({}, ["say begun", "echo x > a.txt", "exit 3"], "crashed", "failed"),
        ({}, ["say begun", "echo x > a.txt", "kill -9 $$"], "stopped", "cancelled"),
        ({}, ['tell \'{"kind":"notice","text":"hm"}\''], "empty", "failed"),
        ({}, ["say 'All is well already.'"], "no_changes", "no_changes"),
        ({}, ["true"], "crashed", "failed"),
    ],
)
async def test_each_way_to_fail_becomes_one_blocker(
    home: House, agent: dict[str, float], script: list[str], kind: str, state: str
) -> None:
    home.edit(Agent, **agent)
    key = home.file(*script)
    assert await home.work(key) == "blocked"
    blocker = home.blocker(key)
    assert (blocker.kind, home.run(key).state) == (kind, state)
    assert blocker.text and "\n" not in blocker.text and key in blocker.advice


async def test_a_loop_is_ended(home: House) -> None:
    call = '{"kind":"tool_call","tool":"bash","tool_kind":"execute","input":{"command":"ls"},"status":"completed"}'
    key = home.file(f"while true; do tell '{call}'; sleep 0.02; done")
    assert await home.work(key) == "blocked"
    assert home.blocker(key).kind == "loop" and "ls" in home.blocker(key).text


async def test_an_endpoint_at_a_link_local_address_is_not_connected_to(home: House) -> None:
    home.edit(Endpoint, base_url="http://169.254.169.254/v1")
    key = home.file("say 'Never started.'")
    assert await home.work(key) == "blocked"
    assert home.blocker(key).kind == "misconfigured" and "link-local" in home.blocker(key).text
    assert home.run(key).started_at is None


async def test_the_model_that_really_answered_is_noted(home: House) -> None:
    with ScriptedEndpoint([Say("one two")], models=("other",)) as endpoint:
        home.edit(Endpoint, base_url=endpoint.base_url)
        key = home.file("echo x > a.txt", asks('{"model": "other", "stream": true, "messages": []}'), "say Done.")
        assert await home.work(key) == "review", home.blocker(key).text
    run = home.run(key)
    assert (run.model, run.answered_by, run.other_model) == ("m", "other", "other")
    assert (run.prompt_tokens, run.completion_tokens) == endpoint.usage and run.first_token_ms is not None


async def test_an_endpoint_that_stays_away_is_told_and_waited_for(home: House) -> None:
    key = home.file(asks("{}"), "sleep 30")
    assert await home.work(key) == "blocked"
    assert home.blocker(key).kind == "endpoint_down" and "local does not answer" in home.blocker(key).text


async def test_a_failed_check_is_evidence_and_goes_into_the_next_prompt(home: House) -> None:
    home.edit(Project, check_command="cat a.txt && grep -q two a.txt")
    key = home.file("test -f a.txt && echo two >> a.txt || echo one > a.txt", "say Done.")
    assert await home.work(key) == "blocked"
    assert home.blocker(key).kind == "check_failed" and home.blocker(key).evidence == "one\n"
    home.do(board.answer, key, "")
    assert await home.work(key) == "review"
    assert "failed (exit 1)" in home.run(key).prompt and [check.state for check in home.checks(key)] == ["failed", "passed"]


async def test_a_check_that_hangs_is_ended(home: House) -> None:
    home.edit(Project, check_command="echo waiting; sleep 60")
    home.settings.check_timeout = 0.5
    key = home.file("echo x > a.txt", "say Done.")
    assert await home.work(key) == "blocked"
    assert home.blocker(key).kind == "check_failed" and "took too long" in home.blocker(key).text
    home.do(board.accept, key)
    assert home.ticket(key).state == "review"


async def test_a_stop_ends_a_check_too(home: House) -> None:
    home.edit(Project, check_command="sleep 60")
    home.settings.check_timeout = 60
    key = home.file("echo x > a.txt", "say Done.")
    crew = home.crew()
    await crew.take()
    await home.until(lambda: home.run(key).doing.startswith("checks"))
    home.do(lambda db, ticket: runs.request_stop(db, runs.latest_run(db, ticket)), key)
    await crew.heed_stops()
    assert await home.work(key, crew=crew) == "blocked"
    assert (home.blocker(key).kind, home.run(key).state, home.checks(key)) == ("stopped", "cancelled", [])


async def test_the_set_up_command_runs_once_and_its_failure_is_a_blocker(home: House) -> None:
    home.edit(Project, setup_command="echo no network; exit 4")
    key = home.file("echo x >> a.txt", "say Done.")
    assert await home.work(key) == "blocked"
    assert home.blocker(key).kind == "setup_failed" and "no network" in home.blocker(key).text
    home.edit(Project, setup_command='echo ran >> "$HOME/setups"')
    home.do(board.answer, key, "")
    assert await home.work(key) == "review"
    home.do(again, key)
    assert await home.work(key) == "review"
    assert (Path(home.workspace(key).home) / "setups").read_text() == "ran\n"


def again(db: Session, ticket: Ticket) -> None:
    move_ticket(db, ticket, "change")
    runs.create_run(db, ticket, board.assigned_agent(db, ticket), reason="change")


async def test_a_missing_harness_and_a_wrong_workflow_name_the_fix(home: House, repository: Path) -> None:
    key = home.file("say Done.")
    with home.database.transaction() as db:
        db.get_one(Run, home.run(key).id).harness = "goose"
    assert await home.work(key) == "blocked"
    assert home.blocker(key).kind == "harness_missing" and "dispatcher harness install goose" in home.blocker(key).text
    (repository / "WORKFLOW.md").write_text("---\nmax_turns: none\n---\n")
    git(repository, "add", "WORKFLOW.md")
    git(repository, "commit", "-q", "-m", "A workflow")
    other = home.file("say Done.")
    assert await home.work(other) == "blocked"
    assert home.blocker(other).kind == "misconfigured" and "max_turns" in home.blocker(other).text


async def test_the_repositorys_workflow_is_its_template_and_policy(home: House, repository: Path) -> None:
    (repository / "WORKFLOW.md").write_text("---\ncheck_command: test -f ok\n---\nPlease:\n{{ ticket.body }}\n")
    git(repository, "add", "WORKFLOW.md")
    git(repository, "commit", "-q", "-m", "A workflow")
    key = home.file("touch ok", "say Done.")
    assert await home.work(key) == "review"
    assert "Please:" in home.run(key).prompt and home.checks(key)[0].command == "test -f ok"


async def test_an_orderly_stop_of_the_worker_hands_the_run_on(home: House) -> None:
    key = home.file("test -f half && say Done. || { echo x > half; say begun; sleep 60; }")
    crew = home.crew()
    await crew.take()
    await home.until(lambda: home.begun(key))
    await crew.close()
    assert home.ticket(key).state == "queued" and home.run(key).reason == "lost" and home.run(key).resume == "fake-1"
    assert await home.work(key, crew=home.crew("w2")) == "review"


async def test_a_run_whose_worker_died_while_finishing_is_finished_by_another(home: House) -> None:
    key = home.file("echo x > a.txt", "say Done.")
    home.edit(Project, check_command="sleep 60")
    crew = home.crew()
    home.settings.check_timeout = 60
    await crew.take()
    await home.until(lambda: home.run(key).doing.startswith("checks"))
    home.edit(Project, check_command="true")
    with home.database.transaction() as db:
        run = home.run(key)
        assert leases.renew(db, {run.id or 0: run.fence}, -1) == set()
    other = home.crew("w2")
    await other.take_over()
    assert await home.work(key, crew=other) == "review"
    await crew.renew()
    await home.until(lambda: crew.busy == 0)
    assert home.run(key).worker == "w2" and home.run(key).fence == 2 and home.run(key).number == 1


async def test_a_dead_workers_run_is_continued_by_another(home: House) -> None:
    key = home.file("test -f half && { echo y > b; say Done.; } || { echo x > half; say begun; sleep 60; }")
    crew = home.crew()
    await crew.take()
    await home.until(lambda: home.begun(key))
    run = home.run(key)
    with home.database.transaction() as db:
        leases.renew(db, {run.id or 0: run.fence}, -1)
    other = home.crew("w2")
    await other.take_over()
    assert await home.work(key, crew=other) == "review"
    with home.database.reading() as db:
        states = [found.state for found in runs.list_runs(db)]
    assert states == ["succeeded", "lost"] and home.ticket(key).files == 2


async def test_two_workers_share_the_tickets_and_the_slots(home: House) -> None:
    home.edit(Endpoint, slots=3)
    keys = [home.file(f"echo {number} > a.txt", "sleep 0.2", "say Done.") for number in range(9)]
    crews = [home.crew("w1"), home.crew("w2")]
    most = 0

    def settled() -> bool:
        nonlocal most
        with home.database.reading() as db:
            most = max(most, runs.slots_in_use(db, db.get_one(Endpoint, 1)))
        return all(home.ticket(key).state == "review" for key in keys)

    await asyncio.gather(*(crew.take() for crew in crews))
    await home.until(settled, seconds=60)
    assert 1 < most <= 3
    assert {home.run(key).number for key in keys} == {1}


async def test_a_cancelled_ticket_stays_cancelled(home: House) -> None:
    key = home.file("echo x > a.txt", "sleep 30")
    crew = home.crew()
    await crew.take()
    await home.until(lambda: home.run(key).state == "running")
    home.do(board.cancel, key)
    await crew.heed_stops()
    assert await home.work(key, "cancelled", crew=crew) == "cancelled"
    assert home.run(key).state == "cancelled"


async def test_a_merge_conflict_is_finished_by_the_agent(home: House, repository: Path) -> None:
    script = "if grep -q '<<<<' README.md; then {}; else echo ours > README.md; say Done.; fi"
    lazy, good = "echo more >> other; say 'All resolved.'", "echo both > README.md; say Resolved."
    key = home.file(script.format("test -f other && { " + good + "; } || { " + lazy + "; }"))
    assert await home.work(key) == "review"
    (repository / "README.md").write_text("theirs\n")
    git(repository, "commit", "-q", "-a", "-m", "Theirs")
    with pytest.raises(MergeConflict):
        await asyncio.to_thread(review.approve, home.database, key)
    assert (home.ticket(key).state, home.blocker(key).files) == ("blocked", ["README.md"])
    home.do(board.answer, key, "")
    assert await home.work(key) == "blocked"
    assert home.blocker(key).kind == "conflict" and home.blocker(key).files == ["README.md"]
    assert "- README.md" in home.run(key).prompt
    home.do(board.answer, key, "Look again.")
    assert await home.work(key) == "review"
    await asyncio.to_thread(review.approve, home.database, key)
    assert home.ticket(key).state == "done" and git(repository, "show", "main:README.md") == "both"


async def test_what_no_database_takes_is_kept_readable(home: House) -> None:
    home.edit(Project, check_command="printf 'a\\000b'; exit 1")
    key = home.file("echo x > a.txt", 'tell \'{"kind":"assistant","text":"half \\ud800 a pair, and \\u0000"}\'')
    assert await home.work(key) == "blocked"
    assert home.blocker(key).kind == "check_failed" and home.checks(key)[0].output == "a\\x00b"
    with home.database.reading() as db:
        assert transcripts.items_after(db, home.run(key))[-1]["text"] == "half ? a pair, and \\x00"


async def test_a_database_that_goes_away_for_a_moment_is_waited_for(home: House) -> None:
    tries: list[int] = []

    def stubborn(db: Session, answer: int) -> int:
        tries.append(answer)
        if len(tries) < 3:
            raise OperationalError("SELECT 1", {}, Exception("the connection was closed"))
        return answer

    assert await home.hands.write(stubborn, 7) == 7 and tries == [7, 7, 7]
    home.settings.lease_seconds = 0.05
    tries.clear()
    with pytest.raises(OperationalError):
        await home.hands.read(stubborn, 7)
