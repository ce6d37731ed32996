"""The three verdicts on real branches: approve, request changes, discard."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dispatcher import board, review
from dispatcher.errors import Conflict, Invalid, MergeConflict
from dispatcher.models import Blocker, Comment, Project, Review, Run, SessionRow, Workspace
from dispatcher.review import LineComment
from tests.desk import Desk
from tests.gitting import commit, git


@pytest.fixture
def desk(tmp_path: Path, database_url: str, repository: Path) -> Iterator[Desk]:
    desk = Desk.make(tmp_path, database_url, repository)
    yield desk
    desk.database.close()


def reviewed(desk: Desk, **files: str) -> str:
    key = desk.file()
    desk.work(**(files or {"a_txt": "a\n"}))
    return key


def diff_of(desk: Desk, key: str) -> review.Diff:
    with desk.database.reading() as db:
        return review.diff(db, board.get_ticket(db, key))


@pytest.mark.parametrize("method", [None, "merge", "squash", "ff"])
def test_approve_merges_records_and_tidies(desk: Desk, method: str | None) -> None:
    key = reviewed(desk)
    head = diff_of(desk, key).head_sha
    ticket = review.approve(desk.database, key, method=method, head=head)
    assert ticket.state == "done" and ticket.merged_sha == git(desk.checkout, "rev-parse", "main")
    assert (desk.checkout / "a.txt").read_text() == "a\n" and git(desk.checkout, "status", "--porcelain") == ""
    assert git(desk.checkout, "branch", "--format=%(refname:short)") == "main"
    subject = git(desk.checkout, "log", "-1", "--format=%s")
    assert subject == {"squash": f"Do it ({key})", "ff": f"{key}: Do it"}.get(method or "", f"Merge {key}: Do it")
    (verdict,) = desk.all(Review)
    assert (verdict.verdict, verdict.head_sha) == ("approve", head) and verdict.run_id == desk.all(Run)[0].id
    (place,) = desk.all(Workspace)
    assert not Path(place.path).exists() and desk.kinds()[-2:] == ["ticket.done", "review.approved"]
    git(desk.checkout, "gc", "-q", "--prune=now")
    diff = diff_of(desk, key)
    assert [change.path for change in diff.files] == ["a.txt"] and "+a" in diff.text


def test_the_projects_own_method_and_a_message_of_the_reviewers(desk: Desk) -> None:
    with desk.database.transaction() as db:
        project = db.get_one(Project, 1)
        project.merge_method = "squash"
    review.approve(desk.database, reviewed(desk), message=" Add a.txt \n")
    assert git(desk.checkout, "log", "--format=%s") == "Add a.txt\nBegin"
    assert desk.all(Review)[0].body == "Add a.txt"


def test_the_diff_stays_that_of_the_branch_when_the_target_moves_on(desk: Desk) -> None:
    key = reviewed(desk)
    commit(desk.checkout, b_txt="b\n")
    assert [change.path for change in diff_of(desk, key).files] == ["a.txt"]
    review.approve(desk.database, key)
    assert [change.path for change in diff_of(desk, key).files] == ["a.txt"]


def test_what_is_not_in_review_cannot_be_approved(desk: Desk) -> None:
    key = desk.file()
    with pytest.raises(Conflict, match="has no branch yet"):
        review.approve(desk.database, key)
    desk.work("question", a_txt="a\n")
    with pytest.raises(Conflict, match=f"{key} is blocked, not in review"):
        review.approve(desk.database, key)
    desk.do(board.accept, key)
    with pytest.raises(Invalid, match="no way to merge") as caught:
        review.approve(desk.database, key, method="rebase")
    assert caught.value.field == "method"
    with pytest.raises(Conflict, match="has moved since you looked"):
        review.approve(desk.database, key, head="0" * 40)
    review.approve(desk.database, key)
    with pytest.raises(Conflict, match="is done, not in review"):
        review.approve(desk.database, key)


def test_a_checkout_in_the_way_changes_nothing(desk: Desk) -> None:
    key = reviewed(desk, README_md="agent\n")
    before = git(desk.checkout, "rev-parse", "main")
    (desk.checkout / "README.md").write_text("mine\n")
    with pytest.raises(Conflict, match=r"has changes of yours: README\.md"):
        review.approve(desk.database, key)
    assert desk.ticket(key).state == "review" and git(desk.checkout, "rev-parse", "main") == before
    git(desk.checkout, "stash", "-q")
    assert review.approve(desk.database, key).state == "done"


def test_a_target_that_is_gone(desk: Desk) -> None:
    key = reviewed(desk)
    git(desk.checkout, "branch", "-m", "main", "trunk")
    assert diff_of(desk, key).stats.files == 1
    with pytest.raises(Conflict, match="the branch main is gone"):
        review.approve(desk.database, key)


@pytest.mark.parametrize("method", ["merge", "squash", "ff"])
def test_a_crash_between_merge_and_record_is_made_good(desk: Desk, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    key = reviewed(desk)
    monkeypatch.setattr(review, "_record", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        review.approve(desk.database, key, method=method)
    monkeypatch.undo()
    merged = git(desk.checkout, "rev-parse", "main")
    assert desk.ticket(key).state == "review"
    ticket = review.approve(desk.database, key, method=method)
    assert (ticket.state, ticket.merged_sha) == ("done", merged) and git(desk.checkout, "rev-parse", "main") == merged
    assert [change.path for change in diff_of(desk, key).files] == ["a.txt"]


def test_somebody_faster_is_noticed(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    key = reviewed(desk)
    land = review.land

    def meanwhile(*args: object, **kwargs: object) -> None:
        land(*args, **kwargs)  # type: ignore[arg-type]
        desk.do(review.request_changes, key, "Not like this.")

    monkeypatch.setattr(review, "land", meanwhile)
    with pytest.raises(Conflict, match="changed by somebody else meanwhile: it is queued now"):
        review.approve(desk.database, key)
    assert [one.verdict for one in desk.all(Review)] == ["request_changes"]


def test_a_conflict_blocks_and_the_next_run_finishes_the_merge(desk: Desk) -> None:
    key = reviewed(desk, README_md="agent\n", a_txt="a\n")
    commit(desk.checkout, README_md="mine\n", b_txt="b\n")
    with pytest.raises(MergeConflict) as caught:
        review.approve(desk.database, key)
    assert caught.value.files == ["README.md"] and f"ticket answer {key}" in caught.value.hint
    (blocker,) = desk.all(Blocker)
    assert (blocker.kind, blocker.files, desk.ticket(key).state) == ("conflict", ["README.md"], "blocked")
    assert blocker.text == f"agent/{key} cannot be merged into main: both sides changed README.md"

    latest = commit(desk.checkout, c_txt="c\n")
    desk.do(board.answer, key, "Keep both.")
    run = desk.claim()
    place = desk.prepare(run)
    path = Path(place.path)
    assert "<<<<<<<" in (path / "README.md").read_text() and (path / "c.txt").exists() and place.merge_sha == latest
    assert "UU README.md" in git(path, "status", "--porcelain")
    (path / "README.md").write_text("both\n")
    desk.snapshot(run)
    desk.finish(run)
    assert desk.place(run.ticket_id).merge_sha is None
    assert sorted(change.path for change in diff_of(desk, key).files) == ["README.md", "a.txt"]
    assert review.approve(desk.database, key).state == "done"
    assert (desk.checkout / "README.md").read_text() == "both\n" and (desk.checkout / "b.txt").exists()


def test_requested_changes_go_to_the_same_workspace_and_session(desk: Desk) -> None:
    key = reviewed(desk)
    with desk.database.transaction() as db:
        db.add(SessionRow(run_id=desk.all(Run)[0].id, native_id="native-1"))
    comments = [LineComment(path="a.txt", line=1, body="Why?"), LineComment(path="b.txt", body="Missing.")]
    run = desk.do(review.request_changes, key, "Not yet.", comments)
    assert (run.reason, run.resume, run.state) == ("change", "native-1", "queued")
    assert run.feedback == "Not yet.\n\n1. a.txt:1:\nWhy?\n\n2. b.txt (the whole file):\nMissing."
    (verdict,) = desk.all(Review)
    said = desk.all(Comment)
    assert [(one.path, one.line, one.review_id) for one in said] == [("a.txt", 1, verdict.id), ("b.txt", None, verdict.id)]
    assert (verdict.verdict, verdict.body) == ("request_changes", "Not yet.") and "review.changes_requested" in desk.kinds()
    before = desk.place(1)
    after = desk.work(a_txt="better\n")
    assert after.path == before.path and after.head_sha != before.head_sha
    review.approve(desk.database, key)
    assert (desk.checkout / "a.txt").read_text() == "better\n"


def test_a_request_says_something_and_is_for_a_ticket_in_review(desk: Desk) -> None:
    key = desk.file()
    with pytest.raises(Invalid, match="empty"):
        desk.do(review.request_changes, key, " \n")
    with pytest.raises(Conflict):
        desk.do(review.request_changes, key, "Do.")
    desk.work(a_txt="a\n")
    with pytest.raises(Invalid, match="is the limit"):
        desk.do(review.request_changes, key, "x" * 300_000)
    assert desk.all(Review) == [] and desk.ticket(key).state == "review"


@pytest.mark.parametrize("state", ["review", "blocked", "queued", "cancelled"])
def test_discard_removes_branch_and_worktree_and_keeps_the_records(desk: Desk, state: str) -> None:
    key = desk.file()
    place = desk.work("question" if state == "blocked" else None, a_txt="a\n")
    if state == "queued":
        desk.do(review.request_changes, key, "Again.")
    elif state == "cancelled":
        desk.do(board.cancel, key)
    ticket = review.discard(desk.database, key)
    assert (ticket.state, ticket.files, desk.kinds()[-1]) == ("cancelled", 0, "ticket.discarded")
    assert not Path(place.path).exists() and git(desk.checkout, "branch", "--format=%(refname:short)") == "main"
    assert desk.all(Workspace) == [] and all(run.ended_at for run in desk.all(Run)) and desk.all(Run)
    with pytest.raises(Conflict, match="no branch"):
        diff_of(desk, key)
    desk.do(board.reopen, key)
    desk.do(board.assign, key, "coder")
    again = desk.work(b_txt="b\n")
    assert again.path == place.path and [change.path for change in diff_of(desk, key).files] == ["b.txt"]


def test_what_cannot_be_discarded(desk: Desk) -> None:
    key = desk.file()
    run = desk.claim()
    place = desk.prepare(run)
    with pytest.raises(Conflict, match="run under way") as caught:
        review.discard(desk.database, key)
    assert f"run stop {run.id}" in caught.value.hint and Path(place.path).exists()
    (Path(place.path) / "a.txt").write_text("a\n")
    desk.snapshot(run)
    desk.finish(run)
    git(Path(place.path), "checkout", "-q", "--detach")
    git(desk.checkout, "checkout", "-q", f"agent/{key}")
    with pytest.raises(Conflict, match="is checked out in"):
        review.discard(desk.database, key)
    git(desk.checkout, "checkout", "-q", "main")
    assert review.discard(desk.database, key).state == "cancelled" and not Path(place.path).exists()


def test_a_done_ticket_reopened_begins_anew(desk: Desk) -> None:
    key = reviewed(desk)
    review.approve(desk.database, key, method="squash")
    with pytest.raises(Conflict, match="is done"):
        review.discard(desk.database, key)
    desk.do(board.reopen, key)
    desk.do(board.assign, key, "coder")
    place = desk.work(b_txt="b\n")
    assert place.base_sha == git(desk.checkout, "rev-parse", "main") and desk.ticket(key).merged_sha is None
    assert [change.path for change in diff_of(desk, key).files] == ["b.txt"]
    assert review.approve(desk.database, key).state == "done" and (desk.checkout / "b.txt").exists()
