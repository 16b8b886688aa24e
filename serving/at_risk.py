"""The list of customers in the order in which to look at them.

Takes the book and a question: ranked by what, filtered by what, from where on; gives a page whose
totals are those of all rows that the filters let through. A page's cursor names the generation
of the book, so that the next page goes on in the same list. Knows nothing about HTTP.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum
from typing import Any

from sqlalchemy import ColumnElement, func, select

from features.durations import this_moment
from features.errors import MilepostError
from models.contract import BANDS
from models.spoken import plain
from serving.book_store import B, BookStore, Cell, Conditions, Generation
from serving.book_tables import BOOK
from serving.worklist import asleep

RANKS = {"probability": B.place, "expected_value": B.worth_place}
"""Ranks that every row knows its place in, the highest first."""
_MOVED = B.probability - B.week_ago
SORTS: dict[str, tuple[ColumnElement[Any], ...]] = {
    "value_at_stake": (B.value_at_stake.is_(None), B.value_at_stake.desc(), B.place),
    "due": (B.date_due.is_(None), B.date_due, B.place),
    "risen": (_MOVED.is_(None), _MOVED.desc(), B.place),
}
"""Orders that are made when they are asked for: the most at stake, the next date, the sharpest
rise since a week ago first; who has none of it comes last."""
AWAKE, ASLEEP, ALL = "awake", "asleep", "all"
"""Whom to show: who is not left out for now, who is, or both."""
BAND_NAMES = tuple(name for _, name in sorted(BANDS))
"""From the lowest."""
CURSOR = re.compile(r"([0-9]{1,12})\.([0-9]{1,12})")
"""The generation and the place, or the number of rows, after which the page begins; both fit into
the store."""
MOST_AMONG = 500
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
    snoozed: str = AWAKE
    among: tuple[str, ...] | None = None
    """Only these customers, at most `MOST_AMONG`; None is no such filter."""
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
    left_out: int = 0
    """How many of those are left out of the list for now."""


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
    mine = conditions(store, generation, question)
    everybody = Counted(store, generation, question.sees, question.snoozed)
    there = everybody.cells()
    wanted = there
    if question.owners:
        wanted = Counted(store, generation, question.whose, question.snoozed).cells()
    totals = _totals(store, wanted, question, mine)
    rows = _rows(store, generation, question, mine, totals, after)
    shown = rows[: question.limit]
    more = None
    if len(rows) > len(shown):
        place = RANKS.get(question.by)
        last = after + len(shown) if place is None else getattr(shown[-1], place.key)
        more = f"{generation.number}.{last}"
    choices = _choices(there) | {"owner": everybody.owners()}
    return Page(generation, shown, totals, more, choices, everybody.rows, everybody.left_out)


def _rows(
    store: BookStore, generation: Generation, question: Question, mine: Conditions, totals: Totals,
    after: int,
) -> Sequence[Any]:  # fmt: skip
    """The rows of a page and one more, if there is one."""
    query = select(BOOK).where(*mine).limit(question.limit + 1)
    place = RANKS.get(question.by)
    if place is None:
        query = query.order_by(*SORTS[question.by]).offset(after)
    else:
        rank: ColumnElement[int] = place
        few = question.prefix or question.whose is not None or question.among is not None
        if few and totals.customers <= FEW:
            rank = place + 0  # found by id or by owner and sorted then, not along the whole list
        elif question.by == "probability":
            after = max(after, _rows_above(generation.cells, question.bands))
        query = query.where(rank > after).order_by(rank)
    with store.database.reading() as connection:
        return connection.execute(query).all()


class Counted:
    """Counts of the rows that there are for who asks, without those who are left out for now."""

    def __init__(
        self, store: BookStore, made: Generation, owners: frozenset[str] | None, snoozed: str
    ) -> None:
        self.store, self.made, self.whose, self.snoozed = store, made, owners, snoozed
        whole = made.cells if owners is None else store.owned(made, owners)
        self._whole = tuple(whole)
        self._out = _left_out(store, made, owners)
        self.rows = sum(cell.rows for cell in whole)
        """All, whoever is left out."""
        self.left_out = sum(cell.rows for _, cell in self._out)

    def cells(self) -> Sequence[Cell]:
        """By band, stage and persona."""
        out = [cell for _, cell in self._out]
        if self.snoozed == ASLEEP:
            return out
        return self._whole if self.snoozed == ALL else [*self._whole, *map(_minus, out)]

    def owners(self) -> list[tuple[str, int]]:
        """Who owns rows, and how many."""
        out = Counter[str]()
        for owner, cell in self._out:
            if owner is not None:
                out[owner] += cell.rows
        if self.snoozed == ASLEEP:
            return sorted(out.items())
        counted = self.store.owners(self.made, self.whose)
        if self.snoozed == ALL:
            return counted
        return [(name, rows - out[name]) for name, rows in counted if rows > out[name]]


def _left_out(
    store: BookStore, made: Generation, owners: frozenset[str] | None
) -> list[tuple[str | None, Cell]]:
    """Who is left out of the list for now, counted by owner, band, stage and persona."""
    keys = (B.owner, B.band, B.stage, B.persona)
    sums = [func.coalesce(func.sum(c), 0.0) for c in (B.value_at_stake, B.expected_value)]
    mine = [
        B.workspace == store.workspace, B.problem == made.problem, B.generation == made.number,
        B.customer.in_(asleep(store.workspace, made.problem, this_moment())),
    ]  # fmt: skip
    if owners is not None:
        mine.append(B.owner.in_(sorted(owners)))
    query = select(*keys, func.count(), *sums).where(*mine).group_by(*keys).order_by(*keys)
    with store.database.reading() as connection:
        rows = connection.execute(query).all()
    return [
        (owner, Cell(band, stage, persona, int(count), float(stake), float(expected)))
        for owner, band, stage, persona, count, stake, expected in rows
    ]


def _minus(cell: Cell) -> Cell:
    """A cell that takes another one's rows away."""
    return Cell(
        cell.band, cell.stage, cell.persona, -cell.rows, -cell.value_at_stake, -cell.expected_value
    )


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


