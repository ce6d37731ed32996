"""Where the system draws the colours, and where texts are read from the right: what is chosen, focused and changed is seen."""

from __future__ import annotations

from pathlib import Path

from playwright.async_api import Page, expect

from tests.browser.test_review import opened, simple
from tests.browser.test_review_lines import number
from tests.browser.test_transcript import call, note
from tests.transcribing import tell
from tests.webbing import Web

UNSEEN = """() => {
  const framed = (style) => style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
  const wrong = [];
  const chosen = "[aria-current]:not([aria-current=false]), [aria-pressed=true], [aria-selected=true]";
  for (const one of document.querySelectorAll(chosen)) {
    if (one.checkVisibility() && !framed(getComputedStyle(one))) wrong.push(`chosen: ${one.outerHTML.slice(0, 120)}`);
  }
  const focusable = "a[href], button, input, select, textarea, summary, [tabindex]:not(main, section)";
  const all = [...document.querySelectorAll(focusable)];
  for (const one of all.filter((one) => one.checkVisibility({ visibilityProperty: true }) && !one.disabled).slice(0, 80)) {
    one.focus({ preventScroll: true, focusVisible: true });
    if (document.activeElement !== one) continue;
    const parts = [one, one.parentElement, ...one.querySelectorAll("*")];
    if (!parts.some((part) => framed(getComputedStyle(part)))) wrong.push(`focus: ${one.outerHTML.slice(0, 120)}`);
  }
  return wrong;
}"""


def ground(selector: str, pseudo: str = "") -> str:
    return f"() => getComputedStyle(document.querySelector({selector!r}), {pseudo!r} || null).backgroundColor"


async def test_forced_colours_show_what_is_chosen_focused_and_changed(web: Web, page: Page, repository: Path) -> None:
    await page.emulate_media(forced_colors="active")
    key = await simple(web, repository)
    await opened(page, key)
    await expect(page.locator("tr.add mark").first).to_be_attached()
    canvas = await page.evaluate(ground("tr.add td.code"))
    assert await page.evaluate(ground("tr.add mark")) != canvas
    await number(page, 8).click()
    assert await page.evaluate(ground("tr.chosen > .no")) != canvas
    await page.get_by_role("button", name="Cancel").click()
    await page.keyboard.press("n")
    line = page.locator("tr.ln:focus")
    await expect(line).to_have_count(1)
    assert await line.evaluate("one => getComputedStyle(one).outlineStyle") == "solid"
    assert await page.locator("progress").first.evaluate("one => getComputedStyle(one).borderTopWidth") == "1px"
    wrong = {f"changes: {one}" for one in await page.evaluate(UNSEEN)}
    other = await web.ticket("Another", agent="coder")
    run = web.work(other, repository, result=None)
    tell(web.database, run, [call(4, "failed", exit_code=2), note(5)])
    for path in (f"/tickets/{other}/transcript", f"/?open={key}", "/inbox", "/fleet"):
        await page.goto(path)
        await expect(page.locator("#pane h1" if "open=" in path else "h1, h2").first).to_be_attached()
        if "transcript" in path:
            assert await page.evaluate(ground(".item.failed", "::before")) != canvas
        wrong |= {f"{path}: {one}" for one in await page.evaluate(UNSEEN)}
    assert not wrong, "\n".join(sorted(wrong))


HEBREW = "תיקון המנתח: השורה האחרונה (parser.py)"
BODY = f"{HEBREW}\n\n- אחת\n- שתיים\n\n> ציטוט\n\n1. One\n2. Two\n"


async def test_texts_that_are_read_from_the_right(web: Web, page: Page, repository: Path) -> None:
    key = await web.ticket(HEBREW, agent="coder", body=BODY)
    run = web.work(key, repository, items=[note(0, BODY), call(1, "completed", title=HEBREW, output=f"{HEBREW}\n")])
    await web.send("POST", f"/tickets/{key}/comment", {"body": BODY}, status=201)
    side = "one => getComputedStyle(one).direction"
    for path, within in ((f"/tickets/{key}", ".md"), (f"/tickets/{key}/transcript", f"#item-{run}-0 .md")):
        await page.goto(path)
        text = page.locator(within).first
        await expect(text.locator("ul")).to_be_visible()
        assert [await text.locator(one).evaluate(side) for one in ("ul", "blockquote", "ol")] == ["rtl", "rtl", "ltr"]
        edges = "one => { const style = getComputedStyle(one); return [style.borderRightWidth, style.borderLeftWidth]; }"
        assert await text.locator("blockquote").evaluate(edges) == ["3px", "0px"]
        assert await page.locator("#ticket-title").evaluate(side) == "rtl"
    await page.goto("/")
    assert await page.locator(".card-title").evaluate(side) == "rtl"
    await page.goto("/tickets/new")
    field = page.get_by_role("textbox", name="Title")
    await field.fill(HEBREW)
    assert await field.evaluate("one => getComputedStyle(one).unicodeBidi") == "plaintext"
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
