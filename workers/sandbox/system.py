"""What of the machine's own is let in read-only: programs, libraries, a few files of /etc, and tool chains on the PATH."""

from __future__ import annotations

import contextlib
import os
import pwd
import sys
from functools import lru_cache
from pathlib import Path

LINKS = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
"""Links into /usr on most systems, folders on others."""
FOLDERS = ("/usr", "/nix/store", "/gnu/store")
_SYSTEM = tuple(f"{name}/" for name in (*FOLDERS, *LINKS))
ETC = (
    "alternatives",
    "bash.bashrc",
    "ca-certificates",
    "ca-certificates.conf",
    "crypto-policies",
    "debian_version",
    "default/locale",
    "fonts",
    "gai.conf",
    "group",
    "host.conf",
    "hosts",
    "inputrc",
    "java-11-openjdk",
    "java-17-openjdk",
    "java-21-openjdk",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "locale.alias",
    "locale.conf",
    "localtime",
    "lsb-release",
    "maven",
    "mime.types",
    "nsswitch.conf",
    "os-release",
    "passwd",
    "pki/ca-trust",
    "pki/java",
    "pki/tls/cert.pem",
    "pki/tls/certs",
    "profile",
    "protocols",
    "services",
    "shells",
    "ssl/cert.pem",
    "ssl/certs",
    "ssl/openssl.cnf",
    "terminfo",
    "timezone",
)
"""No keys, no passwords, and no resolv.conf: there is no name server to ask."""
MANAGERS = (
    ".asdf",
    ".bun/bin",
    ".deno/bin",
    ".elan",
    ".fnm",
    ".ghcup",
    ".goenv",
    ".jenv",
    ".juliaup",
    ".local/share/fnm",
    ".local/share/mise",
    ".local/share/pnpm",
    ".local/share/uv/python",
    ".nodenv",
    ".nvm/versions",
    ".proto",
    ".pyenv",
    ".rbenv",
    ".sdkman/candidates",
    ".volta",
)
"""Where version managers keep tool chains below a home folder; none keeps keys there. They count when PATH leads into them."""
BESIDE = {".cargo/bin": (".rustup",)}
"""What else belongs to such a folder on the PATH."""


def present() -> list[Path]:
    """Those of the machine's own folders and files that are there."""
    folders, files = map(Path, FOLDERS), (Path("/etc", name) for name in ETC)
    return [*(path for path in folders if path.is_dir()), *(path for path in files if path.exists())]


@lru_cache
def interpreter() -> tuple[str, Path]:
    """The Python that runs first in a sandbox, by its real path, and the folder that it needs."""
    return os.path.realpath(sys.executable), Path(sys.base_prefix).resolve()


def homes() -> list[Path]:
    """The home folders of this process's user: by the environment, and by the password file."""
    found = [os.environ.get("HOME") or _listed_home(os.getuid()), _listed_home(os.getuid())]
    return [Path(home) for home in dict.fromkeys(found) if home and Path(home) != Path("/")]


@lru_cache
def _listed_home(user: int) -> str:
    with contextlib.suppress(KeyError):
        return pwd.getpwuid(user).pw_dir
    return ""


def toolchains(path: str) -> list[Path]:
    """The folders that programs on that PATH need, beyond the system's own; never a whole home folder."""
    found: dict[Path, None] = {}
    for entry in dict.fromkeys(path.split(os.pathsep)):
        folder = Path(os.path.normpath(entry))
        if folder.is_absolute() and folder.is_dir():
            for one in (folder, *_behind(folder)):
                if one.is_dir() and not is_system(one) and not _holds_home(one):
                    found[one] = None
    return list(found)


def needed_by(program: Path) -> list[Path]:
    """What a program needs: its folder, and the environment or the packages that it is part of; never a whole home folder."""
    real = Path(os.path.realpath(program))
    found = [program.parent, real.parent]
    # Both ways to it: where a folder above is a link, the program finds what it is part of by the name that it was called by.
    for above in dict.fromkeys((*real.parents, *program.parents)):
        if above.name == "node_modules":
            found.append(above)
        found += environment(above)
    wanted = [folder for folder in dict.fromkeys(found) if not is_system(folder) and not _holds_home(folder)]
    return [*wanted, *(path for path in dict.fromkeys((program, real)) if _holds_home(path.parent))]


def environment(folder: Path) -> list[Path]:
    """A virtual environment and the Python that it is made from; nothing where the folder is none (PEP 405)."""
    try:
        lines = (folder / "pyvenv.cfg").read_text("utf-8", "replace").splitlines()
    except OSError:
        return []
    values = dict((key.strip(), value.strip()) for key, _, value in (line.partition("=") for line in lines))
    base = Path(values.get("home", ""))
    real = Path(os.path.realpath(base / "python3"))
    return [folder, *(one.parent for one in (base, real.parent) if one.is_absolute() and len(one.parts) > 2)]


def is_system(path: Path) -> bool:
    """Whether a path is let in anyway."""
    return f"{path}/".startswith(_SYSTEM)


def _holds_home(folder: Path) -> bool:
    """Also by another name: links lead to home folders on some systems, and a link may lead to one anywhere."""
    names = {folder, Path(os.path.realpath(folder))}
    return any(names & {name, *name.parents} for home in homes() for name in (home, Path(os.path.realpath(home))))


def _behind(folder: Path) -> list[Path]:
    found = environment(folder.parent)
    if folder.parts[:2] == ("/", "opt") and len(folder.parts) > 2:
        found.append(Path(*folder.parts[:3]))
    for home in homes():
        if home in folder.parents:
            below = folder.relative_to(home).as_posix()
            found += [home / name for name in MANAGERS if f"{below}/".startswith(f"{name}/")]
            found += [home / other for other in BESIDE.get(below, ())]
    return found
