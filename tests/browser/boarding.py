"""What the tests of the board share: where cards stand, dragging, and what is filed quickly."""

from __future__ import annotations

from playwright.async_api import Locator, Page, expect
from sqlmodel import select

from dispatcher.models import Agent, Project, Ticket
from tests.webbing import Web

MANY = 2000
LOOKED = "new Promise((done) => setTimeout(done, 120))"
"""What drags looks every 50 ms where the pointer is, by a timer of the page's: one of 120 ms is over after that."""


def card(page: Page, key: str, column: str = "") -> Locator:
    """A ticket's card, in that column."""
    return page.locator(f"[data-column={column}] #card-{key}" if column else f"#card-{key}")


async def order(page: Page, column: str) -> list[str]:
    """The keys of a column's cards."""
    found = page.locator(f"[data-column={column}] .card")
    return [await found.nth(at).get_attribute("data-key") or "" for at in range(await found.count())]


async def stands(page: Page, column: str, *keys: str) -> None:
    """Wait until the column holds these cards in this order."""
    for at, key in enumerate(keys):
        await expect(page.locator(f"[data-column={column}] .card").nth(at)).to_have_attribute("data-key", key)
    await expect(page.locator(f"[data-column={column}] .card")).to_have_count(len(keys))


async def ready(page: Page, path: str = "/") -> None:
    """Open the board and wait until cards can be dragged, and what happens is heard."""
    await page.goto(path)
    await expect(page.locator("#board")).to_have_attribute("data-drag", "ready")
    await expect(page.locator("#live")).to_have_attribute("data-state", "open")


async def lift(page: Page, key: str) -> None:
    """Begin to drag a card."""
    box = await card(page, key).locator(".key").bounding_box()
    assert box is not None
    await page.mouse.move(box["x"] + 8, box["y"] + 6)
    await page.mouse.down()
    await page.mouse.move(box["x"] + 18, box["y"] + 16, steps=4)
    await expect(page.locator("#part-columns")).to_have_class("board dragging")


async def drag(page: Page, key: str, to: Locator, *, low: bool = False) -> None:
    """Drag a card onto something: into its upper part, or its lower one."""
    await lift(page, key)
    box = await to.bounding_box()
    assert box is not None
    y = box["y"] + (box["height"] - 4 if low else 6)
    await page.mouse.move(box["x"] + box["width"] / 2, y, steps=8)
    await page.mouse.move(box["x"] + box["width"] / 2 + 1, y, steps=2)
    await page.evaluate(LOOKED)
    await page.mouse.up()


def cards_of(page: Page, column: str) -> Locator:
    """A column's list."""
    return page.locator(f"[data-column={column}] .cards")


async def another_agent(web: Web, name: str = "reviewer") -> None:
    """A second agent."""
    await web.send("POST", "/agents", {"name": name, "harness": "aider", "endpoint": "local"}, status=201)


def many(web: Web, number: int = MANY) -> None:
    """That many tickets, half of them in the backlog."""
    with web.database.transaction() as db:
        agent, project = db.exec(select(Agent)).one(), db.exec(select(Project)).one()
        assert project.id is not None
        project.next_number = number + 1
        states = ("queued", "running", "blocked", "review")
        rows = [
            Ticket(
                project_id=project.id,
                number=at,
                key=f"WEB-{at}",
                title=f"Ticket of many, number {at}, with a title as long as people make them",
                body="What is to be done.\n" * 20,
                labels=["bug"] if at % 7 == 0 else [],
                state=states[at // 2 % 4] if at % 2 else "backlog",
                agent_id=agent.id if at % 2 else None,
                position=float(at),
            )
            for at in range(1, number + 1)
        ]
        db.add_all([project, *rows])
