"""Where GitHub's secrets lie: a variable of the environment, else a file of the data folder that only its owner may read.

Never the database: dumps and copies of it travel, and whoever may read tickets may often read it. Not the environment alone
either, as for endpoints' keys: the webhook's secret is made here, and the web app and the workers that run already have to
know it at once. On several machines, give the variables to each, or put the file into each data folder.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from dispatcher.errors import Invalid
from dispatcher.settings import Settings

What = Literal["secret", "token", "app_key"]
"""The webhook's secret, an access token, the private key of a GitHub App."""
LIMIT = 20_000


def variable(project: str, what: What) -> str:
    """The variable that may hold it."""
    return f"DISPATCHER_GITHUB_{project.upper()}_{what.upper()}"


def place(settings: Settings, project: str, what: What) -> Path:
    """The file that may hold it; raises `Invalid` for a key that would lead elsewhere."""
    if not re.fullmatch(r"[A-Za-z0-9]{1,40}", project):
        raise Invalid(f"{project[:60]!r} is no key of a project", "see: dispatcher project list", "project")
    return settings.home / "github" / f"{project.upper()}.{what}"


def read(settings: Settings, project: str, what: What, environ: Mapping[str, str] = os.environ) -> str:
    """The secret; empty where there is none."""
    given = environ.get(variable(project, what), "").strip()
    if given:
        return given
    try:
        return place(settings, project, what).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""


def write(settings: Settings, project: str, what: What, text: str) -> Path:
    """Keep a secret, whole or not at all; raises `Invalid` for one that cannot be it."""
    text = text.strip()
    if not text or len(text) > LIMIT or "\0" in text:
        raise Invalid(f"this is no {what.replace('_', ' ')}", "give it as GitHub shows it", what)
    path = place(settings, project, what)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = path.with_name(f"{path.name}.{os.getpid()}")
    # Made with these rights, not given them afterwards: in between it could be read.
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as stream:  # noqa: PTH123
        stream.write(f"{text}\n")
    new.replace(path)
    return path


def command(project: str, what: What) -> str:
    """What a person types to enter it."""
    return f"dispatcher github token {project.upper()}{' --app-key FILE' if what == 'app_key' else ''}"


def forget(settings: Settings, project: str) -> None:
    """Remove what the data folder holds for a project."""
    for what in ("secret", "token", "app_key"):
        place(settings, project, what).unlink(missing_ok=True)


def new_secret() -> str:
    """A secret for a webhook: 256 random bits."""
    return secrets.token_hex(32)
