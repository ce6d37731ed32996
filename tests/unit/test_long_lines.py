"""Long lines of a diff are cut around what differs."""

from __future__ import annotations

import pytest

from web.diffs import sections
from web.long_lines import AROUND, LONGEST_LINE, shortened

BODY = "abc def " * 1000


def cut(old: str, new: str) -> tuple[str, str]:
    found = shortened([("hunk", "@@"), ("del", old), ("add", new)])
    return found[1], found[2]


def test_a_change_far_along_a_line_is_shown() -> None:
    old, new = cut(BODY + "deny" + BODY, BODY + "allow" + BODY)
    assert "deny" in old and "allow" in new
    assert old.startswith("abc def ") and f" … {len(BODY) - 2 * AROUND:,} characters … " in old
    # What is left out is alike on both sides.
    assert len(old) < LONGEST_LINE + 2 * AROUND and "differ too" not in old + new


def test_what_is_left_out_and_differs_is_told() -> None:
    old, new = cut("a" + BODY + "x", "b" + BODY + "y")
    assert old.endswith(" more characters, which differ too") and new.endswith(" more characters, which differ too")


@pytest.mark.parametrize("places", [(0,), (1990,), (2010,), (7999,), (5, 7990)])
def test_the_first_difference_is_always_in_sight(places: tuple[int, ...]) -> None:
    old = list(BODY)
    for place in places:
        old[place] = "#"
    removed, added = cut("".join(old), BODY)
    assert "#" in removed and removed != added


def test_long_lines_are_paired_with_long_ones_and_others_begin_at_their_beginning() -> None:
    found = shortened([("del", BODY + "1"), ("add", "short"), ("add", BODY + "2"), ("same", BODY), ("add", BODY + "3")])
    assert set(found) == {0, 2, 3, 4} and found[0].endswith("1") and found[2].endswith("2")
    assert found[3].endswith(f" … {len(BODY) - LONGEST_LINE:,} more characters") and "3" not in found[4][:LONGEST_LINE]


def test_a_diff_says_which_lines_are_cut() -> None:
    (section,) = sections(f"diff --git a/a b/a\n@@ -1 +1 @@\n-{BODY}1\n+{BODY}2\n")
    assert [(line.kind, line.cut) for line in section.lines] == [("hunk", False), ("del", True), ("add", True)]
    assert section.lines[1].text != section.lines[2].text
