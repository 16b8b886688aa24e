"""Customers who once stood where one stands now, and what became of them.

Takes a model and the histories of many customers; scores a sample of them as of a moment whose
outcome window is over, with what was known then, and says by training's own arithmetic what came.
Keeps that beside the book, and finds the nearest of them: of the same persona, by the score. The
model of now may have learned from their outcomes, so it is no judgement of the model. Knows
nothing about HTTP or rights.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, delete, func, select

from features.buckets import Buckets
from features.config import Problem
from features.cutoffs import AsOf, history_end
from features.event_log import EventLog
from features.groups import with_groups
from features.outcomes import became
from models.fitted import FittedModel
from models.persona import NO_PERSONA
from serving.alike_tables import PAST
from serving.book import scorable
from serving.database import Database
from serving.inserting import insert

SAMPLE = 2_000
"""Customers of a problem who are kept."""
NEAREST, FEWEST, NEAR = 20, 5, 0.2
"""So many of them are shown, whose score lies no farther away; where fewer have the same persona,
it may be any."""

P = PAST.c


@dataclass(frozen=True)
class Stood:
    """A customer as they stood once; the moment is microseconds UTC."""

    customer: str
    cutoff: int
    probability: float
    persona: str | None
    came: int
    """1: the outcome came; 0: it did not."""
    version: str


@dataclass(frozen=True)
class Alike:
    """Customers like one."""

    stood: Sequence[Stood]
    persona: str | None
    """The persona that all of them have; None where they have any."""


def look_back(model: FittedModel, version: str, buckets: Buckets, end: int) -> list[Stood]:
    """A sample of customers as they stood when the last outcome window began that is over."""
    problem, found = model.contract.problem, list[Stood]()
    cutoff = last_cutoff(problem, end)
    if cutoff is None:
        return found
    for log, attributes in map(buckets.read, range(len(buckets))):
        log = with_groups(log, buckets.together)
        found += _stood(model, version, log, attributes, cutoff, end, buckets.whole.date_only)
        if len(found) >= SAMPLE:  # buckets are by a hash of the customer, so the first is a sample
            break
    found.sort(key=lambda each: each.customer)
    return found[:: -(-len(found) // SAMPLE)] if found else found


def last_cutoff(problem: Problem, end: int) -> int | None:
    """The last moment whose outcome window is over; None where nothing can be looked up."""
    if problem.outcome is None:
        return None
    ahead = max(problem.before.lead) if problem.before else 0
    return history_end(problem, end) - problem.gap - (problem.horizon or 0) - ahead


class Alikes:
    """One workspace's past scores."""

    def __init__(self, database: Database, workspace: int) -> None:
        self.database, self.workspace = database, workspace

    def put(self, problem: str, stood: Sequence[Stood]) -> None:
        """Keep a problem's sample in the place of the one before."""
        here = {"workspace": self.workspace, "problem": problem}
        mine = (P.workspace == self.workspace, P.problem == problem)
        with self.database.writing() as connection:
            connection.execute(delete(PAST).where(*mine))
            insert(connection, PAST, [{**here, **vars(each)} for each in stood])

    def nearest(
        self, problem: str, customer: str, probability: float, persona: str | None
    ) -> Alike:
        """Those who stood where a customer stands now, the nearest score first."""
        if persona is not None:
            found = self._nearest(problem, customer, probability, P.persona == persona)
            if len(found) >= FEWEST:
                return Alike(found, persona)
        return Alike(self._nearest(problem, customer, probability), None)

    def _nearest(
        self, problem: str, customer: str, probability: float, *which: ColumnElement[bool]
    ) -> list[Stood]:
        away = func.abs(P.probability - probability)
        mine = (P.workspace == self.workspace, P.problem == problem, P.customer != customer)
        asked = select(*_COLUMNS).where(*mine, away <= NEAR, *which)
        with self.database.reading() as connection:
            rows = connection.execute(asked.order_by(away, P.customer).limit(NEAREST)).all()
        return [Stood(*row) for row in rows]


def _stood(
    model: FittedModel, version: str, log: EventLog, attributes: EventLog, cutoff: int, end: int,
    date_only: bool,
) -> Iterator[Stood]:  # fmt: skip
    """All customers of a log who were asked about, and of whom it is known what came."""
    asked, vectors, _ = scorable(model, log, attributes, AsOf.then(cutoff))
    if not len(asked):
        return
    found = became(model.contract.problem, log, asked, end, date_only)
    personas, chances = model.contract.personas, model.probabilities(vectors)
    names = () if personas is None else personas.names
    codes = np.full(len(asked), NO_PERSONA) if personas is None else personas.assign(vectors)
    for row in np.flatnonzero(found.known).tolist():
        code = int(codes[row])
        yield Stood(
            log.customers[asked.rows.customer[row]], int(asked.rows.cutoff_time[row]),
            float(chances[row]), None if code == NO_PERSONA else names[code],
            int(found.label[row]), version,
        )  # fmt: skip


_COLUMNS: Sequence[Any] = [P[name] for name in Stood.__dataclass_fields__]
