"""What waits for a person: which tickets, since when, in what order; and what keeps queued runs from beginning."""

from __future__ import annotations

from datetime import timedelta

from sqlmodel import select

from dispatcher import activity, inbox
from dispatcher.models import Blocker, Endpoint, Project, Ticket, Worker, utcnow
from tests.board import Board

NOW = utcnow()


def _ago(minutes: float) -> timedelta:
    return timedelta(minutes=minutes)


def _blocked(board: Board, db: object, kind: str, minutes: float) -> Ticket:
    ticket = board.ticket(db, state="blocked")  # type: ignore[arg-type]
    db.add(Blocker(ticket_id=ticket.id, kind=kind, text=f"{kind} of {ticket.key}", created_at=NOW - _ago(minutes)))  # type: ignore[attr-defined]
    return ticket


def _worker(name: str, seconds: float = 0, **harnesses: dict[str, str]) -> Worker:
    seen = utcnow() - timedelta(seconds=seconds)
    return Worker(name=name, host="here", pid=1, version="1", runs_at_once=1, harnesses=harnesses, seen_at=seen)


def test_questions_come_first_then_what_has_waited_longest(board: Board) -> None:
    with board.database.transaction() as db:
        for kind, minutes in (("crashed", 60), ("question", 5), ("question", 10), ("limit", 90)):
            _blocked(board, db, kind, minutes)
        board.ticket(db, state="backlog")
        board.ticket(db, state="done")
    with board.database.reading() as db:
        found = inbox.read(db)
    assert [one.ticket.key for one in found.blocked] == ["WEB-3", "WEB-2", "WEB-4", "WEB-1"]
    assert [one.blocker.kind for one in found.blocked if one.blocker] == ["question", "question", "limit", "crashed"]
    assert not found.review and not found.faults and len(found) == 4


def test_a_review_waits_since_it_last_came_into_review(board: Board) -> None:
    with board.database.transaction() as db:
        first, second = board.ticket(db, state="review"), board.ticket(db, state="review")
        for ticket, minutes in ((first, 90), (second, 60), (first, 30)):
            activity.record(db, "ticket.review", ticket=ticket).at = NOW - _ago(minutes)
        activity.record(db, "comment.added", ticket=second)
    with board.database.reading() as db:
        found = inbox.read(db).review
    assert [(one.ticket.key, one.since) for one in found] == [("WEB-2", NOW - _ago(60)), ("WEB-1", NOW - _ago(30))]


def test_a_blocker_that_was_resolved_does_not_count(board: Board) -> None:
    with board.database.transaction() as db:
        ticket = _blocked(board, db, "question", 90)
        db.add(Blocker(ticket_id=ticket.id, kind="limit", text="now", created_at=NOW - _ago(1)))
        db.flush()
        db.exec(select(Blocker).where(Blocker.kind == "question")).one().resolved_at = NOW
    with board.database.reading() as db:
        [one] = inbox.read(db).blocked
    assert one.blocker is not None and one.blocker.kind == "limit" and one.since == NOW - _ago(1)


def test_one_project_is_asked_for(board: Board) -> None:
    with board.database.transaction() as db:
        _blocked(board, db, "question", 1)
        board.run(db, ticket=board.ticket(db, state="queued"))
        other = Project(key="API", name="api", path="/nowhere/api", default_branch="main")
        db.add(other)
        db.flush()
        assert other.id is not None
        db.add(Ticket(project_id=other.id, number=1, key="API-1", title="Other", state="review"))
    with board.database.reading() as db:
        found = inbox.read(db, "api")
        assert [one.ticket.key for one in found.review] == ["API-1"] and not found.blocked and not found.faults
        assert inbox.count_projects(db) == {"API": 1, "WEB": 1}
        assert inbox.count(db) == 3  # the third: no worker is alive, and a run is queued


def test_queued_runs_without_a_worker_are_a_fault(board: Board) -> None:
    with board.database.transaction() as db:
        assert inbox.count(db) == 0  # nobody waits for a worker
        board.run(db, ticket=board.ticket(db, state="queued"), created_at=NOW - _ago(7))
        db.add(_worker("dead", seconds=300))
    with board.database.transaction() as db:
        [fault] = inbox.read(db).faults
        assert (fault.kind, fault.tickets, fault.since) == ("no_worker", ("WEB-1",), NOW - _ago(7))
        assert fault.text == "no worker is alive, and WEB-1 waits in the queue" and "dispatcher worker" in fault.hint
        db.add(_worker("alive"))
        db.flush()
        assert inbox.read(db).faults == []


def test_an_endpoint_that_failed_its_check_is_a_fault_while_runs_wait_for_it(board: Board) -> None:
    with board.database.transaction() as db:
        db.add(_worker("alive"))
        endpoint = db.exec(select(Endpoint)).one()
        endpoint.health = {"ok": False, "message": "nothing listens at 127.0.0.1:1", "hint": "start the server"}
        endpoint.checked_at = NOW - _ago(2)
        db.add(endpoint)
        db.flush()
        assert inbox.read(db).faults == []
        board.run(db, ticket=board.ticket(db, state="queued"), created_at=NOW - _ago(9))
        board.run(db, ticket=board.ticket(db, state="queued"), created_at=NOW - _ago(1))
        [fault] = inbox.read(db).faults
        assert (fault.kind, fault.about, fault.tickets) == ("endpoint_down", "local", ("WEB-1", "WEB-2"))
        assert fault.since == NOW - _ago(2)
        assert "nothing listens" in fault.text and "WEB-1, WEB-2 wait in the queue" in fault.text
        assert fault.hint == "start the server; then check it again: dispatcher endpoint check local"
        endpoint.health = {"ok": True, "message": "it answers"}
        db.add(endpoint)
        db.flush()
        assert inbox.read(db).faults == []


def test_a_harness_that_no_worker_has_is_a_fault(board: Board) -> None:
    with board.database.transaction() as db:
        board.run(db, ticket=board.ticket(db, state="queued"))
        db.add(_worker("w1", goose={"missing": "not on PATH"}))
        db.flush()
        [fault] = inbox.read(db).faults
        assert (fault.kind, fault.about) == ("harness_missing", "goose") and "dispatcher harness install goose" in fault.hint
        db.add(_worker("w2"))  # it has not told yet what it found
        db.flush()
        assert inbox.read(db).faults == []
        db.merge(_worker("w2", goose={"path": "/bin/goose", "version": "1"}))
        db.flush()
        assert inbox.read(db).faults == []
