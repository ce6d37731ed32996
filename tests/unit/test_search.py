"""Finding tickets, on each engine: words, qualifiers, labels in JSON, places in a column."""

from __future__ import annotations

from typing import Any

import pytest
from sqlmodel import select

from dispatcher import board as cases
from dispatcher import search
from dispatcher.errors import Invalid
from dispatcher.models import Agent, Endpoint, Project, Ticket, utcnow
from dispatcher.search import Term, parse
from tests.board import Board


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("", []),
        ("parser label:bug", [Term("word", ("parser",)), Term("label", ("bug",))]),
        ('"last line" -label:"good first issue"', [Term("word", ("last line",)), Term("label", ("good first issue",), True)]),
        ("is:open STATE:Review,blocked", [Term("state", ("open",)), Term("state", ("review", "blocked"))]),
        ("http://example.org/a foo:bar", [Term("word", ("http://example.org/a",)), Term("word", ("foo:bar",))]),
        ("label: agent:, -", [Term("word", ("-",))]),
        ('"open quote', [Term("word", ("open quote",))]),
        ('""', []),
        ("-draft", [Term("word", ("draft",), True)]),
    ],
)
def test_what_is_typed_is_read(text: str, terms: list[Term]) -> None:
    assert list(parse(text).terms) == terms


def test_a_state_that_there_is_not_is_told_and_finds_nothing(board: Board) -> None:
    looked_for = parse("state:rev")
    assert looked_for.wrong == ("there is no state 'rev'",)
    with board.database.transaction() as db:
        board.ticket(db)
        assert search.tickets(db, looked_for) == [] and search.count_by_state(db, looked_for)["backlog"] == 0
    with pytest.raises(Invalid, match="no state 'rev'") as caught:
        search.wanted("state:rev", strict=True)
    assert caught.value.field == "state" and "open" in caught.value.hint
    assert search.wanted(state="nope").wrong
    assert parse("is:open -state:queued").states() == {"backlog", "running", "blocked", "review"}
    assert parse("").plain and search.wanted(project="WEB").plain and not parse("-project:WEB").plain and not parse("a").plain


@pytest.fixture
def many(board: Board) -> Board:
    with board.database.transaction() as db:
        endpoint = db.exec(select(Endpoint)).one()
        reviewer = Agent(name="Reviewer", harness="aider", endpoint_id=endpoint.id or 0)
        other = Project(key="API", name="api", path="/nowhere/api", default_branch="main")
        coder = board.agent(db)
        db.add(reviewer)
        db.flush()
        rows: list[dict[str, Any]] = [
            {"title": "Parser drops the last line", "labels": ["bug", "Good First Issue"], "agent_id": coder.id},
            {"title": "Größe wird falsch gelesen", "labels": ["Übersetzung"], "state": "review", "agent_id": reviewer.id},
            {"title": "100% CPU", "body": "In the parser_loop, see \\ there", "labels": [], "state": "blocked"},
            {"title": "Done with it", "labels": ["bug"], "state": "done", "closed_at": utcnow(), "agent_id": coder.id},
        ]
        for row in rows:
            title = row.pop("title")
            board.ticket(db, **row).title = str(title)
        db.add(other)
        db.flush()
        db.add(Ticket(project_id=other.id or 0, number=3, key="API-3", title="Other parser"))
    return board


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("", ["WEB-1", "WEB-2", "WEB-3", "WEB-4", "API-3"]),
        ("parser", ["WEB-1", "WEB-3", "API-3"]),
        ("PARSER line", ["WEB-1"]),
        ('"last line"', ["WEB-1"]),
        ('"line last"', []),
        ("-parser", ["WEB-2", "WEB-4"]),
        ("3", ["WEB-3", "API-3"]),
        ("web-3", ["WEB-3"]),
        ("key:api-3", ["API-3"]),
        ("web", []),
        ("project:web,api parser", ["WEB-1", "WEB-3", "API-3"]),
        ("-project:web", ["API-3"]),
        ("label:bug", ["WEB-1", "WEB-4"]),
        ("label:BUG is:open", ["WEB-1"]),
        ('label:"good first issue"', ["WEB-1"]),
        ("label:bug,Übersetzung", ["WEB-1", "WEB-2", "WEB-4"]),
        ("label:bug label:good", []),
        ("-label:bug", ["WEB-2", "WEB-3", "API-3"]),
        ("label:none", ["WEB-3", "API-3"]),
        ("label:bu", []),
        ("agent:coder", ["WEB-1", "WEB-4"]),
        ("agent:reviewer,none", ["WEB-2", "WEB-3", "API-3"]),
        ("-agent:coder", ["WEB-2", "WEB-3", "API-3"]),
        ("agent:nobody", []),
        ("state:review,blocked", ["WEB-2", "WEB-3"]),
        ("is:closed", ["WEB-4"]),
        ("-is:open", ["WEB-4"]),
        ("100%", ["WEB-3"]),
        ("parser_loop", ["WEB-3"]),
        ("r_l", ["WEB-3"]),
        ("\\", ["WEB-3"]),
        ("'; drop table ticket; --", []),
    ],
)
def test_what_is_wanted_is_found(many: Board, text: str, keys: list[str]) -> None:
    with many.database.reading() as db:
        found = [ticket.key for ticket in search.tickets(db, parse(text))]
        assert sorted(found) == sorted(keys)
        assert sum(search.count_by_state(db, parse(text)).values()) == len(keys)


