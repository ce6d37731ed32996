"""The same story by every way in: a token, an App, and each on a GitHub Enterprise server."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from sqlmodel import select

from dispatcher import review
from dispatcher.errors import Invalid
from dispatcher.github import client, secrets
from dispatcher.github.connect import connect_repo
from dispatcher.models import GitHubRepo, Review
from tests import github_people as people
from tests.github_house import Octo, octo
from tests.gitting import git


def pair() -> tuple[str, str]:
    """A private key as an App's settings give it, and its public half."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return pem.decode(), public.decode()


def become_app(github: Octo) -> None:
    private, github.hub.app_key = pair()
    settings = github.desk.settings
    secrets.place(settings, "WEB", "token").unlink()
    secrets.write(settings, "WEB", "app_key", private)
    with github.desk.database.transaction() as db:
        repo = db.exec(select(GitHubRepo)).one()
        connect_repo(db, settings, "WEB", repository=repo.repository, api_url=repo.api_url, app_id="7", installation_id="55")


@pytest.mark.parametrize("prefix", ["", "/api/v3"])
@pytest.mark.parametrize("app", [False, True])
async def test_from_a_label_to_a_merge(tmp_path: Path, database_url: str, repository: Path, *, app: bool, prefix: str) -> None:
    async with octo(tmp_path, database_url, repository, prefix=prefix) as github:
        hub = github.hub
        assert github.repo().api_url.endswith(prefix or hub.url)
        if app:
            become_app(github)
        for number in range(120):  # more than a page
            people.open_issue(hub, "mallory", f"Old {number}", "")
        hub.flush()
        number = people.open_issue(hub, "mallory", "Fix it", "It is broken")
        people.add_label(hub, "wren", number, "agent:coder")
        hub.flush()  # lost: pages of the catch-up, and GraphQL, are asked
        people.change_issue(hub, "wren", number, body="It is broken, and loud")
        hub.flush()
        github.due()
        await github.sync()
        assert github.ticket(number).state == "queued" and len(github.desk.kinds()) > 120
        github.ask("Which one?")
        await github.sync()
        people.add_comment(hub, "wren", number, "This one")
        await github.sync()
        github.desk.work(a_txt="fixed\n")
        await github.sync()
        assert hub.pulls == {} and github.ticket(number).state == "review"
        review.approve(github.desk.database, github.ticket(number).key)
        await github.sync()
        (pull,) = hub.pulls
        sha = people.merge(hub, "ada", pull)
        await github.sync()
        assert (github.ticket(number).state, github.ticket(number).merged_sha) == ("done", sha)
        assert git(github.desk.checkout, "rev-parse", "main") == sha
        assert github.told()["fault"] == "" and all(row.state == "done" for row in github.deliveries())
        if app:
            tokens = [call for call in hub.calls if "access_tokens" in call]
            assert len(tokens) == 1, "the installation's token holds for an hour"


async def test_an_installations_token_is_renewed_before_it_ends(tmp_path: Path, database_url: str, repository: Path) -> None:
    async with octo(tmp_path, database_url, repository) as github:
        become_app(github)
        for age, calls in ((0, 1), (54, 1), (56, 2)):
            for name, one in list(client._TOKENS.items()):
                if name[0] == github.hub.url:
                    client._TOKENS[name] = one._replace(until=one.until - timedelta(minutes=age))
            async with github.work() as work:
                await work.hub.get("/repos/octo/web")
            assert len([call for call in github.hub.calls if "access_tokens" in call]) == calls, age


async def test_approving_offers_the_branch_instead_of_merging_past_github(
    tmp_path: Path, database_url: str, repository: Path
) -> None:
    async with octo(tmp_path, database_url, repository) as github:
        number = people.open_issue(github.hub, "ada", "Fix it", "", "agent:coder")
        await github.sync()
        github.desk.work(a_txt="fixed\n")
        await github.sync()
        key, main = github.ticket(number).key, git(github.desk.checkout, "rev-parse", "main")
        with pytest.raises(Invalid, match="is merged on GitHub, in octo/web"):
            review.approve(github.desk.database, key, method="squash")
        ticket = review.approve(github.desk.database, key, message="Well done")
        assert ticket.state == "review" and git(github.desk.checkout, "rev-parse", "main") == main
        (verdict,) = github.desk.all(Review)
        assert (verdict.verdict, verdict.body) == ("approve", "Well done")
        await github.sync()
        (pull,) = github.hub.pulls.values()
        assert pull["state"] == "open" and f"Fixes #{number}" in pull["body"]
        assert github.hub.issues[number]["state"] == "open", "it is not done before it is merged"
        github.policy(pulls="ask")  # an open pull request is merged there all the same
        assert review.approve(github.desk.database, key).state == "review" and len(github.hub.pulls) == 1
        people.change_pull(github.hub, "ada", pull["number"], state="closed")
        await github.sync()
        assert review.approve(github.desk.database, key).state == "done"
        await github.sync()
        assert github.hub.issues[number]["state"] == "closed" and len(github.hub.pulls) == 1


@pytest.mark.parametrize("policy", ["ask", "never"])
async def test_without_that_policy_approving_merges_here(
    tmp_path: Path, database_url: str, repository: Path, policy: str
) -> None:
    async with octo(tmp_path, database_url, repository) as github:
        github.policy(pulls=policy)
        number = people.open_issue(github.hub, "ada", "Fix it", "", "agent:coder")
        await github.sync()
        github.desk.work(a_txt="fixed\n")
        await github.sync()
        assert review.approve(github.desk.database, github.ticket(number).key, method="squash").state == "done"
        await github.sync()
        assert github.hub.pulls == {} and github.hub.issues[number]["state_reason"] == "completed"
