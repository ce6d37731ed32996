"""Why a sandbox cannot be had on this machine, and what to do about it."""

from __future__ import annotations

from pathlib import Path

from workers.sandbox.box import STRICT

INSTALL = (
    "install bubblewrap (Debian, Ubuntu: apt install bubblewrap; Fedora: dnf install bubblewrap; Arch: pacman -S bubblewrap)"
)
APPARMOR = (
    "allow them to bubblewrap: echo 'abi <abi/4.0>, include <tunables/global> profile bwrap /usr/bin/bwrap flags=(unconfined)"
    " { userns, }' | sudo tee /etc/apparmor.d/bwrap && sudo apparmor_parser -r /etc/apparmor.d/bwrap"
)
CONTAINER = (
    "start the container with: --security-opt seccomp=unconfined --security-opt apparmor=unconfined"
    " --security-opt systempaths=unconfined"
)
NAMESPACES = ("namespace", "uid map", "loopback", "RTM_NEWADDR", "mount proc", "Operation not permitted", "Permission denied")
"""What bubblewrap's words hold where the machine does not let it make namespaces."""


class Refused(Exception):
    """The sandbox cannot be had. `fix` says what to do about it."""

    def __init__(self, reason: str, fix: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.fix = fix


def missing() -> Refused:
    """There is no bubblewrap."""
    return Refused("the strict sandbox needs bubblewrap, which is not installed here", INSTALL)


def refusal(tier: str, said: str, printed: str) -> Refused:
    """What the talk with the sandbox and its stderr tell."""
    words = [line.strip() for line in printed.splitlines() if line.strip()]
    told = said or (words[-1] if words else "it ended without a word")
    if tier != STRICT:
        return Refused(
            f"the {tier} sandbox does not work here: {told}", "use a kernel from 5.13 on with Landlock, or another sandbox"
        )
    if said and not said.startswith("it did not answer"):
        return Refused(f"the command could not be started in the sandbox: {said}", "mend what the message names")
    if any(word in told for word in NAMESPACES):
        return Refused(f"this machine does not let bubblewrap make its namespaces: {told}", _permit())
    return Refused(f"the strict sandbox does not work here: {told}", "see: dispatcher doctor")


def _permit() -> str:
    """What this machine needs to let namespaces be made."""
    if _value("kernel/apparmor_restrict_unprivileged_userns") == "1":
        return APPARMOR
    if _value("kernel/unprivileged_userns_clone") == "0":
        return (
            "allow user namespaces: sudo sysctl -w kernel.unprivileged_userns_clone=1 (and a file in /etc/sysctl.d to keep it)"
        )
    if _value("user/max_user_namespaces") == "0":
        return "allow user namespaces: sudo sysctl -w user.max_user_namespaces=15000 (and a file in /etc/sysctl.d to keep it)"
    if Path("/.dockerenv").exists() or Path("/run/.containerenv").exists():
        return CONTAINER
    return "allow user namespaces on this machine, or choose another sandbox for the project"


def _value(name: str) -> str:
    try:
        return (Path("/proc/sys") / name).read_text().strip()
    except OSError:
        return ""
