"""Named crash points: where a process may die between two of its steps, so that tests can make it die just there.

Each stands right after a transaction, or after an effect outside of it (git, a process, GitHub, Redis) of which nothing is
written down yet. `DISPATCHER_CRASH_AT=NAME` lets a process kill itself with SIGKILL when it comes by; `NAME:STOP` freezes it
there with SIGSTOP instead, `NAME:KILL:3` waits for the third time. Without the variable a point is one comparison.
`tests/chaos` tries all of them.
"""

from __future__ import annotations

import os
import signal
import threading

VARIABLE = "DISPATCHER_CRASH_AT"

POINTS = {
    "run.claimed": "the run is this worker's; nothing was done yet",
    "run.worktree_begun": "git has made branch and worktree; no file is in it, and the database does not know of them",
    "run.worktree_made": "the worktree has its files; the database does not know of it",
    "run.workspace_written": "the workspace is made and written down",
    "run.set_up": "the set-up command has passed; that is not written down",
    "run.sandbox_stands": "the sandbox is made and tried; nothing runs in it",
    "run.harness_started": "the harness runs; the run does not say so",
    "run.launched": "the run says that the harness runs",
    "run.items_written": "some items of its session are written",
    "run.harness_ended": "the harness has ended; that is not written down",
    "run.finishing": "how it ended is written down; the rest may be done by any worker",
    "run.session_read": "the session was read back from the harness's own store",
    "run.commits_taken": "the agent's own commits were taken over",
    "run.commit_made": "the snapshot is a commit; the branch does not hold it",
    "run.branch_moved": "the branch holds the snapshot; the index is the old one",
    "run.snapshot_written": "the snapshot is written down",
    "run.checked": "the checks were run; their result is not written down",
    "run.ended": "the run has ended, and its ticket was moved",
    "takeover.seized": "a dead worker's run was seized; its processes were not looked for",
    "takeover.reaped": "nothing of the dead worker's run lives; no new run is queued",
    "conflict.announced": "which merge the agent is to finish is written down; the worktree does not hold it",
    "conflict.half_laid": "files of that merge lie in the worktree; git does not know of the merge",
    "review.head_kept": "the reviewed head is kept from git's garbage collection; the verdict is not written",
    "review.merge_made": "the merge is a commit; no branch holds it",
    "review.landed": "the target holds the merge; the ticket is still in review",
    "review.recorded": "the ticket is done; worktree and branch are still there",
    "worktree.half_removed": "the worktree's folder is gone; git and the branch still know of it",
    "discard.cancelled": "the ticket is cancelled; worktree and branch are still there",
    "discard.removed": "worktree and branch are gone; the database still knows of them",
    "doorbell.silent": "a run is queued; nobody was rung for it",
    "doorbell.rung": "a run is queued, and was rung for",
    "webhook.stored": "the delivery is written down; it was not answered",
    "webhook.handled": "what the delivery asked for is done; the delivery still waits",
    "webhook.settled": "the delivery is done with",
    "webhook.merged": "the merge of the pull request is written down; target and worktree here are as they were",
    "outbox.filled": "what is owed to GitHub is written down",
    "outbox.posted": "the comment stands on GitHub; its number is not known here",
    "outbox.known": "the comment's number is known; the letter still is to be sent",
    "outbox.sent": "the letter is sent",
    "outbox.pushed": "the branch is on GitHub; there is no pull request",
    "outbox.pull_opened": "the pull request is open; its number is not known here",
}
"""Every point by its name, with what is so when a process dies there."""

_armed = os.environ.get(VARIABLE)
_lock = threading.Lock()
_passed = 0


def point(name: str) -> None:
    """A named step; nothing happens, unless this process was started to end at it."""
    if _armed is not None:
        _reach(name, *_armed.split(":"))


def _reach(name: str, wanted: str, how: str = "KILL", times: str = "1") -> None:
    global _passed  # noqa: PLW0603  # one count a process, as the variable is one
    if name != wanted:
        return
    with _lock:
        _passed += 1
        if _passed != int(times):
            return
    os.kill(os.getpid(), signal.Signals[f"SIG{how}"])
