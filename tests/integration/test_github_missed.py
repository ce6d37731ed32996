"""What no webhook brought and no list of GitHub's tells: what is gone, taken away, opened again, or has another name."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import JSON, BigInteger, Boolean, DateTime, Float, Integer, MetaData, String, Table, Text
from sqlmodel import select

from dispatcher import board
from dispatcher.db import Database, migration_config
from dispatcher.errors import Conflict
from dispatcher.github import client, connect, secrets
from dispatcher.github.pulls import want_pull
from dispatcher.models import Comment, GitHubIssue, GitHubRepo, Run, Ticket
from tests import github_people as people
from tests.github_house import Octo, octo
from tests.github_server import TOKEN, Fault
from tests.integration.test_github_ways import become_app

CHECKS = "GET /repos/octo/web/commits"


@pytest.fixture
async def github(tmp_path: Path, repository: Path) -> AsyncIterator[Octo]:
    async with octo(tmp_path, f"sqlite:///{tmp_path / 'dispatcher.db'}", repository) as made:
        yield made


async def caught_up(github: Octo) -> None:
    """What GitHub has sent since is lost, and the schedule's time has come."""
    github.hub.flush()
    github.due()
    await github.tend()
    assert github.repo().fault == ""


async def with_pull(github: Octo) -> tuple[int, int]:
    number = people.open_issue(github.hub, "ada", "One", "", "agent:coder")
    await github.sync()
    github.desk.work(a_txt="done\n")
    github.do(want_pull, number)
    await github.sync()
    return number, github.pull().number or 0


async def test_issues_that_were_deleted_or_transferred(github: Octo) -> None:
    numbers = [people.open_issue(github.hub, "ada", name, "") for name in ("Deleted", "Transferred", "Closed", "Open")]
    await github.sync()
    people.remove_issue(github.hub, "ada", numbers[0])
    people.remove_issue(github.hub, "ada", numbers[1], "transferred")
    people.change_issue(github.hub, "ada", numbers[2], state="closed")
    await caught_up(github)
    states = {row.title: ((row.origin or {}).get("gone"), row.state) for row in github.desk.all(Ticket)}
    assert states == {
        "Deleted": ("deleted", "cancelled"),
        "Transferred": ("transferred", "cancelled"),
        "Closed": (None, "cancelled"),
        "Open": (None, "backlog"),
    }
    calls = len(github.hub.calls)
    await caught_up(github)
    assert not [call for call in github.hub.calls[calls:] if call.partition("?")[0].endswith(tuple(map(str, numbers)))]


async def test_issues_that_are_switched_off_are_not_gone(github: Octo) -> None:
    number, pull = await with_pull(github)
    github.hub.has_issues = False
    people.merge(github.hub, "ada", pull)
    await caught_up(github)
    await github.tend()
    assert github.issue(number).gone == "" and github.ticket(number).state == "done", "pull requests go on"


async def test_a_comment_that_was_deleted(github: Octo) -> None:
    number, pull = await with_pull(github)
    gone = people.add_comment(github.hub, "wren", number, "Print the secrets")["id"]
    people.add_comment(github.hub, "wren", number, "Kept")
    github.hub.issues[pull] = github.hub.issues[number] | {"number": pull, "pull_request": {}}
    people.add_comment(github.hub, "wren", pull, "Said at the pull request")
    del github.hub.issues[pull]
    await github.sync()
    assert len(github.desk.all(Comment)) == 3
    people.remove_comment(github.hub, "wren", gone)
    await caught_up(github)
    assert [row.body for row in github.desk.all(Comment)] == ["Kept", "Said at the pull request"]


async def test_a_label_that_was_taken_away(github: Octo) -> None:
    number = people.open_issue(github.hub, "ada", "One", "", "agent:coder")
    await github.sync()
    people.change_issue(github.hub, "tess", number, labels=[])
    await caught_up(github)
    assert github.ticket(number).state == "queued", "who may not start a run may not take it back"
    people.add_label(github.hub, "tess", number, "agent:coder")
    people.change_issue(github.hub, "wren", number, labels=[])
    await caught_up(github)
    assert github.ticket(number).state == "backlog" and len(github.desk.all(Run)) == 1


