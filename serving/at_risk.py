"""The list of customers in the order in which to look at them.

Takes the book and a question: ranked by what, filtered by what, from where on; gives a page whose
totals are those of all rows that the filters let through. A page's cursor names the generation
of the book, so that the next page goes on in the same list. Knows nothing about HTTP.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum
from typing import Any

from sqlalchemy import ColumnElement, func, select

from features.errors import MilepostError
from models.contract import BANDS
from serving.book_store import B, BookStore, Cell, Conditions, Generation
from serving.book_tables import BOOK

RANKS = {"probability": B.place, "expected_value": B.worth_place}
"""What the list can be ranked by, the highest first."""
BAND_NAMES = tuple(name for _, name in sorted(BANDS))
"""From the lowest."""
CURSOR = re.compile(r"([0-9]{1,12})\.([0-9]{1,12})")
"""The generation and the place after which the page begins; both fit into the store."""
FEW = 5_000
"""So many customers are sorted sooner than they are met along the list."""


class BookMissingError(MilepostError):
    """The problem's book was not made yet."""

    code = "book_unavailable"


class CursorError(MilepostError):
    """A cursor that is none, or of a list that is no more."""

    code = "cursor_expired"


@dataclass(frozen=True)
class Question:
    """Which customers are wanted; empty filters let all through."""

    problem: str
    by: str = "expected_value"
    bands: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()
    personas: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    prefix: str = ""
    """What the customer's id begins with."""
    limit: int = 20
    cursor: str | None = None
    sees: frozenset[str] | None = None
    """Whose customers there are for who asks; None is everybody's."""

    @property
    def whose(self) -> frozenset[str] | None:
        """Whose customers are wanted, of those that there are."""
        if not self.owners:
            return self.sees
        chosen = frozenset(self.owners)
        return chosen if self.sees is None else chosen & self.sees


@dataclass(frozen=True)
class Totals:
    """Of all rows that the filters let through, on whatever page."""

    customers: int
    value_at_stake: float
    expected_value: float


@dataclass(frozen=True)
class Page:
    """A part of the list."""

    generation: Generation
    rows: Sequence[Any]
    """Rows of the table `book`."""
    totals: Totals
    next: str | None
    choices: dict[str, list[tuple[str, int]]]
    """Bands, stages, personas and owners that occur in all that the asker sees, with their numbers
    of rows."""
    rows_seen: int
    """How many rows there are for the asker, whatever is filtered."""


def page(store: BookStore, question: Question) -> Page:
    """Answer a question.

    Raises
    ------
    BookMissingError
        When there is no book of the problem yet.
    CursorError
        When the cursor can't be followed any more; begin again without one.
    """
    generation, after = _begin(store, question)
    mine = _conditions(store, generation, question)
    there = _cells(store, generation, question.sees)
    wanted = there if not question.owners else _cells(store, generation, question.whose)
    totals = _totals(store, wanted, question, mine)
    place = RANKS[question.by]
    rank: ColumnElement[int] = place
    if (question.prefix or question.whose is not None) and totals.customers <= FEW:
        rank = place + 0  # found by id or by owner and sorted then, instead of along the whole list
    elif question.by == "probability":
        after = max(after, _rows_above(generation.cells, question.bands))
    query = select(BOOK).where(*mine, rank > after).order_by(rank).limit(question.limit + 1)
    with store.database.reading() as connection:
        rows = connection.execute(query).all()
    shown = rows[: question.limit]
    more = None
    if len(rows) > len(shown):
        more = f"{generation.number}.{getattr(shown[-1], place.key)}"
    choices = _choices(there) | {"owner": store.owners(generation, question.sees)}
    return Page(generation, shown, totals, more, choices, sum(cell.rows for cell in there))


def _begin(store: BookStore, question: Question) -> tuple[Generation, int]:
    """The generation to read, and the place after which to begin."""
    if question.cursor is None:
        found, after = store.current(question.problem), 0
    else:
        given = CURSOR.fullmatch(question.cursor)
        if given is None:
            raise CursorError("The cursor is none that this list gave. Begin without one.")
        found, after = store.generation(question.problem, int(given[1])), int(given[2])
        if found is None:
            raise CursorError("The list has been made anew since. Begin without a cursor.")
    if found is None:
        raise BookMissingError(
            f"The book of {question.problem} was not made yet. It is made after the service "
            "starts; try again in a minute."
        )
    return found, after


def _cells(
    store: BookStore, generation: Generation, owners: frozenset[str] | None
) -> Sequence[Cell]:
    """Counts and sums of some owners' rows, of all rows if None."""
    return generation.cells if owners is None else store.owned(generation, owners)


def _rows_above(cells: Sequence[Cell], bands: Sequence[str]) -> int:
    """How many rows are in higher bands than all of these: bands follow the probability."""
    best = max((BAND_NAMES.index(band) for band in bands), default=len(BAND_NAMES))
    return sum(cell.rows for cell in cells if BAND_NAMES.index(cell.band) > best)


def _conditions(store: BookStore, generation: Generation, question: Question) -> Conditions:
    mine = [
        B.workspace == store.workspace,
        B.problem == generation.problem,
        B.generation == generation.number,
    ]
    for column, wanted in (
        (B.band, question.bands),
        (B.stage, question.stages),
        (B.persona, question.personas),
    ):
        if wanted:
            mine.append(column.in_(wanted))
    if question.whose is not None:
        mine.append(B.owner.in_(sorted(question.whose)))
    if question.prefix:
        mine.append(B.customer >= question.prefix)
        if above := _after(question.prefix):
            mine.append(B.customer < above)
    return tuple(mine)


def _after(prefix: str) -> str:
    """The least text that is above all that begin with a prefix; empty if there is none."""
    kept = prefix.rstrip(chr(0x10FFFF))
    if not kept:
        return ""
    code = ord(kept[-1]) + 1
    return kept[:-1] + chr(0xE000 if 0xD800 <= code <= 0xDFFF else code)


def _totals(
    store: BookStore, there: Sequence[Cell], question: Question, mine: Conditions
) -> Totals:
    if question.prefix:
        query = select(func.count(), func.sum(B.value_at_stake), func.sum(B.expected_value)).where(
            *mine
        )
        with store.database.reading() as connection:
            count, stake, expected = connection.execute(query).one()
        return Totals(int(count), float(stake or 0.0), float(expected or 0.0))
    cells = [
        cell
        for cell in there
        if (not question.bands or cell.band in question.bands)
        and (not question.stages or cell.stage in question.stages)
        and (not question.personas or cell.persona in question.personas)
    ]
    return Totals(
        sum(cell.rows for cell in cells),
        fsum(cell.value_at_stake for cell in cells),
        fsum(cell.expected_value for cell in cells),
    )


def _choices(cells: Sequence[Cell]) -> dict[str, list[tuple[str, int]]]:
    found: dict[str, dict[str, int]] = {"band": {}, "stage": {}, "persona": {}}
    for cell in cells:
        for name, counts in found.items():
            value = getattr(cell, name)
            if value is not None:
                counts[value] = counts.get(value, 0) + cell.rows
    return {name: sorted(counts.items()) for name, counts in found.items()}
