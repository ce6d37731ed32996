"""compose.yaml against the settings that it sets and the files that it needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from dispatcher import access
from dispatcher.commands.common import Usage
from dispatcher.commands.up import refuse_open_bind
from dispatcher.db import Database
from dispatcher.settings import Settings

PROJECT = Path(__file__).resolve().parents[2]


def _services() -> dict[str, Any]:
    services: dict[str, Any] = yaml.safe_load((PROJECT / "compose.yaml").read_text())["services"]
    return services


def test_the_parts_and_how_they_are_watched() -> None:
    services = _services()
    assert set(services) == {"postgres", "redis", "web", "worker"}
    assert all(service["healthcheck"]["test"] for service in services.values())
    assert "--appendonly" in services["redis"]["command"]
    for name in ("web", "worker"):
        assert services[name]["command"][0] == name
        assert set(services[name]["depends_on"]) == {"postgres", "redis"}


def test_every_variable_is_a_setting() -> None:
    environment = _services()["web"]["environment"]
    assert {"DISPATCHER_DATABASE_URL", "DISPATCHER_REDIS_URL", "DISPATCHER_HOME"} <= set(environment)
    settings = {f"DISPATCHER_{name.upper()}" for name in Settings.model_fields}
    assert set(environment) <= settings


def test_only_the_web_app_is_reachable_and_only_from_this_machine() -> None:
    ports = {name: service["ports"] for name, service in _services().items() if "ports" in service}
    assert ports == {"web": [f"127.0.0.1:{Settings.model_fields['port'].default}:{Settings.model_fields['port'].default}"]}


def test_the_web_app_starts_with_the_address_that_it_is_given_once_there_is_a_user(tmp_path: Path) -> None:
    web = _services()["web"]
    settings = Settings(home=tmp_path, host=web["environment"]["DISPATCHER_HOST"])
    assert web["command"] == ["web"]
    with pytest.raises(Usage, match="nobody has logged in"):
        refuse_open_bind(settings, insecure=False)
    database = Database(settings.database)
    with database.transaction() as db:
        access.add_user(db, "ada", "admin")
    database.close()
    refuse_open_bind(settings, insecure=False)


def test_the_file_says_how_to_log_in_first() -> None:
    text = (PROJECT / "compose.yaml").read_text()
    assert "docker compose run --rm web user add NAME --role admin" in text


def test_the_image_copies_what_there_is() -> None:
    copied = [line.split()[1:-1] for line in (PROJECT / "Dockerfile").read_text().splitlines() if line.startswith("COPY ")]
    let_in = {line[1:] for line in (PROJECT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert {name for names in copied for name in names} == let_in
