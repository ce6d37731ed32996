"""Whether an issue's text is still the one that somebody meant: for triggers that no delivery brought, with the text of then.

REST tells when a title was changed, by the issue's events; of the body only GraphQL tells when it was edited last, and by whom:
https://docs.github.com/en/graphql/reference/objects#issue.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from dispatcher.github.client import Refused
from dispatcher.github.text import at
from dispatcher.github.work import Work

EDITOR = "edited_since"
"""In an issue's payload: who edited it after the trigger that goes with it, and may not start runs; no name of GitHub's."""
SOMEBODY = "somebody"
_EDITOR = "editor { login __typename ... on User { databaseId } ... on Bot { databaseId } }"
_QUERY = f"""query($owner: String!, $name: String!, $number: Int!) {{
  repository(owner: $owner, name: $name) {{ issue(number: $number) {{ lastEditedAt {_EDITOR} }} }}
}}"""
_EDITED = f"""query($id: ID!) {{
  node(id: $id) {{ ... on IssueComment {{ lastEditedAt {_EDITOR} }} }}
}}"""


async def edited_since(work: Work, issue: dict[str, Any], when: datetime) -> dict[str, str]:
    """`EDITOR` and who edited title or body after `when`, where that is somebody who may not start runs; else nothing.

    Who may start runs may do so with a text of theirs, so that their edits count as meant.
    """
    if at(issue["updated_at"]) <= when:
        return {}
    for user in [*await _titled(work, issue, when), *await _written(work, issue, when)]:
        sender, verdict = await work.judge(user, "answer")
        if not verdict.allowed:
            return {EDITOR: sender.login}
    return {}


async def commented(work: Work, comment: dict[str, Any]) -> dict[str, Any] | None:
    """Who edited a comment last; its author where nobody did, and somebody unknown where the server does not tell."""
    author: dict[str, Any] | None = comment.get("user")
    if comment["updated_at"] == comment["created_at"]:
        return author
    try:
        found = await work.hub.graph(_EDITED, id=str(comment["node_id"]))
    except Refused:
        return {"login": SOMEBODY, "type": "Mannequin"}
    told = found.get("node") or {}
    return _user(told.get("editor") or {}) if told.get("lastEditedAt") else author


async def _titled(work: Work, issue: dict[str, Any], when: datetime) -> list[dict[str, Any] | None]:
    events = await work.hub.all(f"{work.hub.at}/issues/{issue['number']}/events")
    return [event.get("actor") for event in events if event["event"] == "renamed" and at(event["created_at"]) > when]


async def _written(work: Work, issue: dict[str, Any], when: datetime) -> list[dict[str, Any] | None]:
    owner, _, name = work.repo.repository.partition("/")
    try:
        found = await work.hub.graph(_QUERY, owner=owner, name=name, number=int(issue["number"]))
    except Refused:  # a server without it: then it may have been anybody
        return [{"login": SOMEBODY, "type": "Mannequin"}]
    told = (found.get("repository") or {}).get("issue") or {}
    if not told.get("lastEditedAt") or at(told["lastEditedAt"]) <= when:
        return []
    return [_user(told.get("editor") or {})]


def _user(editor: dict[str, Any]) -> dict[str, Any]:
    """As REST tells of them: there a bot's login ends with [bot]."""
    login, kind = editor.get("login") or "ghost", editor.get("__typename") or "User"
    login = f"{login}[bot]" if kind == "Bot" and not login.endswith("[bot]") else login
    return {"login": login, "type": kind, "id": editor.get("databaseId") or 0}
