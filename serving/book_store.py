"""The book in the store: how a generation of scores is put there, and how the lists read it.

A new generation is written beside the one that is read from, in small transactions that hold up
no other writer, and becomes the current one in a single step together with what is told of it.
So no list is half old, half new. The generation before is kept, for readers on its pages. Knows
nothing about how scores are made, or HTTP.
"""

import fcntl
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeAlias

from sqlalchemy import ColumnElement, Connection, bindparam, delete, func, select, text, update

from features.errors import MilepostError
from serving.book_tables import BOOK, GENERATIONS, LEFT, OWNED_CELLS
from serving.database import Database, unavailable
from serving.inserting import insert, insert_rows

MAKING, CURRENT, OLD, GOING = "making", "current", "old", "going"
SHOWN = CURRENT, OLD
"""States of a generation all of whose rows are there."""
CHUNK = 1_000
"""Rows of one transaction; other writers wait for no more than these."""
KEPT = 1
"""Old generations that stay."""

LOCK = 73
"""Names, with the workspace, PostgreSQL's advisory lock of the keeper."""

B, G, C, L = BOOK.c, GENERATIONS.c, OWNED_CELLS.c, LEFT.c
Conditions: TypeAlias = tuple[ColumnElement[bool], ...]


class BookLostError(MilepostError):
    """A generation that was removed by another keeper while it was made."""

    code = "book_unavailable"


@dataclass(frozen=True)
class Cell:
    """Rows of one band, stage and persona."""

    band: str
    stage: str | None
    persona: str | None
    rows: int
    value_at_stake: float
    expected_value: float


@dataclass(frozen=True)
class Generation:
    """One making of a problem's book; times are microseconds UTC."""

    problem: str
    number: int
    state: str
    model: str
    version: str
    digest: str
    as_of: int
    known_time: int
    """What was recorded later played no part."""
    arrival: int
    """The commit of the store up to which it reads."""
    made: int
    rows: int
    unscored: Mapping[str, int]
    cells: tuple[Cell, ...]
    owned_by: str | None = None
    """The attribute that named the rows' owners."""


@dataclass(frozen=True)
class Stood:
    """In which band each customer stood last, before a new book."""

    listed: Mapping[str, str]
    """Of everybody in the current book."""
    left: Mapping[str, str]
    """Of those who were in an earlier one and are not in that."""

    @property
    def bands(self) -> dict[str, str]:
        """Of all of them."""
        return {**self.left, **self.listed}


