"""Markdown of others is inert: what comes out holds a fixed set of tags and attributes, and nothing of the text is hidden."""

from __future__ import annotations

import random
import re
import time
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.webbing import open_web
from web.markdown import LIMIT, TAGS, markdown

pytestmark = pytest.mark.guarantee("no script from transcripts, diffs or markdown")

KEYS = frozenset({"WEB", "API2"})
ALLOWED = {
    "a": {
        "href": re.compile(r"(https?://|mailto:|HTTPS?://).+|/tickets/[A-Z0-9]+-\d+"),
        "rel": "noopener noreferrer nofollow ugc",
    },
    "ol": {"start": re.compile(r"\d+"), "dir": "auto"},
    "ul": {"dir": "auto"},
    "blockquote": {"dir": "auto"},
    "code": {"class": re.compile(r"language-[\w+#.-]{1,30}")},
    "li": {"class": "task-item"},
    "span": {"class": re.compile("task( task-done)?"), "role": "img", "aria-label": re.compile("done|to do")},
    "div": {"class": "md-table", "role": "group", "tabindex": "0", "aria-label": "Table"},
    "th": {"class": re.compile("align-(center|right)")},
    "td": {"class": re.compile("align-(center|right)")},
    "p": {"class": "md-note"},
}
HOSTILE = [
    "<script>alert(1)</script>",
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "<SCRIPT SRC=//evil.example/x.js></SCRIPT>",
    "<img src=x onerror=alert(1)>",
    '<img src="x" onerror="alert(1)" style="x:expression(1)">',
    "<svg/onload=alert(1)>",
    "<svg><style><img src=x onerror=alert(1)></style></svg>",
    '<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=alert(1)&gt;">',
    '<noscript><p title="</noscript><img src=x onerror=alert(1)>">',
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    '<a href="javascript:alert(1)">x</a>',
    "<form action=//evil.example><button>x</button></form>",
    "<base href=//evil.example>",
    "<meta http-equiv=refresh content='0;url=//evil.example'>",
    "<link rel=stylesheet href=//evil.example/x.css>",
    "<div hx-get=/api/v1/status hx-trigger=load hx-on:click=alert(1)>x</div>",
    "<div data-hx-get=/x data-module=evil data-refresh=/x id=main name=body class=toast>x</div>",
    "<b hx-get='/tickets/WEB-1/cancel' hx-trigger='load'>",
    "<hx-partial hx-target=#main>taken</hx-partial>",
    "<input name=getElementById><form id=attributes>",
    "<!-- hidden instruction -->",
    "<!--[if IE]><script>alert(1)</script><![endif]-->",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<?php echo 1 ?>",
    "<template><script>alert(1)</script></template>",
    "<x onclick=alert(1)>x",
    "<plaintext>",
    "</div></article></main><script>alert(1)</script>",
    "[a](javascript:alert(1))",
    "[a](JaVaScRiPt:alert(1))",
    "[a]( javascript:alert(1))",
    "[a](<javascript:alert(1)>)",
    "[a](java&#10;script:alert(1))",
    "[a](&#106;&#97;vascript:alert(1))",
    "[a](&#x6A;avascript:alert(1))",
    "[a](javascript&colon;alert(1))",
    "[a](javascript&#58;alert(1))",
    "[a](\x01javascript:alert(1))",
    "[a](java\tscript:alert(1))",
    "[a](%6Aavascript:alert(1))",
    "[a](vbscript:x)",
    "[a](data:text/html;base64,PHNjcmlwdD4=)",
    "[a](data:image/png;base64,iVBORw0KGgo=)",
    "[a](file:///etc/passwd)",
    "[a](//evil.example/x)",
    "[a](\\\\evil.example\\x)",
    "[a](/\\evil.example)",
    "[a](https:evil.example)",
    "[a](/tickets/WEB-1/cancel)",
    "[a](#toasts)",
    '[a](http://ok.example "t" onmouseover=alert(1))',
    "[a](http://ok.example '\" onmouseover=alert(1) \"')",
    '[a](http://ok.example/"onmouseover=alert(1)//)',
    "[a][r]\n\n[r]: javascript:alert(1)",
    '[a][r]\n\n[r]: http://ok.example "\\"><script>alert(1)</script>"',
    "[//]: # (hidden instruction)",
    "[![x](javascript:alert(1))](javascript:alert(2))",
    "![x](https://evil.example/pixel.png)",
    "![x](javascript:alert(1))",
    '!["onerror=alert(1)](x)',
    '![x"onerror=alert(1) y](http://ok.example/x.png)',
    "<javascript:alert(1)>",
    "<https://ok.example/%E2%80%AEgpj.exe>",
    "<data:text/html,x>",
    "https://ok.example/<script>alert(1)</script>",
    'https://ok.example/"onmouseover=alert(1)',
    "http://[::1]/ http://\u202eevil.example http://a@b:c/ https://",
    '``` "onload=alert(1)\ncode\n```',
    '```x" onclick="alert(1)\ncode\n```',
    "```js hidden words\ncode\n```",
    "~~~ <script>\n</code></pre><script>alert(1)</script>\n~~~",
    "`</code><script>alert(1)</script>`",
    "# <img src=x onerror=alert(1)> {#main .toast}",
    "| a | <script>alert(1)</script> |\n|:-:|--:|\n| <img src=x> | `|` |",
    "- [x] <script>alert(1)</script>\n- [ ](javascript:alert(1))",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;script&#62; &#x202E;abc &#0; &#xD800; &#27;[31m",
    "\x1b]8;;http://evil.example\x07link\x1b]8;;\x07 \u202egpj.exe \u2066x\u2069 \x00\x9b \ud800",
    "*" * 300 + "[" * 300 + "]" * 300,
    "{{ 7 * 191 }} {% for x in y %}",
    'WEB-1<script> WEB-1"onclick=x #1<b> WEB-1](javascript:x)',
]


