"""Markdown as a page shows it: what becomes what."""

from __future__ import annotations

import pytest

from web.markdown import line, markdown

KEYS = frozenset({"WEB", "A2"})
REL = 'rel="noopener noreferrer nofollow ugc"'


def html(text: str) -> str:
    return str(markdown(text, KEYS, "WEB")).replace(f" {REL}", "").replace("\n", "")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("*a* **b** ~~c~~ `d`", "<p><em>a</em> <strong>b</strong> <s>c</s> <code>d</code></p>"),
        ("one\ntwo", "<p>one<br>two</p>"),
        ("```py\nx < 1\n```", '<pre><code class="language-py">x &lt; 1</code></pre>'),
        ("> said", '<blockquote dir="auto"><p>said</p></blockquote>'),
        ("3. a\n4. b", '<ol start="3" dir="auto"><li>a</li><li>b</li></ol>'),
        (
            "- [ ] a\n- [X] b",
            '<ul dir="auto"><li class="task-item"><span class="task" role="img" aria-label="to do"></span> a</li>'
            '<li class="task-item"><span class="task task-done" role="img" aria-label="done"></span> b</li></ul>',
        ),
        ("- [x](http://a.example)", '<ul dir="auto"><li><a href="http://a.example">x</a></li></ul>'),
        ("---", "<hr>"),
        ("[f](src/a.py) [src/b.py](src/b.py)", "<p>f (<code>src/a.py</code>) src/b.py</p>"),
        ("[a]()", "<p>a</p>"),
        ("<me@a.example>", '<p><a href="mailto:me@a.example">me@a.example</a></p>'),
        ("[r]\n\n[r]: http://r.example", '<p><a href="http://r.example">r</a></p><p class="md-note">[R]: http://r.example</p>'),
    ],
)
def test_the_usual_marks(text: str, shown: str) -> None:
    assert html(text) == shown


@pytest.mark.parametrize(
    ("text", "levels"),
    [
        ("# a\n## b\n# c", "343"),
        ("#### a\n##### b", "34"),
        ("## a\n# b\n### c", "334"),
        ("# a\n###### b\n## c", "344"),
        ("a\n===", "3"),
    ],
)
def test_headings_follow_those_of_the_page_and_skip_no_level(text: str, levels: str) -> None:
    assert [part[0] for part in html(text).split("<h")[1:]] == list(levels)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("see https://a.example/x.", "https://a.example/x"),
        ("(https://a.example/x)", "https://a.example/x"),
        ("https://a.example/x_(y)!", "https://a.example/x_(y)"),
        ("'https://a.example/?q=1&r=2',", "https://a.example/?q=1&amp;r=2"),
        ("WEB-12.", "/tickets/WEB-12"),
        ("**A2-3**:", "/tickets/A2-3"),
        ("see #7, please", "/tickets/WEB-7"),
    ],
)
def test_addresses_keys_and_numbers_become_links(text: str, address: str) -> None:
    assert html(text).count("<a ") == 1 and f'<a href="{address}"' in html(text)


@pytest.mark.parametrize(
    "text",
    [
        "UTF-8",
        "XWEB-1",
        "WEB-0",
        "WEB-1x",
        "WEB-1.py",
        "agent/WEB-1",
        "`WEB-1`",
        "```\nWEB-1 #2\n```",
        "web-1",
        "a#1",
        "##1",
        "&#1;",
        "#0",
        "#1a",
    ],
)
def test_what_only_looks_like_one_does_not(text: str) -> None:
    assert "<a " not in html(text)


def test_there_is_no_link_within_a_link_and_none_to_a_project_that_is_not() -> None:
    assert html("[WEB-1 and https://b.example](http://a.example)").count("<a ") == 1
    assert "<a " not in markdown("WEB-1 and #1")
    assert html("[WEB-1](src/x.py)") == "<p>WEB-1 (<code>src/x.py</code>)</p>"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("The check `make test` failed", "The check <code>make test</code> failed"),
        ("``a ` b`` and `cut off", "<code>a ` b</code> and `cut off"),
        ("# a\n* **b** __init__.py [c](d) &amp; <b>", "# a\n* **b** __init__.py [c](d) &amp;amp; &lt;b&gt;"),
        ("`<img src=x onerror=alert(1)>` \\` \u202e", "<code>&lt;img src=x onerror=alert(1)&gt;</code> \\` \\u202e"),
        ("", ""),
    ],
)
def test_in_a_line_only_code_is_set_off(text: str, shown: str) -> None:
    assert str(line(text)) == shown
