"""The used-by stories, by command line, with the three real harnesses: `dispatcher up`, a scripted model, and all between.

The steps of the scripted model are rendered into the harness's own dialect. OpenCode is asked and answered, and sent back,
by way of GitHub (test_github_story) and of the browser (tests/browser/test_stories), so not once more here. What each harness
does by itself when it is stopped, resumed or refused is in tests/contract.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dispatcher.demo.scripted import Repeat, Run, Say, Stall
from tests.story import CHECK, CODE, DOCSTRING, FIX, NAMES, Site, standing

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, harness_binary: Callable[[str], Path]) -> Iterator[Site]:
    for name in NAMES:
        harness_binary(name)
    with standing(
        tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("repo") / "Größe und Maß", lease_seconds="3"
    ) as site:
        site.furnish(*NAMES)
        yield site


@pytest.mark.guarantee("an endpoint that restarts does not fail a run")
@pytest.mark.parametrize("harness", NAMES)
def test_fix_a_failing_test_approve_and_merge_though_the_endpoint_was_down(site: Site, harness: str) -> None:
    site.play(Run(CHECK), FIX, Run(CHECK), Say("I fixed `add`: it subtracted."))
    used = site.endpoint.usage
    site.endpoint.stop()
    try:
        site.cli("ticket", "new", "Fix add in calc.py", "--project", "CALC", "--body", "The test fails.", "--assign", harness)
        key = site.newest()
        site.until(lambda: "does not answer" in site.ticket(key)["runs"][0]["doing"])
    finally:
        site.endpoint.start()
    site.until(lambda: site.ticket(key)["state"] in ("review", "blocked"))
    ticket = site.ticket(key)
    assert ticket["state"] == "review", ticket["blocker"]
    assert "+    return a + b" in site.cli("diff", key)
    [run] = ticket["runs"]
    prompt_tokens, completion_tokens = (now - before for now, before in zip(site.endpoint.usage, used, strict=True))
    assert (run["state"], run["harness"], run["exit_code"]) == ("succeeded", harness, 0)
    assert (run["prompt_tokens"], run["completion_tokens"]) == (prompt_tokens, completion_tokens) and run["requests"] >= 1
    session = site.json("session", "show", str(run["id"]))
    kinds = {item["kind"] for item in session["items"]}
    assert {"user", "assistant", "tool_call"} <= kinds and session["outcome"]["kind"] == "done"
    site.cli("approve", key)
    assert site.ticket(key)["state"] == "done"
    assert "return a + b" in site.git("show", "main:calc.py") and (site.repository / "calc.py").read_text() != CODE


@pytest.mark.parametrize("harness", ["aider", "goose"])
def test_a_question_is_asked_and_answered(site: Site, harness: str) -> None:
    site.play(Say("Before I change anything: should `add` take floats too?"))
    key = site.new(harness, code=3)
    blocker = site.ticket(key)["blocker"]
    assert blocker["kind"] == "question" and "floats" in blocker["text"]
    site.play(FIX, Say("Done, with floats."))
    site.cli("ticket", "answer", key, "Yes, floats as well.", "--wait")
    told = site.endpoint.completions[-1].text()
    assert site.ticket(key)["state"] == "review" and "Yes, floats as well." in told
    assert "should `add` take floats too?" in told
    site.cli("discard", key, "--yes")


@pytest.mark.guarantee("a lost run continues, it does not start over")
def test_killed_in_the_midst_it_goes_on_in_the_same_session_and_workspace(site: Site) -> None:
    site.play(Run("echo half > half.txt"), Stall(60), Say("too late"))
    site.cli("ticket", "new", "Fix add in calc.py", "--project", "CALC", "--assign", "opencode")
    key = site.newest()
    # The second question to the model holds the first one's result, so the session has it; it is being answered.
    site.until(lambda: len(site.endpoint.left) == 1)
    site.play(FIX, Say("Done in the second go."))
    [worker] = [one for one in site.ask("/workers") if one["runs"]]
    os.kill(worker["pid"], signal.SIGKILL)
    site.until(lambda: site.ticket(key)["state"] in ("review", "blocked"))
    assert site.ticket(key)["state"] == "review", site.ticket(key)["blocker"]
    assert sorted(run["state"] for run in site.ticket(key)["runs"]) == ["lost", "succeeded"]
    before, _, after = site.endpoint.completions[-1].text().partition("Your last run did not finish.")
    assert f"Ticket {key}" in before and after, "the model is told all that was said before, in one conversation"
    assert "half.txt" in site.git("ls-tree", "--name-only", f"agent/{key}"), "the workspace is the same"
    site.cli("discard", key, "--yes")


@pytest.mark.parametrize("harness", ["opencode", "goose"])
def test_a_run_stopped_midway_goes_on_where_it_was(site: Site, harness: str) -> None:
    site.play(Run("echo begun; sleep 20"), Say("too late"))
    site.cli("ticket", "new", "Fix add in calc.py", "--project", "CALC", "--assign", harness)
    key = site.newest()
    site.until(lambda: "echo begun" in site.ticket(key)["runs"][0]["doing"])
    began = time.monotonic()
    site.cli("run", "stop", str(site.ticket(key)["runs"][0]["id"]))
    site.until(lambda: site.ticket(key)["state"] == "blocked")
    assert time.monotonic() - began < 20 and site.ticket(key)["blocker"]["kind"] == "stopped"
    site.play(FIX, Say("Done in the second go."))
    site.cli("ticket", "answer", key, "Go on.", "--wait")
    runs = site.ticket(key)["runs"]
    assert site.ticket(key)["state"] == "review" and [run["state"] for run in runs] == ["succeeded", "cancelled"]
    assert "Go on." in site.endpoint.completions[-1].text()
    site.cli("discard", key, "--yes")


@pytest.mark.parametrize("harness", ["aider", "goose"])
def test_changes_are_requested_and_made(site: Site, harness: str) -> None:
    site.play(FIX, Say("Fixed."))
    key = site.new(harness)
    site.play(DOCSTRING, Say("Added the docstring."))
    site.cli("changes", key, "-m", "Nearly.", "--comment", "calc.py:1:Add a docstring here.", "--wait")
    told = site.endpoint.completions[-1].text()
    assert "Add a docstring here." in told and "calc.py:1" in told
    diff = site.cli("diff", key)
    assert '+    """The sum."""' in diff and "+    return a + b" in diff
    assert len(site.ticket(key)["runs"]) == 2
    site.cli("approve", key, "--method", "squash")
    assert site.git("log", "-1", "--format=%P", "main").count(" ") == 0 and "The sum" in site.git("show", "main:calc.py")


def test_a_model_that_goes_in_circles_is_ended(site: Site) -> None:
    site.play(Repeat(Run("ls")))
    key = site.new("goose", code=3)
    blocker = site.ticket(key)["blocker"]
    assert blocker["kind"] == "loop" and "ls" in blocker["text"]
    assert site.ticket(key)["runs"][0]["state"] == "failed"
    site.cli("discard", key, "--yes")


def test_a_limit_of_turns_and_of_tokens_ends_a_run(site: Site) -> None:
    for name, option, told in (("brief", "--max-turns", "turns"), ("poor", "--max-tokens", "tokens")):
        site.cli("agent", "add", name, "--harness", "goose", "--endpoint", "local", option, "3")
        site.play(*(Run(f"echo {number}; sleep 0.3") for number in range(20)), Say("Done."))
        key = site.new(name, code=3)
        blocker = site.ticket(key)["blocker"]
        assert blocker["kind"] == "limit" and told in blocker["text"], blocker
        site.cli("discard", key, "--yes")