def _rows_above(cells: Sequence[Cell], bands: Sequence[str]) -> int:
    """How many rows are in higher bands than all of these: bands follow the probability."""
    best = max((BAND_NAMES.index(band) for band in bands), default=len(BAND_NAMES))
    return sum(cell.rows for cell in cells if BAND_NAMES.index(cell.band) > best)


def conditions(store: BookStore, generation: Generation, question: Question) -> Conditions:
    """Which rows of a generation a question is about."""
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
    if question.among is not None:
        mine.append(B.customer.in_(question.among[:MOST_AMONG]))
    if question.snoozed != ALL:
        out = B.customer.in_(asleep(store.workspace, generation.problem, this_moment()))
        mine.append(out if question.snoozed == ASLEEP else ~out)
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
    if question.prefix or question.among is not None:
        query = select(func.count(), func.sum(B.value_at_stake), func.sum(B.expected_value)).where(
            *mine
        )
        with store.database.reading() as connection:
            count, stake, expected = connection.execute(query).one()
        return Totals(int(count), plain(stake or 0.0), plain(expected or 0.0))
    cells = [
        cell
        for cell in there
        if (not question.bands or cell.band in question.bands)
        and (not question.stages or cell.stage in question.stages)
        and (not question.personas or cell.persona in question.personas)
    ]
    customers = sum(cell.rows for cell in cells)
    if not customers:
        return Totals(0, 0.0, 0.0)
    return Totals(
        customers,
        plain(fsum(cell.value_at_stake for cell in cells)),
        plain(fsum(cell.expected_value for cell in cells)),
    )


def _choices(cells: Sequence[Cell]) -> dict[str, list[tuple[str, int]]]:
    found: dict[str, dict[str, int]] = {"band": {}, "stage": {}, "persona": {}}
    for cell in cells:
        for name, counts in found.items():
            value = getattr(cell, name)
            if value is not None:
                counts[value] = counts.get(value, 0) + cell.rows
    return {
        name: sorted((value, count) for value, count in counts.items() if count)
        for name, counts in found.items()
    }
