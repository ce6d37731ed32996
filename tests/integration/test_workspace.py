"""A ticket's workspace: made, found again, given a merge, snapshot under the run's fence."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dispatcher import board, review, runs, worktrees
from dispatcher.errors import FenceLost, Invalid, MergeConflict, SetupFailed
from dispatcher.models import Activity, Project, Run, Ticket
from dispatcher.transitions import write_run
from tests.desk import Desk
from tests.gitting import commit, git
from workers import workspace


@pytest.fixture
def desk(tmp_path: Path, database_url: str, repository: Path) -> Iterator[Desk]:
    desk = Desk.make(tmp_path, database_url, repository)
    yield desk
    desk.database.close()


def test_a_new_workspace(desk: Desk) -> None:
    key = desk.file()
    place = desk.prepare(desk.claim())
    path, home = Path(place.path), Path(place.home)
    assert path == desk.settings.home / "worktrees" / "WEB" / key and home == desk.settings.home / "homes" / key
    assert (place.branch, place.target, place.merge_sha, place.setup_at) == (f"agent/{key}", "main", None, None)
    assert place.base_sha == place.head_sha == git(desk.checkout, "rev-parse", "main")
    assert git(path, "status", "--porcelain", "--branch") == f"## agent/{key}" and home.stat().st_mode & 0o077 == 0
    assert git(desk.checkout, "status", "--porcelain", "--branch") == "## main"


def test_the_agents_own_git_has_an_identity_and_ignores_litter(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.file()
    place = desk.prepare(desk.claim())
    path = Path(place.path)
    for name in list(os.environ):
        if name.startswith("GIT_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", place.home)
    (path / ".aider.chat.history.md").write_text("x")
    commit(path, a_txt="a\n")
    assert git(path, "log", "-1", "--format=%an <%ae>") == "coder (dispatcher) <coder@dispatcher.invalid>"
    assert git(path, "ls-files") == "README.md\na.txt" and git(path, "config", "safe.directory") == str(path)


def test_a_home_that_the_agent_has_changed_is_left_as_it_is(desk: Desk, tmp_path: Path) -> None:
    desk.file()
    run = desk.claim()
    home = Path(desk.prepare(run).home)
    outside = tmp_path / "outside"
    outside.mkdir()
    worktrees.remove_folder(home / ".config")
    (home / ".config").symlink_to(outside)
    desk.prepare(run)
    assert list(outside.iterdir()) == []


def test_a_snapshot_is_a_commit_with_stats_and_the_agents_words(desk: Desk) -> None:
    key = desk.file("Do it, " + "at length " * 20)
    run = desk.claim()
    place = desk.prepare(run)
    assert desk.snapshot(run) == place.head_sha and "workspace.snapshot" not in desk.kinds()
    (Path(place.path) / "a.txt").write_text("a\nb\n")
    git(Path(place.path), "init", "-q", "nested")
    (Path(place.path) / "nested" / "c.txt").write_text("c\n")
    head = desk.snapshot(run, "I did it.\n")
    ticket = desk.ticket(key)
    assert (ticket.files, ticket.additions, ticket.deletions) == (2, 3, 0)
    assert desk.place(run.ticket_id).head_sha == head == git(desk.checkout, "rev-parse", f"agent/{key}")
    subject, body = git(desk.checkout, "log", "-1", "--format=%s%n%b", head).split("\n", 1)
    assert len(subject) == 72 and subject.startswith(f"{key}: Do it, at length") and body.strip() == "I did it."
    (entry,) = [entry for entry in desk.all(Activity) if entry.kind == "workspace.snapshot"]
    assert entry.run_id == run.id and "nested/ is a repository of its own" in entry.data["notes"][0]


def test_the_workspace_is_kept_between_runs(desk: Desk) -> None:
    key = desk.file()
    first = desk.work("question", a_txt="a\n")
    with desk.database.transaction() as db:
        workspace.setup_done(db, board.get_ticket(db, key))
    (Path(first.path) / "ignored").mkdir()
    desk.do(board.answer, key, "Go on.")
    second = desk.prepare(desk.claim())
    assert (second.id, second.path, second.base_sha) == (first.id, first.path, first.base_sha)
    assert second.setup_at is not None and (Path(second.path) / "ignored").exists()


def test_work_that_a_lost_run_left_is_kept(desk: Desk) -> None:
    desk.file()
    run = desk.claim()
    path = Path(desk.prepare(run).path)
    (path / "half.txt").write_text("half\n")
    with desk.database.transaction() as db:
        runs.lose(db, run, 3)
    again = desk.claim()
    desk.prepare(again)
    assert (path / "half.txt").read_text() == "half\n"
    desk.snapshot(again)
    assert git(desk.checkout, "show", "--format=", "--name-only", "agent/WEB-1") == "half.txt"


def test_a_folder_that_was_removed_is_checked_out_again(desk: Desk) -> None:
    key = desk.file()
    place = desk.work("question", a_txt="a\n")
    worktrees.remove_folder(Path(place.path))
    git(desk.checkout, "worktree", "prune")
    desk.do(board.answer, key, "Go on.")
    assert (Path(desk.prepare(desk.claim()).path) / "a.txt").read_text() == "a\n"


def test_what_a_crash_left_before_its_row_was_written_is_made_again(desk: Desk) -> None:
    key = desk.file()
    run = desk.claim()
    place = desk.prepare(run)
    with desk.database.transaction() as db:
        db.delete(db.merge(place))
    again = desk.prepare(run)
    assert again.path == place.path and git(Path(again.path), "status", "--porcelain", "--branch") == f"## agent/{key}"


def test_a_branch_of_that_name_with_work_of_others_is_not_touched(desk: Desk) -> None:
    key = desk.file()
    git(desk.checkout, "checkout", "-q", "-b", f"agent/{key}")
    theirs = commit(desk.checkout, a_txt="a\n")
    git(desk.checkout, "checkout", "-q", "main")
    with pytest.raises(SetupFailed, match=f"the branch agent/{key} exists already") as caught:
        desk.prepare(desk.claim())
    assert "git branch -m" in caught.value.hint and git(desk.checkout, "rev-parse", f"agent/{key}") == theirs


def test_a_branch_named_agent_is_said(desk: Desk) -> None:
    desk.file()
    git(desk.checkout, "branch", "agent")
    with pytest.raises(SetupFailed, match=r"'refs/heads/agent' exists") as caught:
        desk.prepare(desk.claim())
    assert caught.value.hint and "\n" not in caught.value.line()


def test_a_repository_that_is_gone_and_a_target_that_is_gone(desk: Desk, tmp_path: Path) -> None:
    desk.file()
    run = desk.claim()
    git(desk.checkout, "branch", "-m", "main", "trunk")
    with pytest.raises(SetupFailed, match="the branch main is gone") as caught:
        desk.prepare(run)
    assert caught.value.hint
    desk.checkout.rename(tmp_path / "away")
    with pytest.raises(Invalid, match="does not exist"):
        desk.prepare(run)


def test_a_full_disk_is_one_line(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    desk.file()
    # A small file system of our own would need privileges that CI has not.
    monkeypatch.setattr(workspace, "begin_worktree", full)
    with pytest.raises(SetupFailed, match="is full") as caught:
        desk.prepare(desk.claim())
    assert "free some space" in caught.value.hint


def test_a_stale_worker_changes_nothing(desk: Desk) -> None:
    desk.file()
    run = desk.claim()
    place = desk.prepare(run)
    (Path(place.path) / "a.txt").write_text("a\n")
    with desk.database.transaction() as db:
        current = db.get_one(Run, run.id)
        write_run(db, current, fence=current.fence + 1)
    for action in (desk.snapshot, desk.prepare):
        with pytest.raises(FenceLost):
            action(run)
    assert git(desk.checkout, "rev-parse", place.branch) == place.head_sha and desk.ticket("WEB-1").files == 0


def conflicting(desk: Desk) -> str:
    key = desk.file()
    desk.work(README_md="agent\n")
    commit(desk.checkout, README_md="mine\n")
    with pytest.raises(MergeConflict):
        review.approve(desk.database, key)
    desk.do(board.answer, key, "Resolve it.")
    return key


def test_an_unfinished_merge_is_not_committed_and_goes_on_in_the_next_run(desk: Desk) -> None:
    key = conflicting(desk)
    run = desk.claim()
    place = desk.prepare(run)
    path = Path(place.path)
    (path / "README.md").write_text((path / "README.md").read_text() + "more\n")
    assert desk.snapshot(run) == place.head_sha
    assert workspace.unfinished_merge(desk.database, desk.ticket(key)) == ["README.md"]
    desk.finish(run, "question")
    desk.do(board.answer, key, "Go on.")
    run = desk.claim()
    desk.prepare(run)
    assert (path / "README.md").read_text().endswith("more\n")
    (path / "README.md").write_text("both\n")
    head = desk.snapshot(run)
    assert workspace.unfinished_merge(desk.database, desk.ticket(key)) == []
    assert git(desk.checkout, "log", "-1", "--format=%P", head).split()[1] == git(desk.checkout, "rev-parse", "main")


def test_a_merge_comes_after_what_a_lost_run_left(desk: Desk) -> None:
    conflicting(desk)
    run = desk.claim()
    path = Path(desk.place(run.ticket_id).path)
    (path / "half.txt").write_text("half\n")
    place = desk.prepare(run)
    assert "<<<<<<<" in (path / "README.md").read_text() and (path / "half.txt").exists()
    assert git(desk.checkout, "show", "--format=", "--name-only", place.head_sha) == "half.txt"


def test_a_merge_made_by_hand_meanwhile_is_noticed(desk: Desk) -> None:
    conflicting(desk)
    run = desk.claim()
    path = Path(desk.place(run.ticket_id).path)
    git(path, "merge", "-q", "-X", "ours", "-m", "By hand", "main")
    place = desk.prepare(run)
    assert "<<<<<<<" not in (path / "README.md").read_text()
    assert desk.snapshot(run) == git(desk.checkout, "rev-parse", place.branch)
    assert desk.place(run.ticket_id).merge_sha is None


def test_instructions_and_workflow(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "outside.md").write_text("x")
    assert workspace.instructions(desk.checkout) == []
    (desk.checkout / "AGENTS.md").symlink_to(tmp_path / "outside.md")
    assert workspace.instructions(desk.checkout) == []
    (desk.checkout / "AGENTS.md").unlink()
    base = commit(desk.checkout, AGENTS_md="Be kind.\n")
    assert workspace.instructions(desk.checkout) == [desk.checkout / "AGENTS.md"]
    with desk.database.reading() as db:
        project = db.get_one(Project, 1)
    assert workspace.workflow(project, base) is None
    with_workflow = commit(desk.checkout, WORKFLOW_md="---\nmax_turns: 3\n---\nDo {{ ticket.title }}.\n")
    (desk.checkout / "WORKFLOW.md").write_text("forged")
    assert workspace.workflow(project, with_workflow) == "---\nmax_turns: 3\n---\nDo {{ ticket.title }}.\n"


def test_many_workspaces_at_once(desk: Desk) -> None:
    for _ in range(8):
        desk.file()
    claimed = [desk.claim() for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        places = list(pool.map(desk.prepare, claimed))
        for number, place in enumerate(places):
            (Path(place.path) / "a.txt").write_text(f"{number}\n")
        heads = list(pool.map(desk.snapshot, claimed))
    assert [git(desk.checkout, "show", f"{head}:a.txt") for head in heads] == [str(number) for number in range(8)]
    assert len({place.path for place in places}) == 8


def test_tickets_of_one_project_are_apart(desk: Desk) -> None:
    desk.file()
    desk.file()
    first, second = desk.work(a_txt="one\n"), desk.work(a_txt="two\n")
    assert first.path != second.path and first.home != second.home
    assert [git(desk.checkout, "show", f"{place.branch}:a.txt") for place in (first, second)] == ["one", "two"]
    assert len(desk.all(Ticket)) == 2
