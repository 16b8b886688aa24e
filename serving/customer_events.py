"""What is stored of one customer, as documents: events a page at a time, and statements.

Takes a workspace of the store and a customer; gives plain structures, newest first. Knows
nothing about HTTP or scores.
"""

import base64
import binascii
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from features.durations import BEGINNING, format_moment
from features.errors import MilepostError
from serving.refusals import NotFoundError
from serving.sight import UNKNOWN, Sight

Row = tuple[int, int, str, str, str]
"""Event time, recorded time, event, id, properties as JSON."""
Place = tuple[int, str, int]
"""Where an event stands in the list: its time, its id, and which it is of those that share both,
each of another source."""

Document = dict[str, Any]


class CursorError(MilepostError):
    """A cursor that no page gave."""

    code = "request_invalid"


@dataclass(frozen=True)
class StoredCustomer:
    """All rows of a customer, newest first."""

    events: Sequence[Row]
    statements: Sequence[Row]

    def page(self, limit: int, cursor: str | None = None) -> tuple[Sequence[Row], str | None]:
        """So many events, those after a cursor where there is one, and the next page's cursor.

        Raises
        ------
        CursorError
        """
        newest = self.events
        if cursor is not None:
            before = _read_cursor(cursor)
            newest = newest[sum(place >= before for place in self._places()) :]
        shown = newest[:limit]
        if len(newest) <= limit:
            return shown, None
        last = len(self.events) - len(newest) + limit - 1
        return shown, _write_cursor(self._places()[last])

    def _places(self) -> list[Place]:
        """Each event's place, newest first; no event of another time or id changes it."""
        alike = Counter(map(_place, self.events))
        places = []
        for row in self.events:
            alike[_place(row)] -= 1
            places.append((*_place(row), alike[_place(row)]))
        return places


def stored_customer(sight: Sight, customer: str) -> StoredCustomer:
    """What is stored of a customer.

    Raises
    ------
    NotFoundError
        Of somebody unknown, or another's.
    """
    sight.check(customer)
    events, statements = sight.tenant.kept.journeys.rows(customer)
    if not events and not statements:
        raise NotFoundError("customer_unknown", UNKNOWN)
    newest = (sorted(rows, key=_place, reverse=True) for rows in (events, statements))
    return StoredCustomer(*newest)


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


def _place(row: Row) -> tuple[int, str]:
    """Where an event stands in the list, which no other event changes."""
    return row[0], row[3]


def _write_cursor(place: Place) -> str:
    moment, event_id, number = place
    return base64.urlsafe_b64encode(f"{moment} {number} {event_id}".encode()).decode()


def _read_cursor(cursor: str) -> Place:
    try:
        said = base64.urlsafe_b64decode(cursor.encode()).decode()
        moment, number, event_id = said.split(" ", 2)
        return int(moment), event_id, int(number)
    except (ValueError, binascii.Error):
        raise CursorError("cursor: give what `next` of the page before said.") from None
