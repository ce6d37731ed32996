"""Accessibility of a page as axe-core sees it: WCAG 2.0 to 2.2, A and AA, and best practices; in both colour schemes."""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

from playwright.async_api import Page

from web.assets import LIBRARIES

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa", "best-practice"]
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")

_RUN = """async ({ tags, within, disabled }) => {
  for (const one of document.getAnimations()) { try { one.finish(); } catch { one.cancel(); } }
  const rules = Object.fromEntries(disabled.map((rule) => [rule, { enabled: false }]));
  const found = await axe.run(within || document, { runOnly: tags, rules, resultTypes: ["violations"] });
  return found.violations.flatMap((rule) => rule.nodes.map((node) => ({
    rule: rule.id, help: rule.help, element: node.target.flat().join(" "), html: node.html, why: node.failureSummary,
  })));
}"""


@cache
def _source() -> str:
    return (LIBRARIES / "axe-core" / "axe.min.js").read_text(encoding="utf-8")


async def scan(page: Page, within: str | None = None, *, without: tuple[str, ...] = ()) -> None:
    """Fail with every rule that the page, or what the selector `within` names, breaks; rules in `without` are not asked.

    The source is evaluated by the debugger, which the page's content policy does not bind.
    """
    wrong: list[str] = []
    for scheme in SCHEMES:
        await page.emulate_media(color_scheme=scheme)
        if not await page.evaluate("typeof axe === 'object'"):
            await page.evaluate(f"{_source()}; undefined")
        found = await page.evaluate(_RUN, {"tags": TAGS, "within": within, "disabled": list(without)})
        wrong += [_told(scheme, one) for one in found]
    await page.emulate_media(color_scheme="null")
    assert not wrong, "\n".join(wrong)


def _told(scheme: str, one: dict[str, Any]) -> str:
    why = " ".join(one["why"].split())
    return f"{scheme}: {one['rule']} ({one['help']}) at {one['element']}: {one['html'][:200]}\n    {why[:400]}"
