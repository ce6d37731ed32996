"""The files that pages load: our own, and those of the libraries that `make setup` installs; nothing comes from elsewhere.

Their addresses hold a digest of them all, `/static/<digest>/js/app.js`, so that a browser keeps them until one changes, and
modules that import each other by relative paths stay of one version.
"""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
import os
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

from starlette.datastructures import Headers
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

_NAMES = {path.relative_to(STATIC).as_posix(): path for path in STATIC.rglob("*") if path.is_file()} | {
    f"vendor/{name}": LIBRARIES / path for name, path in VENDOR.items() if (LIBRARIES / path).is_file()
}
"""Each file by what follows the digest in its address."""

_DISK = frozenset({"range", "if-none-match", "if-modified-since", "cache-control"})
"""Who sends one of these gets the file as it is on disk: a part, whether it has changed, or a reload without any cache."""


def static(path: str) -> str:
    """The address of a file: `js/app.js`, or `vendor/htmx.js` of a library."""
    return f"/static/{DIGEST}/{path}"


_IMPORT = re.compile(r"""^(?:import|export)\b[^"';]*["']\./([\w-]+)\.js["']""", re.MULTILINE)


@cache
def modules(*names: str) -> tuple[str, ...]:
    """The scripts of those names and all that they import, for `modulepreload`: a browser finds them one after the other."""
    found = dict.fromkeys(names)
    waiting = list(names)
    while waiting:
        text = (STATIC / "js" / f"{waiting.pop(0)}.js").read_text(encoding="utf-8")
        fresh = [name for name in _IMPORT.findall(text) if name not in found]
        found |= dict.fromkeys(fresh)
        waiting += fresh
    return tuple(f"js/{name}.js" for name in found)


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
        digest, _, name = path.partition("/")
        if digest != DIGEST:
            response = await super().get_response(path, scope)
            response.headers["cache-control"] = "no-cache"
            return response
        found = _NAMES.get(name) if _DISK.isdisjoint(Headers(scope=scope)) else None
        response = _packed(found).answer(scope) if found is not None else await super().get_response(path, scope)
        response.headers["cache-control"] = "public, max-age=31536000, immutable"
        return response


class Packed(NamedTuple):
    """A file in memory, whole and compressed: a page loads thirty at once, and they change only with the digest."""

    kind: str
    whole: bytes
    small: bytes

    def answer(self, scope: Scope) -> Response:
        """The file as the browser takes it."""
        small = len(self.small) < len(self.whole) and "gzip" in Headers(scope=scope).get("accept-encoding", "")
        headers = {"vary": "Accept-Encoding"} | ({"content-encoding": "gzip"} if small else {})
        return Response(self.small if small else self.whole, headers=headers, media_type=self.kind)


@cache
def _packed(path: Path) -> Packed:
    """A file, read once."""
    whole = path.read_bytes()
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return Packed(kind, whole, gzip.compress(whole, 9, mtime=0))
