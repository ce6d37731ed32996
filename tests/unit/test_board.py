"""The board's use cases: file, assign, answer, cancel, lose, finish."""

import pytest
from sqlmodel import select

from dispatcher import activity, leases, runs
from dispatcher import board as cases
from dispatcher.errors import Conflict, FenceLost, Invalid, NotFound
from dispatcher.models import Blocker, Endpoint, Run, Ticket
from tests.board import Board


def assigned(fixture: Board) -> tuple[Ticket, Run]:
    with fixture.database.transaction() as db:
        ticket = cases.file_ticket(db, project="web", title="  Fix\nadd  ", body="It is wrong", agent="coder")
        return ticket, db.exec(select(Run)).one()


def claimed(fixture: Board, **values: object) -> tuple[Ticket, Run]:
    ticket, run = assigned(fixture)
    with fixture.database.transaction() as db:
        run = runs.claim(db, "w1", 30, run.id)  # type: ignore[assignment]
        for name, value in values.items():
            setattr(run, name, value)
    return ticket, run


def ended(fixture: Board, run: Run, result: runs.Result) -> None:
    with fixture.database.transaction() as db:
        runs.move_run(db, run, "finish")
        runs.finish(db, run, result)


def state(fixture: Board, ticket: Ticket) -> str:
    with fixture.database.reading() as db:
        return cases.get_ticket(db, ticket.key).state


def test_filing_with_an_agent_queues_a_run_and_rings_after_the_commit(board: Board) -> None:
    rung: list[tuple[list[int], int]] = []
    board.database.after_commit = lambda rings, cursor: rung.append((rings, cursor))
    ticket, run = assigned(board)
    assert (ticket.key, ticket.title, ticket.state) == ("WEB-1", "Fix add", "queued")
    assert run.state == "queued" and rung[0][0] == [run.id]
    with board.database.reading() as db:
        kinds = [entry.kind for entry in activity.since(db, 0)]
        assert kinds == ["ticket.filed", "ticket.queued", "run.queued"] and activity.newest(db) == rung[0][1]


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"title": "x" * 10_000}, "title"),
        ({"title": " \n "}, "title"),
        ({"body": "x" * 200_001}, "body"),
        ({"labels": ["a,b"]}, "labels"),
    ],
)
def test_bad_input_names_the_field_and_files_nothing(board: Board, values: dict[str, object], field: str) -> None:
    given = {"project": "WEB", "title": "t"} | values
    with pytest.raises(Invalid) as caught, board.database.transaction() as db:
        cases.file_ticket(db, **given)  # type: ignore[arg-type]
    assert caught.value.field == field and caught.value.hint
    with board.database.reading() as db:
        assert cases.list_tickets(db) == []


def test_unknown_names_are_told_with_what_there_is(board: Board) -> None:
    with pytest.raises(NotFound, match="no agent 'nobody'") as caught, board.database.transaction() as db:
        cases.file_ticket(db, project="WEB", title="t", agent="nobody")
    assert "coder" in caught.value.hint
    with pytest.raises(NotFound, match="no project"), board.database.transaction() as db:
        cases.file_ticket(db, project="NOPE", title="t")
    with pytest.raises(NotFound, match="no ticket"), board.database.reading() as db:
        cases.get_ticket(db, "WEB-99")


def test_odd_text_is_kept(board: Board) -> None:
    with board.database.transaction() as db:
        ticket = cases.file_ticket(db, project="WEB", title="Größe 🦆", body="a\x00b \ud800 \x1b[31m")
    with board.database.reading() as db:
        assert cases.get_ticket(db, ticket.key.lower()).body == "a\\x00b ? \x1b[31m"
        assert [found.key for found in cases.list_tickets(db, query="größe")] in ([ticket.key], [])
        assert [found.key for found in cases.list_tickets(db, query="100%")] == []


def test_no_more_runs_at_once_than_the_endpoint_has_slots(board: Board) -> None:
    for _ in range(3):
        assigned_many(board)
    with board.database.transaction() as db:
        taken = [runs.claim(db, "w1", 30), runs.claim(db, "w2", 30), runs.claim(db, "w1", 30)]
    assert [run is not None for run in taken] == [True, True, False]
    with board.database.transaction() as db:
        db.exec(select(Endpoint)).one().slots = 3
    with board.database.transaction() as db:
        third = runs.claim(db, "w1", 30)
        assert third is not None and third.fence == 1 and third.lease_until is not None


