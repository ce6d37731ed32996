"""Garbage collection in processes that serve for days."""

from __future__ import annotations

import gc


def spare_what_is_here() -> None:
    """Leave what there is now out of every later collection; to be called once, when a process has made what it keeps.

    The code and routes of the site are hundreds of thousands of objects: to go through them takes long enough for a reader to
    notice, nobody is answered meanwhile, and nothing is found.
    """
    gc.collect()
    gc.freeze()
