"""The web app dies by kill -9 at each named step of a verdict; the verdict is given once more, and holds once."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlmodel import select

from dispatcher.models import Review
from dispatcher.upkeep import tidy
from tests.chaos.ground import PLAIN, Ground, ground
from tests.gitting import commit

pytestmark = pytest.mark.guarantee("every step may die")
MERGES = ("grep -q '<<<<' a.txt && echo both > a.txt || echo x > a.txt", "say Done.")


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory, module_repository: Path) -> Iterator[Ground]:
    with ground(tmp_path_factory.mktemp("ground"), "", module_repository) as made:
        yield made


@pytest.fixture
def key(here: Ground) -> Iterator[str]:
    """A ticket in review."""
    key = here.file(*PLAIN)
    with here.worker():
        assert here.settled(key) == "review"
    yield key
    here.clear()


def _dies(here: Ground, point: str, path: str, body: dict[str, str]) -> None:
    with here.web(at=point) as client:
        with pytest.raises(httpx.TransportError):
            client.post(path, json=body)
        assert here.last is not None and here.last.ended() == -signal.SIGKILL


@pytest.mark.parametrize("method", ["merge", "squash"])
@pytest.mark.parametrize("point", ["review.merge_made", "review.landed"])
def test_killed_before_an_approval_is_written(here: Ground, key: str, point: str, method: str) -> None:
    before, place = here.git("rev-parse", "main"), here.workspace(key)
    _dies(here, point, f"/tickets/{key}/approve", {"method": method})
    assert here.ticket(key).state == "review"
    with here.web() as client:
        client.post(f"/tickets/{key}/approve", json={"method": method}).raise_for_status()
    ticket = here.ticket(key)
    assert (ticket.state, ticket.merged_sha) == ("done", here.git("rev-parse", "main"))
    assert here.git("rev-list", "--count", "--first-parent", f"{before}..main") == "1", "merged once"
    assert here.git("diff", "--stat", place.head_sha, "main", "--", "a.txt") == ""
    assert len(_reviews(here, key)) == 1
    here.whole()


@pytest.mark.parametrize("point", ["review.recorded", "worktree.half_removed"])
def test_killed_while_it_tidies_up_after_a_merge(here: Ground, key: str, point: str) -> None:
    place = here.workspace(key)
    _dies(here, point, f"/tickets/{key}/approve", {})
    assert here.ticket(key).state == "done"
    with here.web() as client:
        assert [one["path"] for one in client.get(f"/tickets/{key}/diff").json()["files"]] == ["a.txt"]
    done = tidy(here.database, here.settings)
    assert [(one.kind, one.what) for one in done.gone] == [("worktree", key)] and done.failed == []
    assert tidy(here.database, here.settings).gone == []
    here.whole()
    assert here.git("rev-parse", f"refs/dispatcher/agent/{key}") == place.head_sha, "its diff stays"


@pytest.mark.parametrize("point", ["review.head_kept", "doorbell.silent"])
def test_killed_while_changes_are_requested(here: Ground, key: str, point: str) -> None:
    _dies(here, point, f"/tickets/{key}/changes", {"body": "More, please."})
    if here.ticket(key).state == "review":
        with here.web() as client:
            client.post(f"/tickets/{key}/changes", json={"body": "More, please."}).raise_for_status()
    with here.worker():
        assert here.settled(key) == "review"
    assert [(run.state, run.reason) for run in here.runs(key)] == [("succeeded", "assign"), ("succeeded", "change")]
    assert here.run(key).resume == "fake-1" and "More, please." in here.run(key).prompt
    assert len(_reviews(here, key)) == 1
    here.whole(key)


@pytest.mark.parametrize("point", ["discard.cancelled", "discard.removed"])
def test_killed_while_it_discards(here: Ground, key: str, point: str) -> None:
    _dies(here, point, f"/tickets/{key}/discard", {"confirm": key})
    assert here.ticket(key).state == "cancelled"
    with here.web() as client:
        client.post(f"/tickets/{key}/discard", json={"confirm": key}).raise_for_status()
    assert here.ticket(key).state == "cancelled"
    here.whole()


@pytest.mark.parametrize(("point", "name"), [("conflict.announced", "one"), ("conflict.half_laid", "two")])
def test_killed_while_the_agent_is_given_a_merge_to_finish(here: Ground, point: str, name: str) -> None:
    key = here.file(*(line.replace("a.txt", name) for line in MERGES))
    with here.worker():
        assert here.settled(key) == "review"
    commit(here.repository, "Meanwhile", **{name: "theirs\n"})
    with here.web() as client:
        assert client.post(f"/tickets/{key}/approve", json={}).status_code == 409
        assert here.ticket(key).state == "blocked"
        client.post(f"/tickets/{key}/answer", json={"text": "Finish the merge."}).raise_for_status()
    with here.worker(at=point) as first:
        assert first.ended() == -signal.SIGKILL
    with here.worker():
        assert here.settled(key) == "review", here.said()
    assert here.git("show", f"agent/{key}:{name}") == "both"
    assert here.git("rev-list", "--count", "--merges", f"main..agent/{key}") == "1"
    with here.web() as client:
        client.post(f"/tickets/{key}/approve", json={}).raise_for_status()
    here.whole()


def _reviews(here: Ground, key: str) -> list[Review]:
    with here.database.reading() as db:
        return list(db.exec(select(Review).where(Review.ticket_id == here.ticket(key).id)))
