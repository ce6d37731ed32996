"""What one sandbox lets in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

STRICT, LANDLOCK, NONE = "strict", "landlock", "none"
GATEWAY_PORT = 61234
"""Where the gateway listens in a strict sandbox's own network: above the ports that Linux gives out by itself."""
PROXY_PORT = 61235
"""Where the door to named hosts listens there."""


@dataclass(frozen=True)
class Laid:
    """A folder that lies elsewhere inside than outside."""

    source: Path
    place: Path


@dataclass(frozen=True)
class Box:
    """One sandbox. What is in none of its lists is not there."""

    tier: str
    read: tuple[Path, ...] = ()
    """Readable, with all below."""
    write: tuple[Path, ...] = ()
    """Writable, with all below."""
    laid: tuple[Laid, ...] = ()
    """Writable at another place."""
    own: tuple[Path, ...] = ()
    """Of those that are writable, the ones that every run has: worktree, HOME."""
    git_dir: Path | None = None
    """The private git dir as it is called inside, where there is one."""

    def with_read(self, *paths: Path) -> Box:
        """The same one, with more to read."""
        return replace(self, read=(*self.read, *paths))

    def with_write(self, *paths: Path) -> Box:
        """The same one, with more to write."""
        return replace(self, write=(*self.write, *paths))
