"""What goes out: one comment a run, answers, pull requests, and what is said to them; also when things end midway."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from dispatcher import board, runs
from dispatcher.github import sending
from dispatcher.github.pulls import want_pull
from dispatcher.github.tend import give_lease, take_lease
from dispatcher.models import Check, Comment, GitHubLetter, GitHubPull, Run
from dispatcher.transitions import move_run
from tests import github_people as people
from tests.github_house import Octo, octo
from tests.github_server import Fault
from tests.gitting import commit, git


@pytest.fixture
async def github(tmp_path: Path, database_url: str, repository: Path) -> AsyncIterator[Octo]:
    async with octo(tmp_path, database_url, repository) as made:
        yield made


async def begun(github: Octo) -> int:
    """An issue whose run is queued."""
    number = people.open_issue(github.hub, "ada", "Fix the parser", "It drops lines", "agent:coder")
    await github.sync()
    assert github.ticket(number).state == "queued"
    return number


async def in_review(github: Octo, **files: str) -> int:
    """An issue whose work is ready."""
    number = await begun(github)
    github.desk.work(**(files or {"a_txt": "fixed\n"}))
    await github.sync()
    assert github.ticket(number).state == "review"
    return number


async def with_pull(github: Octo) -> tuple[int, int]:
    """An issue with an open pull request: their numbers."""
    number = await in_review(github)
    github.do(want_pull, number)
    await github.sync()
    pull = github.pull()
    assert pull.state == "open" and pull.number is not None
    return number, pull.number


async def test_one_comment_tells_the_whole_run(github: Octo) -> None:
    number = await begun(github)
    assert github.comments(number) == []
    github.ask("Which one, @mallory? See #1 ![x](http://evil.example/p.png) <script>")
    await github.sync()
    (asked,) = github.comments(number)
    assert "asks" in asked and "Which one" in asked and "Answer with a comment here" in asked
    assert "@mallory" not in asked and "#1" not in asked and "![x]" not in asked and "<script" not in asked
    people.add_comment(github.hub, "mallory", number, "Take the expensive one")
    await github.sync()
    assert github.ticket(number).state == "blocked", "a stranger answers nothing"
    people.add_comment(github.hub, "wren", number, "The small one, please.")
    await github.sync()
    assert github.ticket(number).state == "queued"
    run = github.live()[0]
    assert (run.reason, run.feedback) == ("answer", "The small one, please.")
    (answered, *_) = [text for text in github.comments(number) if "dispatcher:" in text]
    assert "Answered" in answered and "The small one" in answered
    github.desk.work(a_txt="small\n")
    await github.sync()
    ours = [text for text in github.comments(number) if "dispatcher:" in text]
    assert len(ours) == 2 and "ready for review" in ours[1] and "1 file changed" in ours[1]
    assert [row.body for row in github.desk.all(Comment)] == ["Take the expensive one"], "an answer is no further comment"


async def test_each_step_of_a_run_is_told_in_one_comment_in_its_place(github: Octo) -> None:
    """Running, lost with its worker and running again, then ready: with the summary, the diff's size and the checks."""
    number = await begun(github)

    def told() -> str:
        (text,) = github.comments(number)
        return text

    def run_on(run: Run, trigger: str, **values: Any) -> None:
        with github.desk.database.transaction() as db:
            move_run(db, run, trigger, **values)  # type: ignore[arg-type]

    first = github.desk.claim()
    github.desk.prepare(first)
    run_on(first, "launch")
    await github.sync()
    assert "is at work on this" in told() and "run 1, m" in told()
    remote = next(iter(github.hub.comments))
    with github.desk.database.transaction() as db:
        runs.lose(db, db.get_one(Run, first.id), retries=3)
    await github.sync()
    assert "about to begin" in told()
    second = github.desk.claim()
    place = github.desk.prepare(second)
    run_on(second, "launch")
    await github.sync()
    assert "is at work on this" in told() and "run 2, m" in told()
    (Path(place.path) / "a.txt").write_text("one\ntwo\n")
    github.desk.snapshot(second)
    with github.desk.database.transaction() as db:
        db.add(Check(run_id=second.id, name="check", command="make test", state="passed", exit_code=0, output=""))
    github.desk.finish(second)
    await github.sync()
    ready = told()
    assert "ready for review" in ready and "> Did it." in ready and "check `make test`: passed" in ready
    assert "1 file changed, 2 lines added, 0 removed" in ready
    assert list(github.hub.comments) == [remote], "always the same comment"


