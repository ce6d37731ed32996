"""What all tests share: an isolated environment, real servers, real harness binaries, a repository."""

from __future__ import annotations

import gc
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psycopg
import pytest

from dispatcher.embedded import EmbeddedRedis
from dispatcher.harness_install import install
from tests import sandboxes, templates
from tests.board import Board
from tests.gitting import begin_repository
from tests.guarantees import pytest_runtest_setup, pytest_terminal_summary
from tests.lending import Databases
from tests.servers import postgres

__all__ = ["pytest_runtest_setup", "pytest_terminal_summary"]

PROJECT = Path(__file__).resolve().parent.parent
HARNESSES = PROJECT / ".dispatcher"
"""The data folder whose harnesses the tests use; kept between test runs, for they are large."""

GIT = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
    "GIT_TERMINAL_PROMPT": "0",
}
_OURS = ("DISPATCHER_", "XDG_", "GIT_", "PYTHON")
_ENVIRON = dict(os.environ)


def pytest_collection_finish() -> None:
    """Leave out of every later collection of garbage what lasts for the whole run: modules, and thousands of tests.

    A whole collection looked at all of it, and took 0.8 s of a core after 300 tests. On a busy machine that is seconds in which
    a test is silent, and PostgreSQL ends a transaction that is silent for ten.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test sees this machine's HOME, git configuration or dispatcher settings."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(_OURS):
                patch.delenv(name)
        for name, value in GIT.items():
            patch.setenv(name, value)
        patch.setenv("DISPATCHER_SANDBOX", sandboxes.default())
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty HOME for the test alone."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(folder))
    return folder


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedRedis]:
    """The embedded Redis of the whole test run."""
    with EmbeddedRedis(tmp_path_factory.mktemp("redis")) as redis:
        yield redis


@pytest.fixture
def redis_url(redis_server: EmbeddedRedis) -> str:
    """An empty Redis."""
    from redis import Redis

    with Redis.from_url(redis_server.url) as client:
        client.flushall()
    return redis_server.url


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The socket folder of the PostgreSQL of the whole test run."""
    with postgres() as folder:
        templates.make_template(folder)
        yield folder


@pytest.fixture(scope="session")
def databases(postgres_server: str) -> Databases:
    """Its databases at the newest schema."""
    return Databases(postgres_server)


@pytest.fixture
def postgres_url(databases: Databases) -> Iterator[str]:
    """A PostgreSQL database at the newest schema, like a new one."""
    with databases.lent() as url:
        yield url


@contextmanager
def _created(server: str) -> Iterator[str]:
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(host=server, user="postgres", dbname="postgres", autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}" TEMPLATE template1')
        yield f"postgresql+psycopg://postgres@/{name}?host={server}"
        admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A fresh database at the newest schema: the test runs once on each engine."""
    if request.param == "sqlite":
        return templates.migrated(f"sqlite:///{tmp_path_factory.mktemp('database') / 'dispatcher.db'}")
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture(params=["sqlite", "postgres"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database without tables, on each engine."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    with _created(request.getfixturevalue("postgres_server")) as url:
        yield url


@pytest.fixture(scope="session")
def harness_binary() -> Callable[[str], Path]:
    """The real binary of a harness by name, installed for the tests at its first use."""

    def binary(name: str) -> Path:
        return install(name, HARNESSES, environ=_ENVIRON).found.path

    return binary


@pytest.fixture
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A git repository with one commit on `main`."""
    return begin_repository(tmp_path_factory.mktemp("repository") / "sample")


@pytest.fixture
def board(database_url: str) -> Iterator[Board]:
    """A board with one project, endpoint and agent, on each engine."""
    board = Board.make(database_url)
    yield board
    board.database.close()


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    """An HTTP client."""
    with httpx.Client(timeout=10, trust_env=False) as client:
        yield client
