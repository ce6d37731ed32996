"""The one way to GitHub's API: gidgethub does the talking, over our own HTTP client.

gidgethub and not githubkit: it pages, signs as an App and reads the limits' headers, in eighty kilobytes and without a network
layer of its own. githubkit brings thirty megabytes of generated models of which a dozen fields would be used, caches between us
and what we compare, and waits out limits by itself, where an outbox has to know of them.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from importlib.metadata import version
from typing import Any, NamedTuple

import gidgethub
import httpx
from gidgethub.abc import GitHubAPI
from gidgethub.apps import get_jwt

from dispatcher.errors import DispatcherError, Unavailable
from dispatcher.github import secrets
from dispatcher.github.text import at
from dispatcher.models import GitHubRepo, utcnow
from dispatcher.settings import Settings
from dispatcher.text import digest

SECONDS = 20.0
AGENT = f"ticket-dispatcher/{version('ticket-dispatcher')}"
API_VERSION = "2022-11-28"
LONGEST_WAIT = 3700.0
"""A limit of GitHub's is over within an hour."""
SECONDARY = 60.0
"""The least wait for a secondary limit without a header, by GitHub's documentation; longer each time."""
FRESH = timedelta(minutes=59)
"""So much is left of one that was made a moment ago."""


class Installed(NamedTuple):
    """An installation's token, until when it holds (an hour, by GitHub), and what it may do: read or write by permission."""

    token: str
    until: datetime
    permissions: dict[str, str]


_TOKENS: dict[tuple[str, ...], Installed] = {}
"""By API, App, installation and key: who enters another key is to see whether that one works."""


class Away(Unavailable):
    """GitHub does not answer, or asks to be left alone: try again after `wait` seconds, nothing is lost."""

    def __init__(
        self, message: str, wait: float = 0.0, *, grows: bool = False, hint: str = "it is tried again by itself"
    ) -> None:
        super().__init__(message, hint)
        self.wait = min(wait, LONGEST_WAIT)
        self.grows = grows
        """Whether GitHub named no time: `wait` is the least, and each further one in a row is to be longer."""


class Refused(DispatcherError):
    """GitHub answered, and it will answer the same again: `code` is its status."""

    status = 502

    def __init__(self, message: str, code: int, hint: str = "") -> None:
        super().__init__(message, hint)
        self.code = code


