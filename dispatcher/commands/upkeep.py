"""`dispatcher upkeep`: remove what is not kept any longer, and tell what waits for a decision."""

from __future__ import annotations

from typing import Annotated

import typer

from dispatcher.commands.common import Json, example, load_settings
from dispatcher.commands.output import as_json, note, say

Dry = Annotated[bool, typer.Option("--dry-run", help="Only tell what would be removed.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("upkeep", epilog=example("dispatcher upkeep --dry-run", "DISPATCHER_KEEP_LOGS_DAYS=30 dispatcher upkeep"))(
        upkeep
    )


def upkeep(dry_run: Dry = False, as_data: Json = False) -> None:
    """Remove old run logs, closed tickets' private homes and the feed's noise, as a worker does each hour.

    Branches and worktrees with work that was not merged stay; they are listed, with the command that removes them.
    """
    from dispatcher.db import Database
    from dispatcher.upkeep import tidy

    settings = load_settings()
    database = Database(settings.database)
    try:
        database.migrate()
        done = tidy(database, settings, dry=dry_run)
    finally:
        database.close()
    if as_data:
        rows = [{"kind": one.kind, "what": one.what, "size": one.size, "because": one.because} for one in done.gone]
        failed = [{"kind": one.kind, "what": one.what, "why": why} for one, why in done.failed]
        left = [{"ticket": one.key, "size": one.size, "days": one.days} for one in done.left]
        as_json({"removed": rows, "failed": failed, "left": left, "dry_run": dry_run})
    else:
        for one in done.gone:
            size = "" if one.kind == "feed" else f", {one.size / 1e6:.1f} MB"
            say(f"{'would remove' if dry_run else 'removed'} {one.kind} of {one.what}{size}: {one.because}")
        if not done.gone:
            say("there is nothing to remove")
        for one, why in done.failed:
            note(f"{one.kind} of {one.what} stays: {why}")
        for work in done.left:
            note(
                f"{work.key} was cancelled {work.days} days ago with work in it ({work.size / 1e6:.1f} MB): "
                f"dispatcher discard {work.key}"
            )
    raise typer.Exit(1 if done.failed else 0)
