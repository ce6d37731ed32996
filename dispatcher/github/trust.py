"""Who may start a run from GitHub: one table, looked at in one place.

A run spends a machine and runs code with what somebody wrote as its task, so the sender of the event decides, never the
author of the text, and never what the text says. Everybody else's issue waits in the backlog until a person here accepts it.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from dispatcher.models import GitHubRepo

Trigger = Literal["label", "comment", "assign", "answer", "review"]
TRIGGERS: tuple[Trigger, ...] = ("label", "comment", "assign")
"""What can start a run, and can be switched off per project. Answers and reviews go on with one that was started."""

ORDER = ("none", "read", "triage", "write", "maintain", "admin")
"""GitHub's permissions, each with all of those before it: https://docs.github.com/en/organizations/managing-user-access-to-your-organizations-repositories/managing-repository-roles/repository-roles-for-an-organization"""
LEAST = ("write", "maintain", "admin", "none")
"""What a project may ask for; none is: the allowlist alone."""


class Sender(NamedTuple):
    """Who caused an event, with the permission that GitHub gives for them ("" where it was not asked)."""

    login: str
    kind: str = "User"
    """User, Bot, Organization, Mannequin."""
    permission: str = ""
    number: int = 0
    """The account's, which stays its own when it is renamed; 0 where GitHub told none."""

    @property
    def bot(self) -> bool:
        """Whether a program acts."""
        return self.kind != "User" or self.login.endswith("[bot]")


class Verdict(NamedTuple):
    """Whether it may, and why, in words for the page."""

    allowed: bool
    why: str


def judge(repo: GitHubRepo, sender: Sender, trigger: Trigger) -> Verdict:
    """Whether that sender may do that. Rows from the top, the first that fits:

    | sender | trigger | |
    |---|---|---|
    | anyone | one that is off in this project | no |
    | a bot, where bots are off | any | no |
    | on the allowlist, and the account that it was of when it first counted | any | yes |
    | with the least permission that the project asks for, or better | any | yes |
    | anyone else | any | no |
    """
    if trigger in TRIGGERS and trigger not in repo.triggers:
        return Verdict(False, f"{_NAMES[trigger]} start no runs in this project")
    if sender.bot and not repo.bots:
        return Verdict(False, f"{sender.login} is a bot, and bots may not start runs")
    if listed(repo, sender):
        return Verdict(True, f"{sender.login} is on the allowlist")
    if repo.permission != "none" and _rank(sender.permission) >= ORDER.index(repo.permission):
        return Verdict(True, f"{sender.login} has {sender.permission} permission")
    has = f"has {sender.permission} permission" if sender.permission and sender.permission != "none" else "has no permission"
    wanted = "only the allowlist counts" if repo.permission == "none" else f"{repo.permission} or better is asked for"
    if sender.login.lower() in repo.allowed:
        return Verdict(False, f"{sender.login} is another account by now than on the allowlist, and {has}; {wanted}")
    return Verdict(False, f"{sender.login} {has}; {wanted}")


def listed(repo: GitHubRepo, sender: Sender) -> bool:
    """Whether the allowlist means this account: a login that its owner gave up is free for anybody.

    GitHub's documentation says so under "Changing your username".
    """
    login = sender.login.lower()
    return login in repo.allowed and repo.allowed_numbers.get(login, sender.number) == sender.number


def needs_permission(repo: GitHubRepo, sender: Sender) -> bool:
    """Whether the verdict hangs on the permission, so that GitHub has to be asked for it."""
    return repo.permission != "none" and not listed(repo, sender) and (repo.bots or not sender.bot)


def _rank(permission: str) -> int:
    return ORDER.index(permission) if permission in ORDER else 0


_NAMES: dict[str, str] = {"label": "labels", "comment": "comments", "assign": "assignments"}