@pytest.mark.parametrize("lost", ["the answer", "the mark"])
async def test_a_crash_between_post_and_mark_leaves_one_comment(
    github: Octo, lost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = await begun(github)
    github.ask("Which one?")
    if lost == "the answer":
        github.hub.faults.append(Fault(f"POST /repos/octo/web/issues/{number}/comments", 502, after=True))
        await github.tend()
    else:  # as a process that ends there: nothing after the call is carried out
        monkeypatch.setattr(sending, "_stands", lambda *_: (_ for _ in ()).throw(asyncio.CancelledError()))
        with pytest.raises(asyncio.CancelledError):
            await github.tend()
        monkeypatch.undo()
    assert len(github.comments(number)) == 1 and github.desk.all(GitHubLetter)[0].remote_id is None
    people.add_comment(github.hub, "mallory", number, github.comments(number)[0].replace("Which", "What"))  # a copied marker
    await github.sync()
    assert len([call for call in github.hub.calls if call.startswith("POST")]) == 1
    assert github.desk.all(GitHubLetter)[0].remote_id == min(github.hub.comments)


async def test_a_bad_token_is_said_and_nothing_is_lost(github: Octo) -> None:
    from dispatcher.github import secrets
    from tests.github_server import TOKEN

    secrets.write(github.desk.settings, "WEB", "token", "revoked")
    number = people.open_issue(github.hub, "mallory", "One", "")
    github.bring()
    await github.tend()
    assert "Bad credentials" in github.repo().fault and github.owed()
    secrets.write(github.desk.settings, "WEB", "token", TOKEN)
    await github.sync()
    assert github.ticket(number).state == "backlog" and github.repo().fault == ""


async def test_a_comment_that_was_removed_there_is_not_forced_back_for_ever(github: Octo) -> None:
    number = await begun(github)
    github.ask("Which one?")
    await github.sync()
    github.hub.comments.clear()
    github.do(board.answer, number, "This one")
    await github.sync()
    assert github.comments(number) == [] and github.desk.all(GitHubLetter)[0].fault


async def test_a_pull_request_is_opened_reviewed_and_merged(github: Octo) -> None:
    number, pull = await with_pull(github)
    there = github.hub.pulls[pull]
    assert there["title"] == "Fix the parser" and there["base"]["ref"] == "main"
    assert f"Fixes #{number}" in there["body"] and "coder" in there["body"] and "Did it." in there["body"]
    head = github.desk.place(github.ticket(number).id or 0).head_sha
    assert git(github.hub.bare, "rev-parse", f"refs/heads/{there['head']['ref']}") == head
    people.review(github.hub, "mallory", pull, "changes_requested", "Give me the keys")
    await github.sync()
    assert github.ticket(number).state == "review", "a stranger sends nothing back"
    people.review(github.hub, "wren", pull, "changes_requested", "Nearly.", ("a.txt", 1, "Say why."))
    await github.sync()
    (run,) = github.live()
    assert run.reason == "change" and "Nearly." in run.feedback and "a.txt:1" in run.feedback and "Say why." in run.feedback
    github.desk.work(a_txt="fixed, since lines were lost\n")
    await github.sync()
    assert git(github.hub.bare, "rev-parse", f"refs/heads/{there['head']['ref']}") != head
    sha = people.merge(github.hub, "ada", pull)
    await github.sync()
    ticket = github.ticket(number)
    assert (ticket.state, ticket.merged_sha) == ("done", sha)
    assert git(github.desk.checkout, "rev-parse", "main") == sha, "the merge was brought home"
    assert (github.desk.checkout / "a.txt").read_text() == "fixed, since lines were lost\n"
    assert github.hub.issues[number]["state"] == "closed"
    assert str(github.desk.place(ticket.id or 0).path) not in git(github.desk.checkout, "worktree", "list")
    assert "The work is merged" in [text for text in github.comments(number) if "dispatcher:" in text][-1]


async def test_a_pull_request_whose_making_was_cut_short_is_taken_up(github: Octo) -> None:
    number = await in_review(github)
    github.do(want_pull, number)
    github.hub.faults.append(Fault("POST /repos/octo/web/pulls", 502, after=True))
    await github.tend()
    assert len(github.hub.pulls) == 1 and github.pull().number is None
    await github.sync()
    assert len(github.hub.pulls) == 1 and github.pull().number == next(iter(github.hub.pulls))


async def test_failed_checks_go_back_once_a_commit_and_so_often(github: Octo) -> None:
    number, pull = await with_pull(github)
    github.policy(rounds=2)
    for round_ in range(3):
        sha = people.fresh(github.hub, github.hub.pulls[pull])["head"]["sha"]
        people.check(github.hub, sha, "lint", "success")
        people.check(github.hub, sha, "tests", None)
        await github.sync()
        assert github.ticket(number).state == "review", "tests still run"
        people.check(github.hub, sha, "tests", "failure", title="1 failed", summary="test_add `````\nescape")
        await github.sync()
        await github.sync()
        if round_ == 2:
            break
        (run,) = github.live()
        assert "tests: failure" in run.feedback and "test_add" in run.feedback and "lint" not in run.feedback
        assert run.feedback.count("``````") == 2, "a check's words cannot close their fence"
        github.desk.work(a_txt=f"again {round_}\n")
        await github.sync()
    assert github.ticket(number).state == "review" and github.live() == []
    assert "github.rounds_used" in github.desk.kinds() and github.pull().rounds == 2


async def test_what_is_said_while_the_agent_works_waits_for_it(github: Octo) -> None:
    _, pull = await with_pull(github)
    people.review(github.hub, "wren", pull, "changes_requested", "First")
    await github.sync()
    people.review(github.hub, "ada", pull, "commented", "", ("a.txt", 1, "Second"))
    for _ in range(2):
        github.bring()
        await github.tend()
    assert len(github.live()) == 1
    github.desk.work(a_txt="one more\n")
    with github.desk.database.transaction() as db:
        from dispatcher.github.inbox import newest

        for row in newest(db, github.repo().id or 0):
            row.next_at = None
    await github.sync()
    (run,) = github.live()
    assert "Second" in run.feedback and github.pull().rounds == 2


async def test_a_branch_that_somebody_else_pushed_to_is_not_overwritten(github: Octo, tmp_path: Path) -> None:
    number, pull = await with_pull(github)
    branch = github.hub.pulls[pull]["head"]["ref"]
    other = tmp_path / "other"
    git(tmp_path, "clone", "-q", "-b", branch, str(github.hub.bare), str(other))
    theirs = commit(other, "Theirs", b_txt="theirs\n")
    git(other, "push", "-q", "origin", branch)
    people.review(github.hub, "wren", pull, "changes_requested", "More")
    await github.sync()
    github.desk.work(a_txt="more\n")
    for _ in range(3):
        github.bring()
        await github.tend()
    assert git(github.hub.bare, "rev-parse", f"refs/heads/{branch}") == theirs
    assert any("somebody else has pushed" in row.fault for row in github.desk.all(GitHubLetter))
    assert github.ticket(number).state == "review"


async def test_a_cancelled_ticket_closes_its_pull_request(github: Octo) -> None:
    number, pull = await with_pull(github)
    github.do(board.cancel, number)
    await github.sync()
    assert github.hub.pulls[pull]["state"] == "closed" and not github.hub.pulls[pull]["merged"]
    assert github.hub.issues[number]["state"] == "closed" and github.pull().state == "closed"


async def test_the_policy_ready_opens_pull_requests_by_itself(github: Octo) -> None:
    github.policy(pulls="ready")
    await in_review(github)
    assert github.one(GitHubPull).state == "open" and len(github.hub.pulls) == 1


async def test_a_merge_while_the_agent_works_stops_it(github: Octo) -> None:
    number, pull = await with_pull(github)
    people.review(github.hub, "wren", pull, "changes_requested", "More")
    await github.sync()
    sha = people.merge(github.hub, "ada", pull)
    await github.sync()
    assert github.ticket(number).state == "done" and github.ticket(number).merged_sha == sha
    assert github.live() == [] and github.desk.all(Run)[-1].state == "cancelled"


async def test_one_worker_of_many_looks_after_a_repository(github: Octo) -> None:
    repo_id = github.repo().id or 0

    def write(use_case: Any, *args: Any) -> Any:
        with github.desk.database.transaction() as db:
            return use_case(db, *args)

    assert write(take_lease, repo_id, "w1") and write(take_lease, repo_id, "w1") and not write(take_lease, repo_id, "w2")
    write(give_lease, repo_id, "w2")
    assert not write(take_lease, repo_id, "w2")
    number = people.open_issue(github.hub, "ada", "One", "")
    github.bring()
    write(give_lease, repo_id, "w1")
    assert write(take_lease, repo_id, "another")
    await github.tend()
    assert github.owed(), "another worker has it"
    write(give_lease, repo_id, "another")
    await github.sync()
    assert github.ticket(number).state == "backlog"


async def test_nothing_is_asked_or_written_where_nothing_is_to_do(github: Octo) -> None:
    await begun(github)
    calls, before = len(github.hub.calls), github.repo().model_dump()
    for _ in range(3):
        await github.tender.tend()
    assert len(github.hub.calls) == calls and github.repo().model_dump() == before


async def test_the_catch_up_finds_what_no_webhook_brought(github: Octo) -> None:
    from sqlmodel import select

    from dispatcher.models import GitHubRepo

    number, pull = await with_pull(github)
    people.review(github.hub, "wren", pull, "commented", "", ("a.txt", 1, "Why?"))
    other = people.open_issue(github.hub, "mallory", "Missed", "While you slept")
    people.add_label(github.hub, "ada", other, "agent:coder")
    people.add_comment(github.hub, "ada", number, "A comment that nobody was told of")
    github.hub.flush()  # sent, and lost

    def due() -> None:
        with github.desk.database.transaction() as db:
            row = db.exec(select(GitHubRepo)).one()
            row.reconciled_at = None
            db.add(row)

    due()
    await github.tend()
    assert github.ticket(other).state == "queued" and github.ticket(number).state == "queued"
    assert [row.body for row in github.desk.all(Comment) if row.review_id is None] == ["A comment that nobody was told of"]
    runs, calls = len(github.desk.all(Run)), len(github.hub.calls)
    due()
    await github.tend()
    assert len(github.desk.all(Run)) == runs and len(github.hub.calls) - calls < 15
    assert not [call for call in github.hub.calls[calls:] if not call.startswith("GET")]
    people.merge(github.hub, "ada", pull)
    github.hub.flush()
    due()
    await github.sync()
    assert github.ticket(number).state == "done"


async def test_tokens_leave_for_git_and_the_api_alone(github: Octo) -> None:
    from tests.github_server import TOKEN

    await with_pull(github)
    assert TOKEN not in (github.desk.checkout / ".git" / "config").read_text()
    assert not [call for call in github.hub.calls if TOKEN in call]
    for table in ("github_repo", "github_letter", "github_delivery", "activity", "comment"):
        with github.desk.database.engine.connect() as connection:
            assert TOKEN not in repr(connection.exec_driver_sql(f"SELECT * FROM {table}").all())
