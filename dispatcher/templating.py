"""Templates for new tickets: Markdown files of the repository, with GitHub's front matter, read from the object database.

Format: https://docs.github.com/communities/using-templates-to-encourage-useful-issues-and-pull-requests (name, about, title,
labels). They are what somebody committed: text to begin with, never anything that is run.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path, PurePosixPath

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from dispatcher.errors import DispatcherError
from dispatcher.git import Repository, open_repository
from dispatcher.models import Project

FOLDERS = (".dispatcher/templates", ".github/ISSUE_TEMPLATE")
"""Where they lie, ours first."""
MOST = 50
LIMIT = 64_000
"""Bytes of one template."""
FRONT_LIMIT = 8_000


class Front(BaseModel):
    """A template's front matter; what else stands there (`assignees`) is GitHub's alone."""

    model_config = ConfigDict(extra="ignore", strict=True)

    name: str = Field("", max_length=200)
    about: str = Field("", max_length=1000)
    title: str = Field("", max_length=500)
    labels: list[str] = Field([], max_length=50)

    @field_validator("name", "about", "title", mode="before")
    @classmethod
    def _empty(cls, value: object) -> object:
        return "" if value is None else value

    @field_validator("labels", mode="before")
    @classmethod
    def _by_commas(cls, value: object) -> object:
        if value is None:
            return []
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


class Template(BaseModel):
    """What a new ticket can begin as; `problem` tells why one cannot be used."""

    path: str
    name: str
    about: str = ""
    title: str = ""
    labels: list[str] = []
    body: str = ""
    problem: str = ""


def templates(project: Project) -> list[Template]:
    """The templates of a project at its default branch, by their names; a repository that cannot be read is told as one."""
    try:
        repository = open_repository(Path(project.path))
        commit = repository.commit(f"refs/heads/{project.default_branch}")
    except DispatcherError as error:
        return [Template(path=project.path, name=project.name, problem=error.line())]
    return list(_read(repository, commit)) if commit else []


def read_template(path: str, text: str) -> Template:
    """One file as a template; never raises."""
    name = PurePosixPath(path).stem.replace("_", " ").replace("-", " ").capitalize()
    try:
        front, body = _split(text)
        found = Front.model_validate(_yaml(front))
    except (ValueError, yaml.YAMLError) as error:
        return Template(path=path, name=name, problem=_why(error))
    return Template(
        path=path, name=found.name or name, about=found.about, title=found.title, labels=found.labels, body=body.lstrip("\n")
    )


@lru_cache(maxsize=64)
def _read(repository: Repository, commit: str) -> tuple[Template, ...]:
    """By the commit: it never changes."""
    found = []
    for path in _paths(repository, commit)[:MOST]:
        data = repository.file(commit, path, LIMIT + 1)
        if data is None:
            continue
        if len(data) > LIMIT:
            found.append(Template(path=path, name=PurePosixPath(path).stem, problem=f"it has more than {LIMIT:,} bytes"))
        else:
            found.append(read_template(path, data.decode("utf-8", "replace")))
    return tuple(sorted(found, key=lambda one: (bool(one.problem), one.name.lower())))


def _paths(repository: Repository, commit: str) -> list[str]:
    answer = repository.git("ls-tree", "-z", "--name-only", commit, "--", *(f"{folder}/" for folder in FOLDERS))
    paths = [os.fsdecode(name) for name in answer.fields]
    wanted = [path for path in paths if path.lower().endswith(".md") and path.isprintable()]
    return sorted(wanted, key=lambda path: (not path.startswith(FOLDERS[0]), path))


def _split(text: str) -> tuple[str, str]:
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").splitlines(keepends=True)
    if not lines or lines[0].strip() != "---":
        return "", "".join(lines)
    for number, line in enumerate(lines[1:], 1):
        if line.strip() == "---":
            return "".join(lines[1:number]), "".join(lines[number + 1 :])
    raise ValueError("its front matter has no end: close it with a line of ---")


def _yaml(front: str) -> object:
    if len(front) > FRONT_LIMIT:
        raise ValueError(f"its front matter has more than {FRONT_LIMIT:,} characters")
    try:
        return yaml.safe_load(front) or {}
    except RecursionError as error:
        raise ValueError("its front matter is nested too deeply") from error


def _why(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "its front matter"
        return f"{where}: {first['msg'][:1].lower()}{first['msg'][1:]}"
    if isinstance(error, yaml.YAMLError):
        return f"its front matter is no YAML: {' '.join(str(error).split())[:300]}"
    return str(error)
