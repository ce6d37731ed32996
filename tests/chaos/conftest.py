"""What all tests of this folder share."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.register_assert_rewrite("tests.chaos.ground")

from tests.gitting import begin_repository  # noqa: E402  # after the line above


@pytest.fixture(scope="module")
def module_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A git repository with one commit on `main`, for all tests of a module."""
    return begin_repository(tmp_path_factory.mktemp("repository") / "sample")
