"""What in an event asks for a run, and of which agent."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from dispatcher.github.text import clean
from dispatcher.github.trust import Trigger
from dispatcher.models import GitHubRepo

LABEL = "agent:"
_COMMAND = re.compile(r"^/agent[ \t]+([A-Za-z0-9][\w.-]{0,62})(?:[ \t]+(\S.*))?[ \t]*$", re.M)
_CODE = re.compile(r"^[ \t]*(`{3,}|~{3,}).*?(?:^[ \t]*\1[`~]*[ \t]*$|\Z)|^(?: {4}|\t|[ \t]*>).*?$", re.M | re.S)
"""Code and quotes: who shows a command does not give it. A fence is closed by one that is as long, or ends with the text:
https://spec.commonmark.org/0.31.2/#fenced-code-blocks"""


class Asked(NamedTuple):
    """One request for a run."""

    trigger: Trigger
    agent: str
    words: str = ""
    """What a comment says besides."""


def of_labels(labels: Sequence[str]) -> Asked | None:
    """The agent that a label names, `agent:coder`; the first where there are several."""
    for label in labels:
        name = label[len(LABEL) :].strip().lower()
        if label.lower().startswith(LABEL) and name:
            return Asked("label", name)
    return None


def of_comment(body: str) -> Asked | None:
    """The agent that a line `/agent coder` names; the rest of the comment are words to it."""
    text = _CODE.sub(lambda found: "\n" * found[0].count("\n"), clean(body).text)
    found = _COMMAND.search(text)
    if found is None:
        return None
    rest = "\n".join(part.strip() for part in (text[: found.start()], found[2] or "", text[found.end() :]) if part.strip())
    return Asked("comment", found[1].lower(), rest)


def of_assignee(repo: GitHubRepo, login: str) -> Asked | None:
    """The agent that stands behind a login."""
    agent = repo.assignees.get(login.lower())
    return Asked("assign", agent) if agent else None


def taken_back(repo: GitHubRepo, action: str, payload: dict[str, Any]) -> Asked | None:
    """What was asked for by a label or an assignment that is taken away again."""
    if action == "unlabeled":
        return of_labels([str((payload.get("label") or {}).get("name", ""))])
    if action == "unassigned":
        return of_assignee(repo, str((payload.get("assignee") or {}).get("login", "")))
    return None


def of_issue_event(repo: GitHubRepo, action: str, payload: dict[str, Any]) -> Asked | None:
    """What an `issues` event asks for: by the label or the assignee that was added, or by those that it was opened with."""
    if action == "labeled":
        return of_labels([str((payload.get("label") or {}).get("name", ""))])
    if action == "assigned":
        return of_assignee(repo, str((payload.get("assignee") or {}).get("login", "")))
    if action == "opened":
        issue = payload["issue"]
        by_label = of_labels([str(label["name"]) for label in issue.get("labels") or []])
        people = [str(person["login"]) for person in issue.get("assignees") or []]
        return by_label or next((asked for login in people if (asked := of_assignee(repo, login))), None)
    return None
