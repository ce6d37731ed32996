"""The files that pages load: our own, and those of the libraries that `make setup` installs; nothing comes from elsewhere.

Their addresses hold a digest of them all, `/static/<digest>/js/app.js`, so that a browser keeps them until one changes, and
modules that import each other by relative paths stay of one version.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

STATIC = Path(__file__).parent / "static"
LIBRARIES = Path(__file__).parent.parent / "node_modules"
"""Where npm puts what package-lock.json names."""

VENDOR = {
    "htmx.js": "htmx.org/dist/htmx.min.js",
    "sortable.js": "sortablejs/Sortable.min.js",
    "diff2html.js": "diff2html/bundles/js/diff2html-ui-slim.min.js",
    "diff2html.css": "diff2html/bundles/css/diff2html.min.css",
    "uplot.js": "uplot/dist/uPlot.iife.min.js",
    "uplot.css": "uplot/dist/uPlot.min.css",
}
"""What is served below `vendor/`, by its path in the packages; nothing else of them is."""


def missing() -> list[str]:
    """The library files that are not installed."""
    return [path for path in VENDOR.values() if not (LIBRARIES / path).is_file()]


def _files() -> list[Path]:
    vendored = [LIBRARIES / path for path in VENDOR.values()]
    return [path for path in (*sorted(STATIC.rglob("*")), *vendored) if path.is_file()]


def _digest() -> str:
    seen = hashlib.sha256()
    for path in _files():
        seen.update(path.name.encode() + b"\0" + path.read_bytes())
    return seen.hexdigest()[:12]


DIGEST = _digest()


def static(path: str) -> str:
    """The address of a file: `js/app.js`, or `vendor/htmx.js` of a library."""
    return f"/static/{DIGEST}/{path}"


class Assets(StaticFiles):
    """Serves them; what is asked for by today's digest may be kept for ever."""

    def __init__(self) -> None:
        super().__init__(directory=STATIC)

    def lookup_path(self, path: str) -> tuple[str, os.stat_result | None]:
        """The file of a path that begins with any digest."""
        _, _, name = path.partition("/")
        if not name.startswith("vendor/"):
            return super().lookup_path(name)
        library = VENDOR.get(name.removeprefix("vendor/"))
        if library is None or not (LIBRARIES / library).is_file():
            return "", None
        return str(LIBRARIES / library), (LIBRARIES / library).stat()

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file, with how long it may be kept."""
        response = await super().get_response(path, scope)
        current = path.partition("/")[0] == DIGEST
        response.headers["cache-control"] = "public, max-age=31536000, immutable" if current else "no-cache"
        return response