class BookStore:
    """One workspace's book."""

    def __init__(self, database: Database, workspace: int) -> None:
        self.database, self.workspace = database, workspace

    def current(self, problem: str) -> Generation | None:
        """The generation that lists are read from; None before there is one."""
        return self._generation(problem, G.state == CURRENT)

    def generation(self, problem: str, number: int) -> Generation | None:
        """A generation that is kept still and was current once."""
        return self._generation(problem, G.generation == number, G.state.in_(SHOWN))

    def is_whole(self, connection: Connection, made: Generation) -> bool:
        """Whether all rows of a generation are there still, in a transaction of the caller's."""
        mine = self._of(GENERATIONS, made.problem)
        asked = select(G.generation).where(*mine, G.generation == made.number, G.state.in_(SHOWN))
        return connection.execute(asked).first() is not None

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """Whether this process may work on the book: one keeper at a time does, on all hosts.

        The right ends with the process, however it ends.
        """
        if self.database.file is not None:
            name = f"{self.database.file.name}-keeper-{self.workspace}"
            with self.database.file.with_name(name).open("ab") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    yield False
                    return
                yield True
            return
        place = {"one": LOCK, "two": self.workspace}
        with unavailable("reached"), self.database.writer.connect() as connection:
            asked = text("select pg_try_advisory_lock(:one, :two)")
            may = bool(connection.execute(asked, place).scalar())
            connection.commit()  # the lock is the session's, not the transaction's
            try:
                yield may
            finally:
                if may:
                    connection.execute(text("select pg_advisory_unlock(:one, :two)"), place)

    def begin(self, made: Generation) -> int:
        """Open a new generation, after the remains of unfinished ones are gone; its number.

        Only who is `alone` may begin.
        """
        mine = self._of(GENERATIONS, made.problem)
        with self.database.writing() as connection:
            last = select(func.coalesce(func.max(G.generation), 0)).where(*mine)
            number = int(connection.execute(last).scalar_one()) + 1
            row = {
                "workspace": self.workspace, "problem": made.problem, "generation": number,
                "state": MAKING, "model": made.model, "version": made.version,
                "digest": made.digest, "as_of": made.as_of, "known_time": made.known_time,
                "arrival": made.arrival, "made": made.made, "rows": 0, "unscored": "{}",
                "cells": "[]", "owned_by": made.owned_by,
            }  # fmt: skip
            insert(connection, GENERATIONS, [row])
        # After it has its number: one that is removed must not give it to another.
        self._sweep(made.problem, (MAKING, GOING), but=number)
        return number

    def add(self, problem: str, number: int, rows: Iterable[Sequence[Any]]) -> None:
        """Put rows into a generation that is being made; values as the table's, after its key.

        Raises
        ------
        BookLostError
            As `finish`.
        """
        mine = (*self._of(GENERATIONS, problem), G.generation == number, G.state == MAKING)
        there = select(G.generation).where(*mine).with_for_update(read=True)
        head = (self.workspace, problem, number)
        rest = iter(rows)
        while chunk := [(*head, *row) for row in islice(rest, CHUNK)]:
            with self.database.writing() as connection:
                if connection.execute(there).first() is None:
                    raise _lost(problem, number)
                insert_rows(connection, BOOK, chunk)

    def finish(
        self,
        connection: Connection,
        problem: str,
        number: int,
        rows: int,
        unscored: Mapping[str, int],
        cells: Sequence[Cell],
        owned: Sequence[tuple[str, Cell]] = (),
    ) -> None:
        """Make a generation the current one, inside a transaction of the caller's.

        Raises
        ------
        BookLostError
            When another keeper has removed it: who was `alone` had lost that right.
        """
        mine = self._of(GENERATIONS, problem)
        place = {"workspace": self.workspace, "problem": problem, "generation": number}
        each = [
            {**place, "owner": owner, "cell": count, **vars(cell)}
            for count, (owner, cell) in enumerate(owned)
        ]
        insert(connection, OWNED_CELLS, each)
        connection.execute(update(GENERATIONS).where(*mine, G.state == CURRENT).values(state=OLD))
        made = connection.execute(
            update(GENERATIONS)
            .where(*mine, G.generation == number, G.state == MAKING)
            .values(
                state=CURRENT, rows=rows, unscored=json.dumps(dict(unscored)),
                cells=json.dumps([list(vars(cell).values()) for cell in cells]),
            )
        )  # fmt: skip
        if not made.rowcount:
            raise _lost(problem, number)

    def stood(self, problem: str) -> Stood:
        """Where everybody stood who is or was in the book."""
        current = select(G.generation).where(
            *self._of(GENERATIONS, problem), G.state == CURRENT
        )  # fmt: skip
        listed = select(B.customer, B.band).where(
            *self._of(BOOK, problem), B.generation == current.scalar_subquery()
        )
        left = select(L.customer, L.band).where(*self._of(LEFT, problem))
        with self.database.reading() as connection:
            found = [
                {str(customer): str(band) for customer, band in connection.execute(query)}
                for query in (listed, left)
            ]
        return Stood(*found)

    def remember(
        self, connection: Connection, problem: str, stood: Stood, customers: Collection[str]
    ) -> None:
        """Keep the bands of those who are not among a new book's customers, however many books
        they are absent from, inside the transaction that makes the book current."""
        place = {"workspace": self.workspace, "problem": problem}
        now = set(customers)
        back = [{"who": customer} for customer in stood.left if customer in now]
        if back:
            mine = self._of(LEFT, problem)
            gone = delete(LEFT).where(*mine, L.customer == bindparam("who"))
            connection.execute(gone, back)
        insert(connection, LEFT, [
            {**place, "customer": customer, "band": band}
            for customer, band in stood.listed.items() if customer not in now
        ])  # fmt: skip

    def owned(self, made: Generation, owners: Iterable[str]) -> tuple[Cell, ...]:
        """Counts and sums of some owners' rows, by band, stage and persona."""
        sums = (func.sum(C.rows), func.sum(C.value_at_stake), func.sum(C.expected_value))
        keys = (C.band, C.stage, C.persona)
        mine = (*self._of(OWNED_CELLS, made.problem), C.generation == made.number)
        query = select(*keys, *sums).where(*mine, C.owner.in_(sorted(owners))).group_by(*keys)
        with self.database.reading() as connection:
            rows = connection.execute(query).all()
        return tuple(Cell(*row[:3], int(row[3]), float(row[4]), float(row[5])) for row in rows)

    def owners(self, made: Generation, among: Iterable[str] | None) -> list[tuple[str, int]]:
        """Who owns rows, all or some of them, and how many, in the order of their names."""
        mine = [*self._of(OWNED_CELLS, made.problem), C.generation == made.number]
        if among is not None:
            mine.append(C.owner.in_(sorted(among)))
        query = select(C.owner, func.sum(C.rows)).where(*mine).group_by(C.owner).order_by(C.owner)
        with self.database.reading() as connection:
            return [(str(owner), int(count)) for owner, count in connection.execute(query)]

    def sweep(self, problem: str) -> None:
        """Remove generations that nobody reads any more."""
        self._sweep(problem, (OLD,), KEPT)

    def _sweep(self, problem: str, states: Sequence[str], keep: int = 0, but: int = 0) -> None:
        mine = self._of(GENERATIONS, problem)
        these = (*mine, G.state.in_(states), G.generation != but)
        query = select(G.generation).where(*these).order_by(G.generation.desc())
        with self.database.reading() as connection:
            numbers = list(connection.execute(query).scalars())[keep:]
        for number in numbers:
            with self.database.writing() as connection:
                # Said first: whoever reads it a page at a time must not take what is left for all.
                this = update(GENERATIONS).where(*mine, G.generation == number)
                connection.execute(this.values(state=GOING))
            while self._remove_some(problem, number):
                pass
            with self.database.writing() as connection:
                theirs = self._of(OWNED_CELLS, problem)
                connection.execute(delete(OWNED_CELLS).where(*theirs, C.generation == number))
                connection.execute(delete(GENERATIONS).where(*mine, G.generation == number))

    def _remove_some(self, problem: str, number: int) -> bool:
        """Remove some rows of a generation, the first ones; whether there were any."""
        mine = (*self._of(BOOK, problem), B.generation == number)
        edge = select(B.customer).where(*mine).order_by(B.customer).limit(1).offset(CHUNK)
        with self.database.writing() as connection:
            until = connection.execute(edge).scalar()
            some = mine if until is None else (*mine, B.customer < until)
            return bool(connection.execute(delete(BOOK).where(*some)).rowcount)

    def _of(self, table: Any, problem: str) -> Conditions:
        return table.c.workspace == self.workspace, table.c.problem == problem

    def _generation(self, problem: str, *which: ColumnElement[bool]) -> Generation | None:
        query = select(GENERATIONS).where(*self._of(GENERATIONS, problem), *which)
        with self.database.reading() as connection:
            row = connection.execute(query.order_by(G.generation.desc())).first()
        if row is None:
            return None
        return Generation(
            row.problem, row.generation, row.state, row.model, row.version, row.digest, row.as_of,
            row.known_time, row.arrival, row.made, row.rows, json.loads(row.unscored),
            tuple(Cell(*cell) for cell in json.loads(row.cells)), row.owned_by,
        )  # fmt: skip


def _lost(problem: str, number: int) -> BookLostError:
    return BookLostError(
        f"Generation {number} of {problem} was removed while it was made, because another keeper "
        "works on the book. It is begun again."
    )
