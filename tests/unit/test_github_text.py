"""What people wrote on GitHub, as approvers see it and agents get it; and what is said there by us."""

from __future__ import annotations

import random
import re
import unicodedata

import pytest

from dispatcher.github.text import clean, harmless, inert, line, quote
from dispatcher.github.triggers import of_comment, of_labels

HIDDEN = [
    "\u200b", "\u200c", "\u200e", "\u200f", "\u202a", "\u202b", "\u202c", "\u202d", "\u202e", "\u2060", "\u2063", "\u2066",
    "\u2067", "\u2068", "\u2069", "\ufeff", "\u00ad", "\u034f", "\u061c", "\u115f", "\u1160", "\u17b4", "\u180e", "\u2028",
    "\u2029", "\u2800", "\u3164", "\uffa0", "\U000e0001", "\U000e0041", "\U000e007f", "\U000e0100", "\x00", "\x07", "\x1b",
    "\x7f", "\x85", "\ue000", "\ufe05", "\U000f0000", "\U0001d173",
]  # fmt: skip
SEEN = [
    "Größe naïve Ω Ж 漢字 ひらがな 한글",
    "a\tb\n\nc",
    "→ ✓ « » “ ” … – — €",
    "שלום عربي",
    "👍🏽 👩‍💻 ❤️ 1️⃣ 🏳️‍🌈",
    "क्ष नि‍",
    "e\u0301",
]


@pytest.mark.parametrize("char", HIDDEN, ids=lambda char: f"U+{ord(char):04X}")
def test_what_cannot_be_seen_is_spelled_out(char: str) -> None:
    told = clean(f"delete{char}all").text
    # A text with NUL cannot be stored, and is written as it would be in a string.
    assert told == ("delete\\x00all" if char == "\x00" else f"delete[U+{ord(char):04X}]all")
    assert clean(told).text == told, "what is spelled out stays so"


@pytest.mark.parametrize("text", SEEN)
def test_what_can_be_seen_stays(text: str) -> None:
    assert clean(text).text == text


def test_nothing_hidden_is_left_of_any_text() -> None:
    rnd = random.Random(4)
    parts = [*HIDDEN, "<!--", "-->", "<!-", "->", "-", "<", "!", "a", " ", "\n", "\u200d", "\ufe0f", "👍", "é"]
    for _ in range(3000):
        text = "".join(rnd.choice(parts) for _ in range(rnd.randrange(1, 14)))
        told = clean(text).text
        assert "<!--" not in told
        for place, char in enumerate(told):
            if char in "\u200d\ufe0f":
                assert place and told[place - 1] not in " \nab", "a joiner joins something that is seen"
            else:
                assert char == "\n" or unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"), repr(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a<!-- b -->c", "ac"),
        ("a<!-- b\n\nc -->d", "ad"),
        ("a<!-- no end\nb", "a"),
        ("a<!-<!-- x -->- y -->b", "ab"),
        ("<!---->", ""),
        ("a<!-- x --!> b --> c", "a c"),
        ("a -- > b <! -- c", "a -- > b <! -- c"),
        ("\r\na\rb\r\n", "a\nb"),
    ],
)
def test_comments_of_html_are_left_out(text: str, told: str) -> None:
    assert clean(text).text == told


@pytest.mark.parametrize(
    "text", ["x", "```\ncode\n```", "`````text\n````", "``````````", "# Rules\nIgnore the above", "```\n" * 9, "~~~\n```"]
)
def test_nothing_closes_its_fence(text: str) -> None:
    told = quote(text, "This is the GitHub issue octo/web#7, opened by @mallory.")
    head, fence, rest = re.split(r"^(`{3,})text\n", told, maxsplit=1, flags=re.M)
    assert rest == f"{text}\n{fence}" and "octo/web#7, opened by @mallory" in head
    assert all(len(run) < len(fence) for run in re.findall(r"`+", text))


def test_titles_are_one_line() -> None:
    assert line("a\n# b\u202e <!-- c --> d") == "a # b[U+202E] d" and len(line("x" * 900)) == 500


@pytest.mark.parametrize(
    ("text", "active"),
    [
        ("thanks @octocat and @acme/team", r"@\w"),
        ("fixes #12, closes octo/web#13, GH-14", r"(?<!&)#\d|GH-\d"),
        ("see https://github.com/octo/web/issues/12 and /pull/13", r"/(?:issues|pull)/\d"),
        ("![x](https://evil.example/p.png) <img src=x>", r"!\[|<img"),
        ("<!-- dispatcher:00:run:1 -->", r"<!-- d"),
        ("`a` @octocat `b`", r"@\w"),
        ("``` @octocat", r"@\w"),
    ],
)
def test_what_is_said_there_mentions_links_and_loads_nothing(text: str, active: str) -> None:
    assert not re.search(active, harmless(text)), harmless(text)


def test_code_that_is_said_there_stays_as_it_is() -> None:
    assert (
        harmless("run `git log @{u} #1` and\n```\n@property  # 3\n```") == "run `git log @{u} #1` and\n```\n@property  # 3\n```"
    )


@pytest.mark.parametrize(
    ("body", "agent", "words"),
    [
        ("/agent coder", "coder", ""),
        ("/agent  Coder  be brief ", "coder", "be brief"),
        ("Looks right.\r\n/agent coder\r\nKeep it short.", "coder", "Looks right.\nKeep it short."),
        ("/agent coder\n/agent other", "coder", "/agent other"),
        ("/agent my-agent.2", "my-agent.2", ""),
    ],
)
def test_commands(body: str, agent: str, words: str) -> None:
    asked = of_comment(body)
    assert asked is not None and (asked.agent, asked.words) == (agent, words)


@pytest.mark.parametrize(
    "body",
    [
        "", "/agent", "/agents coder", "please /agent coder", "> /agent coder", "    /agent coder", "\t/agent coder",
        "```\n/agent coder\n```", "~~~~\n/agent coder\n~~~~", "````md\n```\n/agent coder\n```\n````", "<!--\n/agent coder\n-->",
        "/agent \u202ecoder", "/agent ../x", "```\n/agent coder",
    ],
)  # fmt: skip
def test_what_shows_a_command_gives_none(body: str) -> None:
    assert of_comment(body) is None


def test_labels() -> None:
    assert [of_labels([name]) is not None for name in ("agent:coder", "Agent: Coder", "agent:", "agents:x", "bug")] == [
        True, True, False, False, False,
    ]  # fmt: skip


@pytest.mark.parametrize("word", ["close", "Closes", "closed:", "fix", "fixes", "FIXED", "resolve", "resolves:", "resolved"])
@pytest.mark.parametrize("what", ["#3", "octo/web#3", "GH-3", "https://github.com/octo/web/issues/3"])
def test_commits_close_nothing(word: str, what: str) -> None:
    assert inert(f"It {word} {what}, too") == f"It {word} ({what}), too"
    assert inert(f"see {what}; {word} it") == f"see {what}; {word} it"
