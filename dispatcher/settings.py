"""The configuration, as one typed object read from the environment (`DISPATCHER_*`)."""

from __future__ import annotations

import os
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from dispatcher.cgroups import GB, Room


def default_home() -> Path:
    """The data folder: `$XDG_DATA_HOME/dispatcher`, or `~/.local/share/dispatcher`."""
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "dispatcher"


class Settings(BaseSettings):
    """Every setting there is. Each can be given as an environment variable: `home` is `DISPATCHER_HOME`."""

    model_config = SettingsConfigDict(env_prefix="DISPATCHER_", extra="ignore", validate_default=True)

    home: Path = Field(default_factory=default_home, description="data folder: database, worktrees, run logs, harnesses")
    harness_home: Path | None = Field(None, description="folder of the managed harnesses; empty: the data folder")
    database_url: str = Field("", description="SQLite file in the data folder, or postgresql+psycopg://user@host/name")
    redis_url: str = Field("", description="Redis by URL (redis://, unix://); empty: a server of our own, embedded")
    host: str = Field("127.0.0.1", description="address that the web app listens on")
    port: int = Field(8484, ge=0, le=65535, description="port that the web app listens on")
    url: str = Field("", description="where the CLI finds the web app; empty: the running one of this data folder")
    runs_at_once: int = Field(8, ge=1, le=256, description="runs that one worker works on at once")
    lease_seconds: float = Field(30, gt=0, description="a worker that is silent for so long has lost its runs")
    sweep_seconds: float = Field(2, gt=0, description="how often lost rings and expired leases are looked for")
    follow_seconds: float = Field(0.03, gt=0, description="how often the files of a running harness are looked at")
    grace_seconds: float = Field(8, gt=0, description="time between asking a harness to end and ending it")
    endpoint_patience: float = Field(180, ge=0, description="seconds that a down or busy endpoint is waited for")
    check_timeout: float = Field(900, gt=0, description="seconds that one check command may take")
    setup_timeout: float = Field(1800, gt=0, description="seconds that a project's set-up command may take")
    run_memory_gb: float = Field(0, ge=0, description="gigabytes of memory that one run may use; 0: as much as there is")
    run_processes: int = Field(4096, ge=0, description="processes and threads that one run may have; 0: any number")
    lost_retries: int = Field(3, ge=0, description="how often a run lost with its worker is started again by itself")
    free_gb: float = Field(
        0.5, ge=0, description="gigabytes that have to be free in the data folder for a run to begin; 0: none"
    )
    sandbox: Literal["strict", "landlock", "none"] = Field(
        "strict", description="the sandbox of new projects: strict, landlock or none"
    )
    loop_repeats: int = Field(8, ge=3, description="equal tool calls in a row that count as a loop")
    discovery_ports: list[Annotated[int, Field(ge=1, le=65535)]] = Field(
        default_factory=list, description="further ports of this machine at which model servers are looked for"
    )
    public_url: str = Field("", description="where people and GitHub reach the web app, for links and webhooks (https://...)")
    github_seconds: float = Field(1, gt=0, description="how often a worker looks for something to do for GitHub")
    github_reconcile_seconds: float = Field(600, gt=0, description="how often GitHub is asked for what no webhook brought")
    max_body: int = Field(2_000_000, gt=0, description="bytes of one request that the web app takes")
    allowed_hosts: list[str] = Field(default_factory=list, description="further host names that the web app answers to")
    token: SecretStr = Field(SecretStr(""), description="API token of the CLI, for a web app on another machine")
    trusted_proxies: list[str] = Field(
        default_factory=list, description="addresses or networks of proxies whose X-Forwarded-For and -Proto are believed"
    )
    writes_per_minute: int = Field(3000, gt=0, description="changes that one user may make by the web app in a minute")

    keep_logs_days: int = Field(90, ge=1, description="days that what a run printed is kept; its transcript stays")
    keep_logs_gb: float = Field(20, gt=0, description="gigabytes that they may take together; the oldest go first")
    keep_homes_days: int = Field(30, ge=1, description="days that a closed ticket's private home is kept")
    keep_feed_days: int = Field(14, ge=1, description="days that the feed's entries about growing transcripts are kept")
    upkeep_seconds: float = Field(3600, gt=0, description="how often a worker removes what is not kept any longer")

    log_format: Literal["text", "json"] = Field("text", description="how our processes log: lines for people, or JSON")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="from which level on they log")

    @field_validator("home")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: list[str]) -> list[str]:
        for one in value:
            ip_network(one, strict=False)
        return value

    @property
    def proxies(self) -> list[IPv4Network | IPv6Network]:
        """The networks of the trusted proxies."""
        return [ip_network(one, strict=False) for one in self.trusted_proxies]

    @property
    def database(self) -> str:
        """The database's URL."""
        return self.database_url or f"sqlite:///{self.home / 'dispatcher.db'}"

    @property
    def harness_root(self) -> Path:
        """The folder that holds `harnesses/`, where managed installs are."""
        return self.harness_home or self.home

    @property
    def room(self) -> Room:
        """What one run may take of the machine."""
        return Room(int(self.run_memory_gb * GB), self.run_processes)

    @property
    def worktrees(self) -> Path:
        """Where the worktrees are."""
        return self.home / "worktrees"

    @property
    def runs(self) -> Path:
        """Where each run has a folder with its prompt and what its harness printed."""
        return self.home / "runs"
