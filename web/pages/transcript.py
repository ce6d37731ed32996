"""A ticket's transcript: what a run's harness did, item by item.

Whole without scripts: windows of some hundred items with links between them, filters and a search. With scripts the page takes
windows as they are scrolled to (web/pages/transcript_parts.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from sqlmodel import Session
from starlette.responses import Response

from dispatcher import reading, runs
from dispatcher.reading import Branch, Show
from dispatcher.states import LIVE_RUN
from web.items import WORDS, Entry, Scene, loose
from web.pages.forms import NOTHING
from web.pages.frame import frame, show
from web.pages.transcript_parts import router as parts
from web.schemas import RunOut, TicketDetail
from web.site import Here, Number

router = APIRouter()
router.include_router(parts)

CHUNK = 50
"""Items that the script takes and lets go at once."""
CHUNKS = 4
"""On a page without scripts."""
BARE = ("picker", "going", "ending")
"""Parts that show no items."""


@dataclass(frozen=True)
class Transcript:
    """A window into one session of a run: `chunks` of its items, the first of them at `index` among `total`."""

    ticket: str
    run: RunOut
    live: bool
    branches: list[Branch]
    branch: Branch
    show: Show
    query: str
    chunks: list[list[Entry]]
    index: int
    total: int
    before: int | None
    """Where the items end that come before this window, if any do."""
    after: int | None
    """The first item behind this window, if there is one."""
    loose: list[Branch]

    def href(self, *, show: Show | None = None, **query: str | int) -> str:
        """The address of another window of the same session, filter and search."""
        wanted: dict[str, str | int] = {"run": self.run.id, "session": self.branch.name}
        wanted |= {"show": show or self.show, "q": self.query} | query
        used = {name: value for name, value in wanted.items() if value not in ("", "all")}
        return f"/tickets/{self.ticket}/transcript?{urlencode(used)}"

    @property
    def even(self) -> bool:
        """Whether the numbers of its items have no gaps."""
        return self.branch.count == self.branch.end - self.branch.begin


@router.get("/tickets/{key}/transcript", name="transcript")
def transcript_page(
    site: Here,
    key: str,
    *,
    run: Number | None = None,
    session: str = "",
    show_only: Annotated[Show, Query(alias="show")] = "all",
    q: str = "",
    before: Number | None = None,
    at: Number | None = None,
    part: str | None = None,
) -> Response:
    """The transcript of the newest run, or of the run that is asked for."""
    with site.database.reading() as db:
        _, context = frame(db, key)
        asked = Asked(session, show_only, q.strip()[: reading.LONGEST_QUERY], before, at, bare=part in BARE)
        found = read(db, context["ticket"], run, asked)
    return show("transcript/transcript.html", "transcript", context, NOTHING, part, transcript=found, words=WORDS)


@dataclass(frozen=True)
class Asked:
    """What of a transcript is asked for: the window that ends before an item, or that holds the item `at`."""

    session: str = ""
    show: Show = "all"
    query: str = ""
    before: int | None = None
    at: int | None = None
    bare: bool = False
    """Only what is around the items."""


def read(db: Session, ticket: TicketDetail, run_id: int | None, asked: Asked) -> Transcript | None:
    """A window into a run of the ticket; None where it has no run."""
    wanted = next((run for run in ticket.runs if run.id == run_id), None) or (ticket.runs[0] if ticket.runs else None)
    if wanted is None:
        return None
    run = runs.get_run(db, wanted.id)
    branches = reading.tree(db, run) or [Branch(0, "", None, None, None, {}, provisional=True)]
    branch = reading.pick(branches, asked.session)
    seqs = range(0) if asked.bare else reading.wanted(db, branch, asked.show)
    if asked.query and not asked.bare:
        among = set(seqs)
        seqs = [seq for seq in reading.find(db, branch, asked.query) if seq in among]
    live = wanted.state in LIVE_RUN
    first, last = _window(seqs, asked, newest=live and not asked.query)
    entries = Scene(wanted.id, branch, branches, run.started_at).entries(reading.window(db, branch, seqs[first:last]))
    return Transcript(
        ticket=ticket.key,
        run=wanted,
        live=live,
        branches=branches,
        branch=branch,
        show=asked.show,
        query=asked.query,
        chunks=[entries[at : at + CHUNK] for at in range(0, len(entries), CHUNK)],
        index=first,
        total=len(seqs),
        before=seqs[first] if first else None,
        after=seqs[last] if last < len(seqs) else None,
        loose=loose(branch, branches) if last >= len(seqs) else [],
    )


def _window(seqs: Sequence[int], asked: Asked, *, newest: bool) -> tuple[int, int]:
    """The indexes of the window; it begins and ends at whole chunks."""
    chunks = -(-len(seqs) // CHUNK)
    if asked.before is not None:
        end = -(-_index(seqs, asked.before) // CHUNK)
        begin = end - CHUNKS
    elif asked.at is not None:
        begin = _index(seqs, asked.at) // CHUNK - 1
        end = begin + CHUNKS
    else:
        begin = chunks - CHUNKS if newest else 0
        end = begin + CHUNKS
    begin = max(0, min(begin, chunks - 1))
    return begin * CHUNK, min(len(seqs), max(end, begin + 1) * CHUNK)


def _index(seqs: Sequence[int], seq: int) -> int:
    """How many of them come before that one."""
    if isinstance(seqs, range):
        return min(len(seqs), max(0, seq - seqs.start))
    return sum(one < seq for one in seqs)