def assigned_many(fixture: Board) -> None:
    with fixture.database.transaction() as db:
        cases.file_ticket(db, project="WEB", title="t", agent="coder")


def test_a_run_that_is_done_makes_its_ticket_ready(board: Board) -> None:
    ticket, run = claimed(board)
    assert state(board, ticket) == "running"
    ended(board, run, runs.Result("succeed", "done", "fixed it"))
    assert state(board, ticket) == "review"
    with pytest.raises(Conflict), board.database.transaction() as db:
        runs.finish(db, run, runs.Result("fail", "crashed", "again"))


def test_answering_a_blocker_continues_the_session(board: Board) -> None:
    ticket, run = claimed(board)
    ended(board, run, runs.Result("block", "question", "which one?", "question", "evidence", 3))
    with board.database.transaction() as db:
        blocker = cases.open_blocker(db, ticket)
        assert blocker is not None and (blocker.kind, blocker.evidence_seq) == ("question", 3) and ticket.key in blocker.advice
        with pytest.raises(Invalid, match="the answer is empty"):
            cases.answer(db, cases.get_ticket(db, ticket.key), " ")
    with board.database.transaction() as db:
        again = cases.answer(db, cases.get_ticket(db, ticket.key), "the first")
        assert (again.number, again.reason, again.feedback) == (2, "answer", "the first")
    with board.database.reading() as db:
        assert db.exec(select(Blocker)).one().answer == "the first"
    assert state(board, ticket) == "queued"


def test_a_lost_run_goes_on_until_a_person_has_to_look(board: Board) -> None:
    ticket, run = claimed(board)
    for _ in range(2):
        with board.database.transaction() as db:
            runs.lose(db, run, retries=2)
        assert state(board, ticket) == "queued"
        with board.database.transaction() as db:
            run = runs.claim(db, "w2", 30)  # type: ignore[assignment]
            assert run.reason == "lost"
    with board.database.transaction() as db:
        runs.lose(db, run, retries=2)
    assert state(board, ticket) == "blocked"


def test_a_stale_worker_changes_nothing(board: Board) -> None:
    _, run = claimed(board)
    stale = Run(**run.model_dump())
    with board.database.transaction() as db:
        runs.lose(db, run, retries=3)
    with pytest.raises(FenceLost), board.database.transaction() as db:
        runs.progress(db, stale, doing="still here")
    with pytest.raises(FenceLost), board.database.transaction() as db:
        leases.check(db, stale.id or 0, stale.fence)
    with board.database.transaction() as db:
        assert leases.renew(db, {stale.id or 0: stale.fence}, 30) == {stale.id}


def test_an_expired_lease_is_seen_by_the_databases_clock(board: Board) -> None:
    _, run = claimed(board)
    with board.database.reading() as db:
        now, [held], beats = leases.held(db)
        assert held.id == run.id and held.lease_until is not None and held.lease_until > now and beats == {}
    with board.database.transaction() as db:
        assert leases.renew(db, {run.id or 0: run.fence}, -1) == set()
    with board.database.reading() as db:
        now, [held], _ = leases.held(db)
        assert held.lease_until is not None and held.lease_until < now


def test_stopping_a_queued_run_takes_the_ticket_back(board: Board) -> None:
    ticket, run = assigned(board)
    with board.database.transaction() as db:
        runs.request_stop(db, runs.get_run(db, run.id or 0))
    assert state(board, ticket) == "backlog"
    with pytest.raises(Conflict, match="has ended"), board.database.transaction() as db:
        runs.request_stop(db, runs.get_run(db, run.id or 0))


def test_cancelling_a_running_ticket_raises_the_flag_and_the_end_moves_nothing(board: Board) -> None:
    ticket, run = claimed(board)
    with board.database.transaction() as db:
        cases.cancel(db, cases.get_ticket(db, ticket.key))
    with board.database.reading() as db:
        assert runs.get_run(db, run.id or 0).cancel_requested
    with pytest.raises(Conflict, match="still being stopped"), board.database.transaction() as db:
        cases.reopen(db, cases.get_ticket(db, ticket.key))
    ended(board, run, runs.Result("cancel", "stopped", "stopped", "stopped"))
    assert state(board, ticket) == "cancelled"
    with board.database.transaction() as db:
        cases.reopen(db, cases.get_ticket(db, ticket.key))
    assert state(board, ticket) == "backlog"