def test_letters_beyond_ascii_are_found_in_any_case(many: Board) -> None:
    with many.database.reading() as db:
        assert [ticket.key for ticket in search.tickets(db, parse("größe"))] == ["WEB-2"]
        folded = [[ticket.key for ticket in search.tickets(db, parse(text))] for text in ("GRÖßE", "label:übersetzung")]
        # A PostgreSQL with the locale C folds ASCII alone; SQLite gets a function of ours.
        assert folded == [["WEB-2"], ["WEB-2"]] or db.get_bind().dialect.name == "postgresql"
        assert cases.list_tickets(db, label="Übersetzung", query="GELESEN", project="web")[0].key == "WEB-2"


def test_labels_in_use_begin_with_the_most_used(many: Board) -> None:
    with many.database.reading() as db:
        assert search.labels_in_use(db) == ["bug", "Good First Issue", "Übersetzung"]
        assert search.labels_in_use(db, "api") == []


def test_a_column_is_read_page_by_page_while_tickets_come_and_go(board: Board) -> None:
    with board.database.transaction() as db:
        for number in range(7):
            board.ticket(db, position=float(number // 2))
    seen, after = [], None
    for _ in range(4):
        with board.database.transaction() as db:
            rows = search.tickets(db, parse(""), state="backlog", limit=2, after=after)
            seen += [row.key for row in rows]
            after = search.mark(rows[-1]) if rows else after
            if rows:
                cases.cancel(db, cases.get_ticket(db, rows[-1].key))  # the mark is gone, and still a mark
    assert seen == [f"WEB-{number}" for number in range(1, 8)]
    with board.database.reading() as db:
        first = search.tickets(db, parse(""), state="cancelled", limit=2)
        rest = search.tickets(db, parse(""), state="cancelled", after=search.mark(first[-1]))
        assert [row.key for row in (*first, *rest)] == ["WEB-7", "WEB-6", "WEB-4", "WEB-2"]
        for state, after in (("backlog", "x"), ("cancelled", "x:WEB-1"), ("cancelled", "-1e300:WEB-1")):
            with pytest.raises(Invalid, match="no place in a column"):
                search.tickets(db, parse(""), state=state, after=after)
        mark = search.mark(first[0])
    with board.database.transaction() as db:
        cases.reopen(db, cases.get_ticket(db, "WEB-7"))  # it left the column, and its place is still one
        assert [row.key for row in search.tickets(db, parse(""), state="cancelled", after=mark)] == ["WEB-6", "WEB-4", "WEB-2"]
