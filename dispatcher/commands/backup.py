"""`dispatcher backup` and `restore`."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from dispatcher.commands.common import Json, Yes, confirm, example, load_settings
from dispatcher.commands.output import as_json, note, say

File = Annotated[Path | None, typer.Argument(help="The archive; by default named after this moment, in this folder.")]
Source = Annotated[Path, typer.Argument(help="The archive that `dispatcher backup` wrote.")]
Logs = Annotated[bool, typer.Option("--logs/--no-logs", help="Take what the runs printed, too.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("backup", epilog=example("dispatcher backup", "dispatcher backup /mnt/nas/monday.tar.gz"))(backup)
    app.command("restore", epilog=example("DISPATCHER_HOME=/new/place dispatcher restore monday.tar.gz"))(restore)


def backup(file: File = None, logs: Logs = True, as_data: Json = False) -> None:
    """Write database, settings and run logs to one archive, while all goes on.

    Branches are in your own repositories and are not part of it; nor are worktrees, harnesses' own stores and secrets.
    """
    from dispatcher.backup import back_up
    from dispatcher.db import Database

    settings = load_settings()
    target = file or Path(f"dispatcher-{datetime.now().astimezone():%Y%m%d-%H%M%S}.tar.gz")
    database = Database(settings.database)
    try:
        manifest = back_up(database, settings, target.absolute(), logs=logs, say=lambda part: note(f"{part} ..."))
    finally:
        database.close()
    if as_data:
        as_json(manifest.model_dump(mode="json") | {"file": str(target)})
    else:
        rows, size = sum(manifest.tables.values()), target.stat().st_size
        say(f"{target}: {rows:,} rows of {len(manifest.tables)} tables, {size / 1e6:.1f} MB")


def restore(file: Source, yes: Yes = False, as_data: Json = False) -> None:
    """Bring a backup back into an empty database; SQLite and PostgreSQL take each other's.

    Runs that were under way when it was made are taken up again by the next worker.
    """
    from dispatcher.client import running_server
    from dispatcher.db import Database
    from dispatcher.errors import Conflict
    from dispatcher.restore import read_manifest
    from dispatcher.restore import restore as bring_back

    settings = load_settings()
    if url := running_server(settings):
        raise Conflict(f"a dispatcher runs on this data folder, at {url}", "stop it first")
    manifest = read_manifest(file)
    confirm(f"Restore {manifest.tables.get('ticket', 0)} tickets of {manifest.created_at:%Y-%m-%d %H:%M} UTC?", yes=yes)
    database = Database(settings.database)
    try:
        manifest = bring_back(database, settings, file, say=lambda part: note(f"{part} ..."))
    finally:
        database.close()
    if as_data:
        as_json(manifest.model_dump(mode="json"))
    else:
        say(f"restored {sum(manifest.tables.values()):,} rows; start with: dispatcher up")
