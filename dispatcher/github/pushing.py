"""A ticket's branch to GitHub, and the merged target back from it, over HTTPS with the token.

The token is in git's environment alone: command lines are seen by every user of the machine, and a URL with it would be written
into the repository's configuration and logs.
"""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from dispatcher.errors import Conflict, GitFailed
from dispatcher.git import Answer, Repository
from dispatcher.github.client import Away

TOKEN = "DISPATCHER_PUSH_TOKEN"
_HELPER = f'!f() {{ test "$1" = get && printf "username=x-access-token\\npassword=%s\\n" "${TOKEN}"; }}; f'
_NETWORK = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy", "SSL_CERT_FILE", "GIT_SSL_CAINFO")
_PASSING = (
    "could not resolve",
    "timed out",
    "connection refused",
    "connection reset",
    "early eof",
    "returned error: 5",
    "hung up",
)


def push(repository: Repository, url: str, token: str, *, branch: str, head: str, known: str) -> None:
    """Bring a branch there to `head`; `known` is where it was last, empty for one that is not there.

    Raises `Conflict` where somebody else has pushed to it meanwhile, `Away` for what passes, `GitFailed` for all else.
    """
    ref = f"refs/heads/{branch}"
    answer = _git(repository, url, token, "push", "--porcelain", f"--force-with-lease={ref}:{known}", url, f"{head}:{ref}")
    told = (answer.out + answer.err).decode("utf-8", "replace")
    if answer.code == 0:
        return
    if "stale info" in told or "[rejected]" in told:
        if remote_head(repository, url, token, branch) == head:  # it was pushed by us, in a pass that was cut short
            return
        raise Conflict(
            f"somebody else has pushed to {branch} on GitHub", "take their commits into the branch here, or remove it there"
        )
    raise _failed("push", told)


def remote_head(repository: Repository, url: str, token: str, branch: str) -> str | None:
    """The commit that a branch there is at, None where it is not there."""
    answer = _git(repository, url, token, "ls-remote", url, f"refs/heads/{branch}")
    if answer.code != 0:
        raise _failed("ls-remote", answer.err.decode("utf-8", "replace"))
    return answer.text.split("\t")[0] or None


def fetch(repository: Repository, url: str, token: str, branch: str) -> str:
    """Bring the commits of a branch there into the object database; gives its head. No ref of the user's moves."""
    head = remote_head(repository, url, token, branch)
    if head is None:
        raise Conflict(f"there is no branch {branch} on GitHub", "make it there, or choose another")
    answer = _git(repository, url, token, "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", url, f"refs/heads/{branch}")
    if answer.code != 0:
        raise _failed("fetch", answer.err.decode("utf-8", "replace"))
    return head


def _git(repository: Repository, url: str, token: str, *args: str) -> Answer:
    parts = urlsplit(url)
    # For this server alone: were we led to another one, it would get no token.
    helper = f"credential.{parts.scheme}://{parts.netloc}.helper={_HELPER}"
    env = {name: os.environ[name] for name in _NETWORK if name in os.environ} | {TOKEN: token}
    return repository.git("-c", "credential.helper=", "-c", helper, "-c", "protocol.allow=never", "-c",
                          f"protocol.{parts.scheme}.allow=always", *args, env=env, ok=(0, 1, 128))  # fmt: skip


def _failed(what: str, told: str) -> Exception:
    lines = [line.strip().removeprefix("remote:").strip() for line in told.splitlines()]
    words = next((line for line in lines if line.startswith(("fatal:", "error:", "!"))), "") or next(filter(None, lines), "")
    words = words or "it said nothing"
    if any(sign in told.lower() for sign in _PASSING):
        return Away(f"git {what} does not reach GitHub: {words}")
    hint = "the token needs write access to contents"
    if "workflow" in told.lower():
        hint = "the branch changes files in .github/workflows: give the token write access to workflows, too"
    elif "protected branch" in told.lower() or "rule violations" in told.lower():
        hint = "a rule of the repository forbids it: let it push branches that begin with agent/"
    return GitFailed(f"git {what} to GitHub failed: {words}", hint)
