"""Comments on lines, drafts, viewed marks and ranges, on real branches and both engines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dispatcher import board, drafts, review
from dispatcher.actor import acting_as
from dispatcher.changes import FileChange
from dispatcher.errors import Conflict, Invalid, NotFound
from dispatcher.forecast import Forecast, forecast
from dispatcher.models import Comment, Draft, Review, Viewed
from dispatcher.ranges import points
from dispatcher.remarks import LineComment, locate
from dispatcher.subject import Subject, look
from tests.desk import Desk
from tests.gitting import commit, git

LINES = "".join(f"line {number}\n" for number in range(1, 31))


@pytest.fixture
def desk(tmp_path: Path, database_url: str, repository: Path) -> Iterator[Desk]:
    commit(repository, a_txt=LINES, old_txt="gone\nsoon\n")
    desk = Desk.make(tmp_path, database_url, repository)
    yield desk
    desk.database.close()


def reviewed(desk: Desk, **files: str) -> str:
    key = desk.file()
    desk.work(**(files or {"a_txt": LINES.replace("line 10\n", "line ten\n")}))
    return key


def subject(desk: Desk, key: str) -> Subject:
    with desk.database.reading() as db:
        return look(db, board.get_ticket(db, key))


def outlook(desk: Desk, key: str) -> Forecast:
    found = forecast(subject(desk, key))
    assert found is not None
    return found


def diff(desk: Desk, key: str, **asked: Any) -> review.Diff:
    with desk.database.reading() as db:
        return review.diff(db, board.get_ticket(db, key), **asked)


def paths(found: review.Diff | list[FileChange]) -> list[str]:
    return [file.path for file in (found if isinstance(found, list) else found.files)]


class TestDrafts:
    def test_a_draft_keeps_the_lines_that_it_is_about(self, desk: Desk) -> None:
        key = reviewed(desk)
        saved = drafts.save_draft(desk.database, key, LineComment(path="a.txt", start_line=9, line=11, body="Why?"))
        assert saved.snippet == "line 9\nline ten\nline 11" and saved.head_sha == desk.place(1).head_sha
        old = drafts.save_draft(desk.database, key, LineComment(path="a.txt", line=10, side="old", body="Keep it."))
        assert (old.snippet, old.side) == ("line 10", "old")
        whole = drafts.save_draft(desk.database, key, LineComment(path="a.txt", body="All of it."))
        assert (whole.snippet, whole.line) == ("", None)
        before = desk.kinds()
        assert "comment.added" not in before, "nobody is told of a draft"

    def test_only_its_author_sees_edits_and_deletes_it(self, desk: Desk) -> None:
        key = reviewed(desk)
        with acting_as("ada"):
            own = drafts.save_draft(desk.database, key, LineComment(path="a.txt", line=1, body="Mine."))
        number = own.id or 0
        with acting_as("bob"):
            assert desk.do(drafts.list_drafts, key) == []
            for use_case in (
                lambda: desk.do(drafts.edit_draft, key, number, "No"),
                lambda: desk.do(drafts.delete_draft, key, number),
            ):
                with pytest.raises(NotFound, match="no draft"):
                    use_case()
        with acting_as("ada"):
            desk.do(drafts.edit_draft, key, number, "Better.")
            assert [one.body for one in desk.do(drafts.list_drafts, key)] == ["Better."]
            with pytest.raises(Invalid, match="empty"):
                desk.do(drafts.edit_draft, key, number, "  ")
            desk.do(drafts.delete_draft, key, number)
            with pytest.raises(NotFound):
                desk.do(drafts.edit_draft, key, number, "late")
        assert desk.all(Draft) == []

    @pytest.mark.parametrize(
        ("comment", "error", "words"),
        [
            ({"path": "b.txt", "line": 1}, NotFound, "the diff has no file"),
            ({"path": "a.txt", "line": 31}, Invalid, "has no line 31"),
            ({"path": "a.txt", "line": 1, "body": "  "}, Invalid, "empty"),
            ({"path": "a.txt", "line": 1, "body": "x" * 300_000}, Invalid, "is the limit"),
        ],
    )
    def test_what_cannot_be_kept(self, desk: Desk, comment: dict[str, Any], error: type[Exception], words: str) -> None:
        key = reviewed(desk)
        with pytest.raises(error, match=words):
            drafts.save_draft(desk.database, key, LineComment(**({"body": "x"} | comment)))
        assert desk.all(Draft) == []

    def test_a_closed_ticket_takes_no_draft_but_a_comment(self, desk: Desk) -> None:
        key = reviewed(desk)
        review.approve(desk.database, key)
        with pytest.raises(Conflict, match="no verdict will send"):
            drafts.save_draft(desk.database, key, LineComment(path="a.txt", line=1, body="Late."))
        drafts.say_now(desk.database, key, LineComment(path="a.txt", line=10, body="For later."))
        (said,) = desk.all(Comment)
        assert (said.path, said.line, said.snippet, said.review_id) == ("a.txt", 10, "line ten", None)

    def test_there_is_a_most(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        key = reviewed(desk)
        monkeypatch.setattr(drafts, "MOST_DRAFTS", 1)
        drafts.save_draft(desk.database, key, LineComment(path="a.txt", body="one"))
        with pytest.raises(Conflict, match="you have 1 drafts"):
            drafts.save_draft(desk.database, key, LineComment(path="a.txt", body="two"))


class TestTheBatch:
    def test_it_goes_to_the_agent_with_places_code_and_suggestions(self, desk: Desk) -> None:
        key = reviewed(desk)
        body = "Shorter.\n\n```suggestion\nline 9\nline x\n```\nThen more."
        drafts.save_draft(desk.database, key, LineComment(path="a.txt", start_line=9, line=10, body=body))
        drafts.save_draft(desk.database, key, LineComment(path="a.txt", line=10, side="old", body="Why did it go?"))
        with acting_as("bob"):
            drafts.save_draft(desk.database, key, LineComment(path="a.txt", line=1, body="Of another"))
        run = review.send_back(desk.database, key, "Not yet.", with_drafts=True)
        assert run.feedback == (
            "Not yet.\n\n"
            "1. a.txt:9-10:\n```\n9: line 9\n10: line ten\n```\nShorter.\n\n"
            "Replace lines 9 to 10 of a.txt by exactly this:\n```\nline 9\nline x\n```\nThen more.\n\n"
            "2. a.txt:10 (of the version before your changes):\n```\n10: line 10\n```\nWhy did it go?"
        )
        (verdict,) = desk.all(Review)
        said = desk.all(Comment)
        assert [(one.start_line, one.line, one.side, one.review_id) for one in said] == [
            (9, 10, "new", verdict.id),
            (None, 10, "old", verdict.id),
        ]
        assert [one.body for one in desk.all(Draft)] == ["Of another"], "another person's draft waits for their own verdict"
        assert f"refs/dispatcher/reviewed/agent/{key}/{verdict.head_sha}" in git(desk.checkout, "for-each-ref")

    def test_a_refused_verdict_keeps_the_drafts(self, desk: Desk) -> None:
        key = reviewed(desk)
        drafts.save_draft(desk.database, key, LineComment(path="a.txt", line=1, body="Kept."))
        with pytest.raises(Conflict, match="has moved since you looked"):
            review.send_back(desk.database, key, "", with_drafts=True, head="0" * 40)
        desk.do(board.cancel, key)
        with pytest.raises(Conflict):
            review.send_back(desk.database, key, "", with_drafts=True)
        assert len(desk.all(Draft)) == 1 and desk.all(Comment) == [] and desk.all(Review) == []

    def test_drafts_alone_are_a_request_and_without_them_it_is_empty(self, desk: Desk) -> None:
        key = reviewed(desk)
        with pytest.raises(Invalid, match="the request is empty"):
            review.send_back(desk.database, key, " ", with_drafts=True)
        drafts.save_draft(desk.database, key, LineComment(path="a.txt", line=1, body="This."))
        assert review.send_back(desk.database, key, "", with_drafts=True).feedback.startswith("1. a.txt:1:")

    def test_a_fence_within_the_code_does_not_end_the_quotation(self, desk: Desk) -> None:
        key = reviewed(desk, a_txt="````\ncode\n````\n")
        drafts.save_draft(desk.database, key, LineComment(path="a.txt", line=1, body="x"))
        assert "`````\n1: ````\n`````" in review.send_back(desk.database, key, "", with_drafts=True).feedback


class TestPlaces:
    def test_comments_stay_move_or_are_outdated(self, desk: Desk) -> None:
        key = reviewed(desk)
        for line, body in ((2, "stays"), (10, "moves"), (20, "changes")):
            drafts.say_now(desk.database, key, LineComment(path="a.txt", line=line, body=body))
        drafts.say_now(desk.database, key, LineComment(path="a.txt", body="whole"))
        review.send_back(desk.database, key, "Again.")
        again = LINES.replace("line 10\n", "new\nline ten\n").replace("line 20\n", "other\n")
        desk.work(a_txt=again)
        now = subject(desk, key)
        files = drafts.changed(now)
        places = {one.body: locate(now.repository, files, one) for one in desk.all(Comment)}
        assert {body: (place.where, place.line) for body, place in places.items()} == {
            "stays": ("here", 2),
            "moves": ("moved", 11),
            "changes": ("outdated", None),
            "whole": ("file", None),
        }
        assert locate(now.repository, [], desk.all(Comment)[0]).where == "elsewhere"


class TestViewed:
    def test_a_mark_is_of_the_content_and_of_one_person(self, desk: Desk) -> None:
        key = reviewed(desk)
        file = drafts.set_viewed(desk.database, key, "a.txt", True)
        drafts.set_viewed(desk.database, key, file.id, True)
        assert desk.do(drafts.list_viewed, key) == {file.id: file.new_blob} and len(desk.all(Viewed)) == 1
        with acting_as("bob"):
            assert desk.do(drafts.list_viewed, key) == {}
        review.send_back(desk.database, key, "Again.")
        desk.work(a_txt=LINES + "more\n")
        (now,) = drafts.changed(subject(desk, key))
        assert desk.do(drafts.list_viewed, key) == {now.id: file.new_blob} and now.new_blob != file.new_blob
        drafts.set_viewed(desk.database, key, "a.txt", False)
        drafts.set_viewed(desk.database, key, "a.txt", False)
        assert desk.do(drafts.list_viewed, key) == {}

    def test_what_has_no_mark(self, desk: Desk) -> None:
        key = reviewed(desk)
        with pytest.raises(NotFound):
            drafts.set_viewed(desk.database, key, "b.txt", True)
        with pytest.raises(Invalid, match="is no blob"):
            drafts.set_viewed(desk.database, key, "a.txt", True, "HEAD")


class TestRanges:
    def test_since_my_last_review(self, desk: Desk) -> None:
        key = reviewed(desk)
        with pytest.raises(Invalid, match="not reviewed this ticket yet"):
            diff(desk, key, since="review")
        review.send_back(desk.database, key, "More.")
        assert paths(diff(desk, key, since="review")) == []
        desk.work(b_txt="b\n")
        assert paths(diff(desk, key)) == ["a.txt", "b.txt"]
        assert paths(diff(desk, key, since="review")) == ["b.txt"]
        with acting_as("bob"), pytest.raises(Invalid):
            diff(desk, key, since="review")

    def test_what_one_run_did(self, desk: Desk) -> None:
        key = reviewed(desk)
        first = desk.place(1).head_sha
        review.send_back(desk.database, key, "More.")
        desk.work(b_txt="b\n")
        review.send_back(desk.database, key, "More.")
        desk.work(c_txt="c\n")
        assert paths(diff(desk, key, until=first)) == ["a.txt"]
        assert paths(diff(desk, key, since=first)) == ["b.txt", "c.txt"]
        with desk.database.reading() as db:
            known = points(db, board.get_ticket(db, key), desk.place(1).head_sha)
        assert [point.name for point in known.runs] == ["run-1", "run-2", "run-3"] and known.news
        assert paths(diff(desk, key, since="run-1", until="run-2")) == ["b.txt"]
        assert paths(diff(desk, key, since="run-2", until="run-1")) == ["b.txt"]

    @pytest.mark.parametrize("name", ["main", "HEAD", "run-9", "--output=x", "0" * 40, "a^{tree}", "\x00"])
    def test_only_commits_of_the_ticket_can_be_named(self, desk: Desk, name: str) -> None:
        key = reviewed(desk)
        for asked in ({"since": name}, {"until": name}):
            with pytest.raises(Invalid, match="no commit"):
                diff(desk, key, **asked)

    def test_what_a_merge_of_the_target_brought_is_left_out(self, desk: Desk) -> None:
        key = reviewed(desk)
        review.send_back(desk.database, key, "More.")
        commit(desk.checkout, theirs_txt="theirs\n")
        run = desk.claim()
        place = desk.prepare(run)
        git(Path(place.path), "merge", "-q", "-m", "Take main in", "main")
        (Path(place.path) / "b.txt").write_text("b\n")
        desk.snapshot(run)
        desk.finish(run)
        found = diff(desk, key, since="review")
        assert paths(found) == ["b.txt"] and found.notes == ["main was merged in between: what came with it is left out."]
        assert paths(diff(desk, key)) == ["a.txt", "b.txt"]

    def test_a_merge_with_conflicts_in_between_is_told(self, desk: Desk) -> None:
        key = reviewed(desk)
        review.send_back(desk.database, key, "More.")
        commit(desk.checkout, a_txt=LINES.replace("line 10\n", "line x\n"), theirs_txt="t\n")
        run = desk.claim()
        place = Path(desk.prepare(run).path)
        git(place, "merge", "-q", "-s", "ours", "-m", "Take main in", "main")
        (place / "b.txt").write_text("b\n")
        desk.snapshot(run)
        desk.finish(run)
        found = diff(desk, key, since="review")
        assert found.notes == ["main was merged in between, with conflicts: what came with it is shown too."]

    def test_a_rewritten_branch_still_shows_what_is_new(self, desk: Desk) -> None:
        key = reviewed(desk)
        review.send_back(desk.database, key, "Again.")
        run = desk.claim()
        place = Path(desk.prepare(run).path)
        git(place, "reset", "-q", "--hard", "main")
        (place / "b.txt").write_text("b\n")
        git(place, "add", "-A")
        git(place, "commit", "-q", "-m", "Begin anew")
        desk.snapshot(run)
        desk.finish(run)
        git(desk.checkout, "reflog", "expire", "--expire=now", "--all")
        git(desk.checkout, "gc", "-q", "--prune=now")
        found = diff(desk, key, since="review")
        assert paths(found) == ["a.txt", "b.txt"] and found.notes == ["The branch was rewritten in between."]

    def test_discarding_forgets_what_was_reviewed(self, desk: Desk) -> None:
        key = reviewed(desk)
        review.send_back(desk.database, key, "Again.")
        review.discard(desk.database, key)
        assert "refs/dispatcher" not in git(desk.checkout, "for-each-ref")

    def test_space_alone_can_be_left_out(self, desk: Desk) -> None:
        key = reviewed(desk, a_txt=LINES.replace("line 10\n", "  line 10\n").replace("line 20\n", "line twenty\n"))
        assert (diff(desk, key).stats.additions, diff(desk, key, ignore_space=True).stats.additions) == (2, 1)
        assert "+line twenty" in diff(desk, key, ignore_space=True).text
        assert "+  line 10" not in diff(desk, key, ignore_space=True).text


class TestForecast:
    def test_a_clean_one(self, desk: Desk) -> None:
        key = reviewed(desk)
        found = outlook(desk, key)
        assert (found.fast_forward, found.behind, found.conflicts, found.checkout, found.obstacle) == (True, 0, [], True, None)
        commit(desk.checkout, b_txt="b\n")
        found = outlook(desk, key)
        assert (found.fast_forward, found.behind, found.conflicts) == (False, 1, [])

    def test_conflicts_with_their_lines(self, desk: Desk) -> None:
        key = reviewed(desk)
        commit(desk.checkout, a_txt=LINES.replace("line 10\n", "line X\n"))
        (clash,) = outlook(desk, key).conflicts
        assert (clash.path, clash.text) == ("a.txt", "both sides changed the same lines")
        (region,) = clash.regions
        assert region.line == 10 and region.text.split("\n")[1:4] == ["line X", "=======", "line ten"]

    def test_a_file_that_one_side_deleted(self, desk: Desk) -> None:
        key = desk.file()
        run = desk.claim()
        place = desk.prepare(run)
        (Path(place.path) / "old.txt").unlink()
        desk.snapshot(run)
        desk.finish(run)
        commit(desk.checkout, old_txt="changed\n")
        (clash,) = outlook(desk, key).conflicts
        assert (clash.path, clash.text, clash.regions) == ("old.txt", "deleted on the branch, changed on the target", [])

    def test_what_stands_in_the_way(self, desk: Desk) -> None:
        key = reviewed(desk)
        (desk.checkout / "README.md").write_text("mine\n")
        assert "has changes of yours: README.md" in (outlook(desk, key).obstacle or "")
        git(desk.checkout, "checkout", "-q", "-b", "mine")
        found = outlook(desk, key)
        assert (found.checkout, found.obstacle) == (False, None)
        git(desk.checkout, "branch", "-m", "main", "trunk")
        assert forecast(subject(desk, key)) is None