class Hub(GitHubAPI):
    """GitHub's REST API as one repository's App or token. Every call raises `Away` or `Refused`, and nothing else."""

    def __init__(self, http: httpx.AsyncClient, repo: GitHubRepo, project_key: str, *, token: str, app_key: str) -> None:
        super().__init__(AGENT, oauth_token=None, base_url=repo.api_url)
        self._http = http
        self._repo = repo
        self._project = project_key
        self._given = token
        self._app_key = app_key
        self.at = f"/repos/{repo.repository}"
        """Where the repository's own calls begin."""
        self.is_app = bool(repo.app_id)
        self.remote_id = repo.remote_id
        """The repository's number as we know it, 0 where GitHub was never asked."""
        self._name = (repo.api_url, repo.app_id, repo.installation_id, digest(app_key))
        self._visible: bool | None = None
        self.ahead = timedelta(0)
        """So much the clock here is ahead of GitHub's, by its newest answer; to the second."""
        api = repo.api_url.rstrip("/")
        self._graph = f"{api.removesuffix('/v3')}/graphql"
        """Of a GitHub Enterprise server it is beside the REST API: https://HOST/api/graphql."""

    async def _request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes = b""
    ) -> tuple[int, Mapping[str, str], bytes]:
        if url != self._graph and not url.startswith(self.base_url.rstrip("/") + "/"):
            raise Away(f"GitHub named a page at {httpx.URL(url).host}, which is not asked")  # the token goes nowhere else
        send = {**headers, "x-github-api-version": API_VERSION}
        # A renamed repository is followed to its new place for reading; what writes is told of it instead.
        answer = await self._http.request(method, url, headers=send, content=body, follow_redirects=method == "GET")
        with suppress(KeyError, TypeError, ValueError):
            self.ahead = utcnow() - parsedate_to_datetime(answer.headers["date"]).astimezone(UTC)
        return answer.status_code, answer.headers, answer.content

    async def sleep(self, seconds: float) -> None:
        """As the library asks for it."""
        await asyncio.sleep(seconds)

    async def token(self) -> str:
        """What we prove ourselves with: the token, or one of our installation's that holds for some minutes more."""
        return (await self._installed()).token if self.is_app else self._given

    async def granted(self) -> dict[str, str]:
        """What our installation may do, read or write by permission; nothing for a token, of which GitHub does not tell."""
        return (await self._installed()).permissions if self.is_app else {}

    async def get(self, path: str, **query: Any) -> Any:
        """One thing."""
        return await self._ask(self.getitem(_query(path, query), None, oauth_token=await self.token()), path)

    async def all(self, path: str, key: str | None = "items", pages: int = 50, **query: Any) -> list[Any]:
        """All of a list, page by page; `key` is where a list is within an object."""
        token, found = await self.token(), []
        rows = self.getiter(_query(path, {"per_page": 100, **query}), None, oauth_token=token, iterable_key=key)

        async def read() -> None:
            async for row in rows:
                found.append(row)
                if len(found) >= pages * 100:
                    return

        await self._ask(read(), path)
        return found

    async def send(self, method: str, path: str, data: dict[str, Any]) -> Any:
        """Something that changes GitHub."""
        call: Any = {"POST": self.post, "PATCH": self.patch}[method]
        return await self._ask(call(path, None, data=data, oauth_token=await self.token()), path)

    async def remove(self, path: str) -> None:
        """Something that is to stand there no longer."""
        await self._ask(self.delete(path, None, oauth_token=await self.token()), path)

    async def graph(self, query: str, **values: Any) -> Any:
        """What only GraphQL tells; raises `Refused` where it answers with errors."""
        data = {"query": query, "variables": values}
        answer = await self._told(self.post(self._graph, None, data=data, oauth_token=await self.token()))
        wrong = answer.get("errors") or []
        if any(one.get("type") == "RATE_LIMITED" for one in wrong):
            raise Away("GitHub's limit is reached", 60.0, grows=True)
        if wrong or not answer.get("data"):
            raise Refused(f"GitHub refuses: {wrong[0].get('message') if wrong else 'no data'}", 422)
        return answer["data"]

    async def me(self) -> tuple[str, int]:
        """Who we are there: login and number."""
        if not self._repo.app_id:
            user = await self.get("/user")
            return str(user["login"]), int(user["id"])
        app = await self._told(self.getitem("/app", None, jwt=self._jwt()))
        bot = f"{app['slug']}[bot]"
        user = await self.get(f"/users/{bot}")
        return bot, int(user["id"])

    async def _ask(self, call: Any, path: str) -> Any:
        """What the call gives; for a thing that is not there it is looked whether we are still shown the repository itself.

        To a token that was taken away from a private repository GitHub says of everything in it that there is no such thing.
        """
        try:
            return await self._told(call)
        except Refused as error:
            known = _TOKENS.get(self._name)
            if known is not None and (error.code == 401 or (error.code == 403 and known.until < utcnow() + FRESH)):
                del _TOKENS[self._name]  # one that was made before a permission was given is without it
            if error.code == 404 and path.startswith(f"{self.at}/") and not await self._is_visible():
                hint = "give the token access to it again; until then all waits"
                raise Away(f"GitHub does not show us {self._repo.repository}", hint=hint) from error
            raise

    async def _told(self, call: Any) -> Any:
        """What the call gives; hints name the project."""
        try:
            return await _tell(call)
        except Refused as error:
            error.hint = error.hint.replace(" KEY", f" {self._project}")
            raise

    async def _is_visible(self) -> bool:
        if self._visible is None:
            try:
                await _tell(self.getitem(self.at, None, oauth_token=await self.token()))
                self._visible = True
            except Refused:
                self._visible = False
        return self._visible

    async def _installed(self) -> Installed:
        found = _TOKENS.get(self._name)
        if found is None or found.until < utcnow() + timedelta(minutes=5):
            path = f"/app/installations/{self._repo.installation_id}/access_tokens"
            made = await self._told(self.post(path, None, data=b"", jwt=self._jwt()))
            found = _TOKENS[self._name] = Installed(made["token"], at(made["expires_at"]), made.get("permissions") or {})
        return found

    def _jwt(self) -> str:
        """What proves that we are the App, for some minutes."""
        try:
            return get_jwt(app_id=self._repo.app_id, private_key=self._app_key)
        except Exception as error:  # the cryptography below has many words for a text that is no key
            hint = f"download a private key in the App's settings, then: {secrets.command(self._project, 'app_key')}"
            raise Refused(f"the App's private key cannot be used: {error}".partition("\n")[0], 401, hint) from error


