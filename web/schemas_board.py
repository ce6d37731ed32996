"""What the API takes and gives of the board: order, several tickets at once."""

from __future__ import annotations

from pydantic import Field

from dispatcher.bulk import MOST, Action
from web.schemas import ErrorBody, Input, Out


class Place(Input):
    """Between which tickets of its column one is to stand: right below `after`, or else right above `before`, by their keys."""

    after: str | None = None
    before: str | None = None


class Bulk(Input):
    """The same for many tickets; `assign` takes `agent`, `label` and `unlabel` take `label`."""

    action: Action
    keys: list[str] = Field(min_length=1, max_length=MOST)
    agent: str = ""
    label: str = ""


class BulkResult(Out):
    """What became of one ticket; `changed` is false where it was so already, or there was an error."""

    key: str
    changed: bool
    error: ErrorBody | None


class BulkOut(Out):
    """What became of each, in the order that they were given."""

    results: list[BulkResult]
