"""What is set up once: projects, endpoints, agents, and the workers that there are."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Text
from sqlmodel import Field, SQLModel

from dispatcher.models.columns import moment


class Project(SQLModel, table=True):
    """A git repository under the dispatcher's care."""

    id: int | None = Field(default=None, primary_key=True)
    key: str = Field(unique=True)
    name: str
    path: str
    default_branch: str
    check_command: str = Field(default="", sa_type=Text)
    setup_command: str = Field(default="", sa_type=Text)
    merge_method: str = "merge"
    sandbox: str = "strict"
    """What agents, set-up and checks run in: strict, landlock or none."""
    reach: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    """What the sandbox lets in beyond what every run needs: see `dispatcher.sandboxes.Reach`."""
    next_number: int = 1
    created_at: datetime = moment(required=True)


class Endpoint(SQLModel, table=True):
    """A model server that speaks the OpenAI wire format."""

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(unique=True)
    base_url: str
    model: str
    key_env: str = ""
    context_length: int = 32768
    output_length: int = 8192
    slots: int = 1
    health: dict[str, Any] | None = Field(default=None, sa_type=JSON)
    checked_at: datetime | None = moment()
    checking: dict[str, Any] | None = Field(default=None, sa_type=JSON)
    """The check that is under way: since when, and what it waits for."""
    retired_at: datetime | None = moment()
    """Since when it is no longer offered; runs that it served stay."""
    created_at: datetime = moment(required=True)

    def key(self, environ: Mapping[str, str] = os.environ) -> str:
        """The endpoint's key, from the variable that it names; empty where it names none or that is not set."""
        return environ.get(self.key_env, "") if self.key_env else ""


class Agent(SQLModel, table=True):
    """Harness, endpoint, model, instructions and limits under one name."""

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(unique=True)
    harness: str
    endpoint_id: int = Field(foreign_key="endpoint.id", index=True)
    model: str = ""
    instructions: str = Field(default="", sa_type=Text)
    max_seconds: float = 3600
    max_silence: float = 600
    max_tokens: int = 0
    max_turns: int = 100
    retired_at: datetime | None = moment()
    """Since when no ticket is assigned to it; its runs stay."""
    created_at: datetime = moment(required=True)


class Worker(SQLModel, table=True):
    """A process that works on runs, by its heartbeat."""

    name: str = Field(primary_key=True)
    host: str
    pid: int
    version: str
    runs_at_once: int
    harnesses: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    """By a harness's name what it found: version, path and origin, or why there is none."""
    sandboxes: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    """By a sandbox's name an empty text where it works, else why not, and the fix."""
    hindrance: str = ""
    """Why it takes no new runs; empty where it does."""
    started_at: datetime = moment(required=True)
    seen_at: datetime = moment(required=True)