@asynccontextmanager
async def connect(settings: Settings, repo: GitHubRepo, project_key: str) -> AsyncIterator[Hub]:
    """The API for a project's repository; raises `Refused` where its token or key is missing."""
    what: secrets.What = "app_key" if repo.app_id else "token"
    secret = secrets.read(settings, project_key, what)
    if not secret:
        hint = f"set {secrets.variable(project_key, what)}, or: {secrets.command(project_key, what)}"
        raise Refused(f"there is no {what.replace('_', ' ')} for {repo.repository}", 401, hint)
    # The environment's proxy counts: GitHub is outside.
    async with httpx.AsyncClient(timeout=SECONDS, verify=_authorities()) as http:
        given = {"token": secret if what == "token" else "", "app_key": secret if what == "app_key" else ""}
        yield Hub(http, repo, project_key, **given)


@lru_cache
def _authorities() -> ssl.SSLContext:
    """The certificate authorities that are trusted: reading them takes 30 ms, and a worker looks after GitHub every second."""
    return httpx.create_ssl_context()


async def _tell(call: Any) -> Any:
    """What the call gives; its troubles as ours."""
    try:
        return await call
    except gidgethub.HTTPException as error:
        raise _trouble(error) from error
    except httpx.HTTPError as error:
        words = str(error) or type(error).__name__
        raise Away(f"GitHub does not answer: {words}") from error
    except (gidgethub.GitHubException, ValueError, KeyError, TypeError) as error:
        # A proxy's page instead of JSON, a key that is no key: it may be another answer the next time.
        raise Away(f"GitHub's answer cannot be read: {type(error).__name__}: {error}") from error


def _trouble(error: gidgethub.HTTPException) -> DispatcherError:
    code, headers, words = int(error.status_code), error.headers, str(error).rstrip(".")
    limited = "retry-after" in headers or headers.get("x-ratelimit-remaining") == "0"
    secondary = any(sign in words.lower() for sign in ("secondary rate", "abuse detection"))
    if code == 429 or (code == 403 and (limited or secondary)):
        wait = _wait(headers)
        return Away(f"GitHub's limit is reached: {words}", wait or SECONDARY, grows=not wait)
    if code >= 500 or code == 408:
        return Away(f"GitHub has a fault ({code})", _wait(headers) if "retry-after" in headers else 0.0)
    if isinstance(error, gidgethub.RedirectionException):
        return Refused("it has moved on GitHub", code, "a repository's new name is learnt with the next catch-up")
    hints = {
        401: "the token or key is not valid (any more): make a new one, then: dispatcher github token KEY",
        403: "the token needs read and write access to that; what it may do: dispatcher github check KEY",
        404: "there is no such thing there, or the token may not see it",
        410: "it was deleted there, or issues are switched off",
    }
    if code == 403 and "locked" in str(error):
        return Refused(f"GitHub refuses: {words}", code, "unlock the conversation there, and it is written")
    return Refused(f"GitHub refuses: {words}", code, hints.get(code, ""))


def _wait(headers: Mapping[str, str]) -> float:
    """How long to stay away, in seconds, 0 where no header says: Retry-After, else until the reset of a limit that is used up.

    https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#exceeding-the-rate-limit
    """
    try:
        if "retry-after" in headers:
            return max(1.0, float(headers["retry-after"]))
        if headers.get("x-ratelimit-remaining") == "0":
            return max(1.0, float(headers["x-ratelimit-reset"]) - time.time())
    except (KeyError, ValueError):
        pass
    return 0.0


def _query(path: str, query: dict[str, Any]) -> str:
    kept = {name: value for name, value in query.items() if value is not None}
    return f"{path}?{httpx.QueryParams(kept)}" if kept else path
