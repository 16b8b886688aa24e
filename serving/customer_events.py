"""What is stored of one customer, as documents and for the pages, newest first.

Takes a workspace of the store and a customer; gives plain structures. Knows nothing about HTTP or
scores.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from features.durations import BEGINNING, format_moment
from serving.customer_rows import MOST_COUNTED, CustomerRows, Page, Row
from serving.refusals import NotFoundError
from serving.sight import UNKNOWN, Sight

Document = dict[str, Any]

MOST_READ = 5_000
"""The newest events and statements that a page is made from."""


@dataclass(frozen=True)
class StoredCustomer:
    """The newest rows of a customer."""

    events: Sequence[Row]
    statements: Sequence[Row]
    n_events: int
    """Of all events, of which `MOST_COUNTED` are counted at most."""
    uncounted: bool
    """Whether there are more than were counted."""


def rows_of(sight: Sight, customer: str) -> CustomerRows:
    """Where the rows of a customer are read.

    Raises
    ------
    NotFoundError
        Of somebody unknown, or another's.
    """
    sight.check(customer)
    rows = CustomerRows(sight.tenant.kept.database, sight.tenant.kept.workspace, customer)
    if not rows.exist():
        raise NotFoundError("customer_unknown", UNKNOWN)
    return rows


def stored_customer(sight: Sight, customer: str, most: int = MOST_READ) -> StoredCustomer:
    """What a page needs of what is stored of a customer: so many of the newest rows.

    Raises
    ------
    NotFoundError
        Of somebody unknown, or another's.
    """
    rows = rows_of(sight, customer)
    n_events, uncounted = counted(rows)
    return StoredCustomer(rows.events(most).rows, rows.statements(most).rows, n_events, uncounted)


def counted(rows: CustomerRows) -> tuple[int, bool]:
    """How many events were counted, and whether there are more."""
    n_events = rows.count()
    return min(n_events, MOST_COUNTED), n_events > MOST_COUNTED


def events_page(sight: Sight, customer: str, limit: int, cursor: str | None = None) -> Page:
    """So many events of a customer, those after a cursor where there is one.

    Raises
    ------
    NotFoundError, CursorError
    """
    return rows_of(sight, customer).events(limit, cursor)


def event_document(row: Row) -> Document:
    """A row; see `serving.schemas_scores.JourneyEvent`."""
    happened, recorded, event, event_id, properties = row
    return {
        "event_id": event_id,
        "event": event,
        "event_time": _moment(happened),
        "recorded_time": _moment(recorded),
        "properties": msgspec.Raw(properties.encode()),
    }


def _moment(moment: int) -> str | None:
    """A moment as text; None of what holds from the beginning."""
    return None if moment <= BEGINNING else format_moment(moment)
