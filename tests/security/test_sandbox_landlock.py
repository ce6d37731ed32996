"""What the second best sandbox has in the place of mounts."""

from __future__ import annotations

import os
from pathlib import Path

from dispatcher.models import Project
from tests.gitting import git
from tests.house import house
from tests.sandboxes import needs_landlock


@needs_landlock
async def test_the_second_best_has_a_temporary_folder_of_its_own(tmp_path: Path, repository: Path) -> None:
    """And the machine's /tmp is not it, unless the project names it."""
    mark = Path("/tmp") / f"dispatcher-mark-{os.getpid()}"  # the very place is what is tried
    async with house(tmp_path, "", repository, sandbox="landlock") as home:
        lines = ('mktemp > made.txt; ls -d "$TMPDIR" >> made.txt', f"echo x > {mark} && echo yes > reached.txt", "say Done.")
        key = home.file(*lines)
        assert await home.work(key) == "review", home.run(key).summary
        made, folder = git(repository, "show", f"agent/{key}:made.txt").splitlines()
        assert folder == f"{home.workspace(key).home}/tmp" and made.startswith(f"{folder}/")
        assert not mark.exists() and not (Path(home.workspace(key).path) / "reached.txt").exists()
        home.edit(Project, reach={"write": ["/tmp"]})
        key = home.file(*lines)
        assert await home.work(key) == "review", home.run(key).summary
        assert git(repository, "show", f"agent/{key}:reached.txt") == "yes"
        mark.unlink()
