"""What the score of a customer in a book is called, in lists, exports and webhooks alike.

The name says where the row stands: when its book was made, the book's number, problem and customer.
It begins with the moment as the ledger's own names do, so that both sort by time. Knows nothing
about stores.
"""

import base64
import binascii
import re
from typing import NamedTuple


class NamedRow(NamedTuple):
    """Where a row of a book stands."""

    made: int
    """Microseconds UTC."""
    generation: int
    problem: str
    customer: str


NAMED = re.compile(r"([0-9a-f]{14})\.([0-9]{1,9})\.([A-Za-z0-9_-]+)")
LONGEST = 2_000
"""Characters of a name: those of the longest customer's."""


def score_id(made: int, generation: int, problem: str, customer: str) -> str:
    """The name of one row's score."""
    whose = base64.urlsafe_b64encode(f"{problem}\0{customer}".encode()).decode().rstrip("=")
    return f"{made:014x}.{generation}.{whose}"


def place_of(name: str) -> NamedRow | None:
    """The row that a name is of; None of what is none, as the names of single scores."""
    given = NAMED.fullmatch(name)
    if given is None:
        return None
    try:
        whose = base64.urlsafe_b64decode(given[3] + "=" * (-len(given[3]) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    problem, _, customer = whose.partition("\0")
    place = NamedRow(int(given[1], 16), int(given[2]), problem, customer)
    return place if score_id(*place) == name and "\0" not in customer else None