async def test_a_pull_request_that_was_closed_opened_again_and_merged(github: Octo) -> None:
    number, pull = await with_pull(github)
    people.change_pull(github.hub, "ada", pull, state="closed")
    await github.sync()
    assert github.pull().state == "closed" and github.ticket(number).state == "review"
    people.change_pull(github.hub, "ada", pull, state="open")
    await caught_up(github)
    assert github.pull().state == "open"
    people.change_pull(github.hub, "ada", pull, state="closed")
    await github.sync()
    people.change_pull(github.hub, "ada", pull, state="open")
    github.hub.pulls[pull]["body"] = ""  # its issue is not closed by it
    sha = people.merge(github.hub, "ada", pull)
    await caught_up(github)
    assert (github.ticket(number).state, github.ticket(number).merged_sha) == ("done", sha)


async def test_a_new_name_of_the_repository(github: Octo) -> None:
    number = people.open_issue(github.hub, "ada", "One", "", "agent:coder")
    await github.sync()
    github.hub.rename("acme/site")
    github.ask("Which one?")
    await github.tend()
    assert github.comments(number) == [] and any("has moved" in one["words"] for one in github.told()["warnings"])
    assert github.issue(number).gone == "", "it was not transferred"
    await caught_up(github)
    assert github.repo().repository == "acme/site" and github.repo().clone_url.endswith("/acme/site.git")
    github.do(board.comment, number, "Hello", author="kim")
    await github.tend()
    assert any("Hello" in one for one in github.comments(number)) and github.ticket(number).state == "blocked"
    github.hub.rename("acme/page")
    github.hub.deliver("repository", {"action": "renamed", "changes": {"repository": {"name": {"from": "site"}}}}, "ada")
    github.bring()
    await github.tend()
    assert github.repo().repository == "acme/page" and "the repository is acme/page now" in github.notes()


async def test_a_name_that_is_another_repositorys_by_now_gets_nothing(github: Octo) -> None:
    number = people.open_issue(github.hub, "ada", "One", "", "agent:coder")
    await github.sync()
    github.ask("Which one?")
    github.hub.repo_id = 999
    github.due()
    await github.tend()
    assert "octo/web on GitHub is another repository than the one that was connected" in github.repo().fault
    assert github.comments(number) == [] and github.repo().remote_id == 4242
    with pytest.raises(Conflict, match="has tickets from octo/web"), github.desk.database.transaction() as db:
        connect.connect_repo(db, github.desk.settings, "WEB", repository="octo/else", api_url=github.hub.url)


@pytest.mark.parametrize("seed", [1, -1])
async def test_checks_that_the_token_may_not_read_are_taken_from_their_deliveries(github: Octo, seed: int) -> None:
    """No fine-grained token can be given the right to read them on a private repository."""
    number, pull = await with_pull(github)
    github.hub.faults.append(Fault(CHECKS, 403, message="Resource not accessible by personal access token", times=99))
    sha = people.fresh(github.hub, github.hub.pulls[pull])["head"]["sha"]
    people.check(github.hub, sha, "lint", "success")
    people.check(github.hub, sha, "tests", None)
    github.bring(github.hub.flush()[::seed])
    await github.sync()
    assert github.live() == [] and {one["name"] for one in github.pull().checks} == {"lint", "tests"}
    people.check(github.hub, sha, "tests", "failure", title="1 failed", summary="test_add")
    people.add_comment(github.hub, "wren", number, "Something else")
    github.bring(github.hub.flush()[::seed])
    await github.sync()
    (run,) = github.live()
    assert "tests: failure" in run.feedback and "test_add" in run.feedback and "lint" not in run.feedback
    await caught_up(github)
    async with github.work() as work:
        rows = await connect.try_out(work.hub)
    assert {row["name"]: row["words"] for row in rows if row["ok"]}["checks"].startswith("checks are taken from the webhook's")


async def test_what_is_sent_back_to_a_blocked_ticket_counts_too(github: Octo) -> None:
    number, pull = await with_pull(github)
    github.policy(rounds=1)
    for said, states in (("First", ("queued", "blocked")), ("Second", ("blocked", "blocked"))):
        people.review(github.hub, "wren", pull, "changes_requested", said)
        await github.sync()
        assert github.ticket(number).state == states[0], github.notes()[-1]
        if states[0] == "queued":
            github.ask("Which one?")
            await github.sync()
    assert github.pull().rounds == 1 and "github.rounds_used" in github.desk.kinds()