class Inert(HTMLParser):
    """Reads HTML and fails for what may not be in it; `text` is what a reader sees."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text = ""
        self.links: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS, tag
        assert not (tag == "a" and "a" in self.open), "a link within a link"
        for name, value in attrs:
            rule = ALLOWED.get(tag, {}).get(name)
            assert rule is not None, (tag, name, value)
            assert (value == rule) if isinstance(rule, str) else rule.fullmatch(value or ""), (tag, name, value)
            if name == "href":
                self.links.append(value or "")
        if tag not in ("br", "hr"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        assert not set(data) & {"\x1b", "\x07", "\x00", "\x9b", "\u202e", "\u2066", "\u2069", "\ud800"}
        self.text += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")

    handle_decl = unknown_decl = handle_pi = handle_comment


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_of_it_acts(text: str) -> None:
    for around in ("{}", "> {}", "- {}", "# {}", "**{}**", "[{}](http://ok.example)", "| a |\n|---|\n| {} |", "x\n\n{}\n\ny"):
        Inert(markdown(around.replace("{}", text), KEYS, "WEB"))


def test_nothing_acts_whatever_is_put_together() -> None:
    chance = random.Random(7)
    parts = [*HOSTILE, *"[]()<>!`*_#|-\n\\&;:\"'", "](", "![", "<!--", "\n\n", "\n    ", "\n- ", "http://", "WEB-1"]
    for _ in range(1500):
        Inert(markdown("".join(chance.choices(parts, k=chance.randint(2, 12))), KEYS, "WEB"))


@pytest.mark.parametrize(
    "text",
    [
        "<!-- hidden words -->",
        "[//]: # (hidden words)",
        "[a]: http://ok.example 'hidden words'",
        "[x]: http://one.example\n[x]: http://two.example (hidden words)",
        "```js hidden words\ncode\n```",
        "[a](http://ok.example 'hidden words')",
        "[a](src/a.py 'hidden words')",
        "![hidden words](http://ok.example/x.png)",
        ">" * 40 + " hidden words",
        "\n".join("  " * depth + "- hidden words" for depth in range(40)),
        "<details><summary>x</summary>hidden words</details>",
        "x" * (LIMIT + 10) + "\nhidden words",
    ],
)
def test_what_the_agent_reads_is_shown_to_people(text: str) -> None:
    assert "hidden words" in Inert(markdown(text)).text


def test_what_steers_a_terminal_or_the_reading_direction_is_written_out() -> None:
    shown = Inert(markdown("a\u202eb `\x1b[31m` &#x202e; <https://ok.example/%E2%80%AE> \ud800")).text
    assert shown.count("\\u202e") == 3 and "\\x1b[31m" in shown and "\\ud800" in shown


def test_an_image_is_a_link_and_nothing_is_fetched() -> None:
    shown = Inert(markdown("![logo](https://pics.example/a.png) [![built](https://ci.example/b.svg)](https://ci.example/)"))
    assert shown.links == ["https://pics.example/a.png", "https://ci.example/"] and shown.text.strip() == "logo built"


@pytest.mark.parametrize(
    "text",
    [
        "[" * LIMIT,
        "![a](" * 10_000,
        "http://a" + ")" * 49_000,
        "*a " * 16_000,
        "a|b\n-|-\n" + "|\n" * 20_000,
        "- " * 25_000,
        "`a" * 25_000,
    ],
)
def test_no_text_takes_long(text: str) -> None:
    began = time.process_time()
    Inert(markdown(text, KEYS, "WEB"))
    assert time.process_time() - began < 5


async def test_the_preview_is_the_same_and_refuses_what_is_too_long(tmp_path: Path, repository: Path) -> None:
    async with open_web(f"sqlite:///{tmp_path / 'dispatcher.db'}", tmp_path / "data") as web:
        await web.furnish(repository)
        shown = await web.client.post("/preview", data={"text": "**WEB-1** and #2 <script>", "project": "WEB"})
        assert shown.status_code == 200
        assert '<strong><a href="/tickets/WEB-1"' in shown.text and 'href="/tickets/WEB-2"' in shown.text
        assert "&lt;script&gt;" in shown.text and "<script" not in shown.text
        empty = await web.client.post("/preview", data={"text": " \n"})
        assert "Nothing to preview" in empty.text
        long = await web.client.post("/preview", data={"text": "x" * 200_001})
        assert long.status_code == 422 and "200,000 is the limit" in long.text
