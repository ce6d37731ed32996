"""How the Python that runs first in a sandbox gets its program: over the channel, compiled already.

So nothing of ours lies in a sandbox, and nothing is searched for, read or compiled there.
"""

from __future__ import annotations

import marshal
from functools import lru_cache
from pathlib import Path

from workers.sandbox import system

FOLDER = Path(__file__).parent / "inside"
PACKAGE = "workers.sandbox.inside"
MODULES = ("probe", "landlock", "enter")
_BOOT = """
import marshal, posix, sys
def take(size):
    data = b""
    while len(data) < size:
        data += posix.read(int(sys.argv[1]), size - len(data)) or sys.exit(1)
    return data
def load(name, code=None):
    sys.modules[name] = module = type(sys)(name)
    module.__path__ = []
    if code:
        exec(code, module.__dict__)
    return module
codes = marshal.loads(take(int.from_bytes(take(4), "big")))
for name in ("workers", "workers.sandbox", "workers.sandbox.inside"):
    load(name)
late = codes.pop("landlock")
if sys.argv[2] == "landlock":
    load("workers.sandbox.inside.landlock", late)
for name, code in codes.items():
    module = load("workers.sandbox.inside." + name, code)
module.main(int(sys.argv[1]))
"""


def argv(channel: int, tier: str) -> list[str]:
    """The command line of that Python, which hears the worker on the descriptor `channel`."""
    python, _ = system.interpreter()
    return [python, "-I", "-S", "-c", _BOOT, str(channel), tier]


@lru_cache
def program() -> bytes:
    """Its modules, in the order in which they are loaded; the same Python reads them that has compiled them."""
    codes = {name: compile((FOLDER / f"{name}.py").read_text("utf-8"), name, "exec") for name in MODULES}
    data = marshal.dumps(codes)
    return len(data).to_bytes(4, "big") + data