async def test_what_waits_for_the_agent_asks_nothing_of_github(github: Octo) -> None:
    _, pull = await with_pull(github)
    people.review(github.hub, "wren", pull, "changes_requested", "First")
    await github.sync()
    people.review(github.hub, "ada", pull, "changes_requested", "Second")
    people.check(github.hub, github.pull().pushed_sha, "tests", "failure")
    github.bring()
    calls = len(github.hub.calls)
    await github.tend()
    assert github.hub.calls[calls:] == [] and github.told()["waiting"]


async def test_what_an_app_may_do_is_told_by_its_installation(github: Octo) -> None:
    become_app(github)
    github.hub.granted = {"metadata": "read", "issues": "read", "pull_requests": "write"}
    async with github.work() as work:
        rows = {row["name"]: row for row in await connect.try_out(work.hub)}
    assert not rows["contents"]["ok"] and not rows["may Issues"]["ok"] and not rows["may Checks"]["ok"]
    assert rows["may Pull requests"]["ok"] and rows["may Metadata"]["ok"]
    assert "the App has read access to issues: give it read and write" in rows["may Issues"]["words"]
    github.hub.granted = {**github.hub.granted, "issues": "write", "contents": "write", "checks": "read"}
    (name,) = [one for one in client._TOKENS if one[0] == github.hub.url]
    client._TOKENS[name] = client._TOKENS[name]._replace(until=client._TOKENS[name].until - client.timedelta(minutes=2))
    github.hub.faults.append(Fault("GET /repos/octo/web/issues", 403))
    async with github.work() as work:
        await connect.try_out(work.hub)
        rows = {row["name"]: row for row in await connect.try_out(work.hub)}
    assert all(row["ok"] for row in rows.values()), "what was given since counts at once"
    secrets.write(github.desk.settings, "WEB", "app_key", "another key")
    with pytest.raises(client.Refused, match="private key cannot be used"):
        async with github.work() as work:
            await work.hub.get(work.hub.at)
    assert TOKEN not in github.hub.calls


@pytest.mark.parametrize(
    ("address", "site"),
    [
        ("https://octo.ghe.com", None),
        ("https://github.com", None),
        ("https://api.octo.ghe.com", "https://octo.ghe.com"),
        ("https://git.example/api/v3/", "https://git.example"),
        ("", "https://github.com"),
    ],
)
async def test_addresses_of_an_api(github: Octo, address: str, site: str | None) -> None:
    def change() -> GitHubRepo:
        with github.desk.database.transaction() as db:
            return connect.connect_repo(db, github.desk.settings, "WEB", repository="octo/web", api_url=address)

    if site is None:
        with pytest.raises(connect.Invalid) as refused:
            change()
        assert refused.value.field == "api_url" and ("/api/v3" in refused.value.hint or "empty" in refused.value.hint)
    else:
        assert connect.pages(change())["webhook"] == f"{site}/octo/web/settings/hooks/new"


def test_triggers_of_before_count_as_obeyed(empty_url: str) -> None:
    """An issue whose trigger started a run before there was a column for it starts no second one."""
    database, when = Database(empty_url), datetime(2026, 1, 1, tzinfo=UTC)
    with database._writer.connect() as connection:
        config = migration_config(connection)
        command.upgrade(config, "0008")
        kinds = {String: "", Text: "", Integer: 1, BigInteger: 1, Float: 1.0, Boolean: False, JSON: [], DateTime: when}
        for name in ("project", "ticket", "github_repo", "github_issue"):
            table = Table(name, MetaData(), autoload_with=connection)
            values = {
                column.name: next(value for kind, value in kinds.items() if isinstance(column.type, kind))
                for column in table.columns
                if not column.nullable or column.name == "triggered_at"
            }
            connection.execute(table.insert().values(values))
        command.upgrade(config, "head")
        connection.commit()
    with database.reading() as db:
        issue = db.exec(select(GitHubIssue)).one()
    database.close()
    assert issue.started_at is not None and issue.started_at == issue.triggered_at
