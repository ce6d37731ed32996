"""What a person can do about each kind of blocker, in one line."""

from __future__ import annotations

from dispatcher.states import BlockerKind

_ADVICE: dict[BlockerKind, str] = {
    "question": "answer it: the agent goes on where it stopped",
    "permission": "say how to do without it, or change the agent's instructions; an empty answer tries again",
    "limit": "raise the agent's limit, or answer with a smaller next step",
    "loop": "tell the agent what to do differently",
    "truncated": "raise the endpoint's output length, or ask for smaller steps",
    "empty": "try again, or give the ticket to another model",
    "endpoint_down": "start the model server, check it with `dispatcher endpoint check`, then try again",
    "endpoint_auth": "set the variable that the endpoint's key is read from and restart the worker, then try again",
    "endpoint_error": "read the server's own message, mend it there, then try again",
    "rate_limited": "wait, or lower the endpoint's slots, then try again",
    "context_overflow": "raise the endpoint's context length if the model allows it, or split the ticket",
    "stopped": "answer with what to do next, or an empty answer to go on",
    "crashed": "read the run's log; try again",
    "misconfigured": "mend what the message names, then try again",
    "no_changes": "say what is missing; or cancel the ticket if nothing was to be done",
    "check_failed": "answer to send the agent back with the output; or accept the branch as it is",
    "conflict": "answer to let the agent finish the merge in its workspace; or merge by hand",
    "setup_failed": "mend the set-up command or the repository, then try again",
    "harness_missing": "install it on the worker's machine: `dispatcher harness install NAME`, then try again",
    "sandbox": "mend what `dispatcher doctor` names, or choose another sandbox: `dispatcher project edit`, then try again",
    "timed_out": "raise the agent's time, or answer with a smaller next step",
    "stalled": "look at the last item; answer to go on, or stop what hangs",
}


def advice(kind: BlockerKind, key: str) -> str:
    """What a person can do about it, with the command to say it."""
    return f"{_ADVICE[kind]} (dispatcher ticket answer {key} TEXT)"
