"""Room on the disk of the data folder. Where it runs short no new run is begun, so that the others and the records have it."""

from __future__ import annotations

import os

from dispatcher.settings import Settings


def free(settings: Settings) -> float:
    """Gigabytes that we may still write in the data folder, or in what will hold it."""
    there = next(path for path in (settings.home, *settings.home.parents) if path.exists())
    found = os.statvfs(there)
    return found.f_bavail * found.f_frsize / 1e9


def shortage(settings: Settings) -> str:
    """Why no new run may begin now; empty where there is room."""
    room = free(settings) if settings.free_gb else 0.0
    if room >= settings.free_gb:
        return ""
    return (
        f"{room:.2g} GB are free on the disk of {settings.home}; new runs begin at {settings.free_gb:g} GB (DISPATCHER_FREE_GB)"
    )
