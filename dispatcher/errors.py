"""The exception tree. A message says what is wrong, `hint` what to do about it, `field` which input it was.

DispatcherError
├── Invalid            422  an input that cannot be taken
├── LoginRefused       401  a login link or a token that does not hold
├── NotAllowed         403  not with this role
├── NotFound           404  no such thing
├── Conflict           409  not now: the state does not allow it
│   └── MergeConflict       the branch and its target changed the same lines
├── Unavailable        503  something that the work needs is not there
│   ├── HarnessMissing      no usable binary of a harness
│   ├── SandboxFailed       a run's sandbox cannot be had, or leaks
│   ├── DatabaseDown
│   └── RedisDown
├── GitFailed          500  git refused
├── SetupFailed        500  a workspace could not be made ready
└── FenceLost          409  another worker has the run now; this one stops
"""

from __future__ import annotations

from typing import ClassVar


class DispatcherError(Exception):
    """The root. Raised where nothing more precise fits."""

    status: ClassVar[int] = 400

    def __init__(self, message: str, hint: str = "", field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.field = field

    def line(self) -> str:
        """Message and hint as one line."""
        return f"{self.message} ({self.hint})" if self.hint else self.message


class Invalid(DispatcherError):
    """An input that cannot be taken."""

    status = 422


class LoginRefused(DispatcherError):
    """A login link, a session or a token that does not hold."""

    status = 401


class NotAllowed(DispatcherError):
    """Not with this role, or not with a token."""

    status = 403


class NotFound(DispatcherError):
    """No such thing."""

    status = 404


class Conflict(DispatcherError):
    """Not now: the state does not allow it."""

    status = 409


class MergeConflict(Conflict):
    """The branch and its target changed the same lines; `files` names them."""

    def __init__(self, message: str, files: list[str], hint: str = "") -> None:
        super().__init__(message, hint)
        self.files = files


class Unavailable(DispatcherError):
    """Something that the work needs is not there."""

    status = 503


class HarnessMissing(Unavailable):
    """No usable binary of a harness on this machine."""


class SandboxFailed(Unavailable):
    """A run's sandbox cannot be had on this machine, or does not hold; nothing of the run's was started."""


class DatabaseDown(Unavailable):
    """The database does not answer, or is not one of ours."""


class RedisDown(Unavailable):
    """Redis does not answer or could not be started."""


class GitFailed(DispatcherError):
    """Git refused; the message holds its own words."""

    status = 500


class SetupFailed(DispatcherError):
    """A workspace could not be made ready."""

    status = 500


class FenceLost(Conflict):
    """Another worker has the run now; this one stops and writes nothing more."""
