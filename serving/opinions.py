"""Second opinions: what people think will become of a customer, beside the score of that moment.

Takes a database and a workspace; keeps opinions, each once by its id, and what became of the
customer. Says whether person and model disagree, and how often each was right. Knows nothing
about HTTP, rights or how it is found out what became of a customer.

A person says yes or no, a model a probability. They disagree where the person expects the outcome
and the model does not warn of it, or the other way round. The model warns by the bands high and
very high, or from one half on: in a business where few leave, a band says more than a half. Who
was right is counted by one half for the model; the fairer measure is the Brier score, the mean
square of what was said less what came, with a person's word as 0 or 1.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import fsum
from typing import Any

from sqlalchemy import ColumnElement, or_, select, update

from serving.action_tables import OPINIONS
from serving.actions import UsedError
from serving.database import Database
from serving.inserting import insert_new

WARNING = ("high", "very high")
HALF = 0.5
O = OPINIONS.c  # noqa: E741 - as the other stores call their columns


@dataclass(frozen=True)
class Opinion:
    """What a person thinks; times are microseconds UTC."""

    opinion: str
    customer: str
    problem: str
    at: int
    who: str
    says: int
    """1: the outcome of the problem will be true; 0: it will not."""
    because: str
    cutoff: int
    """The moment that the score is as of."""
    opens: int | None
    closes: int | None
    """The outcome window is `(opens, closes]`; None where the business brings its own labels."""
    probability: float | None
    """What the model said; None where it gave no score."""
    band: str | None
    stake: float | None
    model: str
    version: str
    score_id: str
    truth: int | None = None
    """What became of the customer, once it is known."""
    why_unknown: str | None = None
    settled: int | None = None
    """The commit of the histories by which it was looked at."""

    @property
    def warned(self) -> bool:
        """Whether the model warned of the outcome."""
        return self.probability is not None and (self.band in WARNING or self.probability >= HALF)

    @property
    def disagrees(self) -> bool:
        """Whether the person says one thing and the model another."""
        return self.probability is not None and bool(self.says) != self.warned

    @property
    def distance(self) -> float:
        """How far the person's word lies from the model's, 0 to 1."""
        return 0.0 if self.probability is None else abs(self.says - self.probability)


@dataclass(frozen=True)
class Tally:
    """How person and model did, of opinions of which the truth is known and which had a score."""

    known: int
    person_right: int
    model_right: int
    person_brier: float | None
    model_brier: float | None
    """None where nothing is known yet."""


def tally(opinions: Iterable[Opinion]) -> Tally:
    """Count who was right; each person's last word as of one moment counts."""
    told = [
        (each.says, each.probability, each.truth)
        for each in latest(opinions, by_moment=True)
        if each.truth is not None and each.probability is not None
    ]
    n = len(told)
    return Tally(
        n,
        sum(says == truth for says, _, truth in told),
        sum((chance >= HALF) == truth for _, chance, truth in told),
        fsum((says - truth) ** 2 for says, _, truth in told) / n if n else None,
        fsum((chance - truth) ** 2 for _, chance, truth in told) / n if n else None,
    )


def latest(opinions: Iterable[Opinion], by_moment: bool = False) -> list[Opinion]:
    """The last word of each person on each customer, the newest first.

    Parameters
    ----------
    by_moment
        Whether words as of different moments stand beside one another.
    """
    found: dict[tuple[Any, ...], Opinion] = {}
    for each in sorted(opinions, key=lambda one: (one.at, one.opinion), reverse=True):
        moment = each.cutoff if by_moment else None
        found.setdefault((each.customer, each.problem, each.who, moment), each)
    return [*found.values()]


def queue(opinions: Iterable[Opinion]) -> list[Opinion]:
    """Disagreements whose truth is not known yet, the most at stake first."""
    waiting = [
        each
        for each in latest(opinions)
        if each.disagrees and each.truth is None and each.why_unknown is None
    ]
    return sorted(waiting, key=lambda each: (-(each.stake or 0.0), -each.distance, each.opinion))


class Opinions:
    """One workspace's opinions."""

    def __init__(self, database: Database, workspace: int) -> None:
        self.database, self.workspace = database, workspace

    def add(self, opinion: Opinion) -> Opinion:
        """Keep an opinion, and give it as it is kept; the same sent again changes nothing.

        Raises
        ------
        UsedError
            When its id belongs to another one.
        """
        mine = (O.workspace == self.workspace, O.opinion == opinion.opinion)
        with self.database.writing() as connection:
            insert_new(connection, OPINIONS, [{"workspace": self.workspace, **vars(opinion)}])
            kept = Opinion(*connection.execute(select(*_COLUMNS).where(*mine)).one())
        if _said(kept) != _said(opinion):
            raise UsedError
        return kept

    def of_customer(self, customer: str, problem: str, limit: int) -> list[Opinion]:
        """A customer's opinions, the newest first."""
        return self._some((O.customer == customer, O.problem == problem), limit)

    def of_problem(self, problem: str, limit: int) -> list[Opinion]:
        """Everybody's opinions, the newest first."""
        return self._some((O.problem == problem,), limit)

    def due(self, problem: str, end: int, arrival: int, limit: int) -> list[Opinion]:
        """Opinions whose window is over, and at which nobody has looked since a commit.

        What arrives late may change what became of a customer, so the same are due again after
        each commit, those first that were looked at longest ago.
        """
        over = (O.problem == problem, O.closes <= end)
        since = or_(O.settled.is_(None), O.settled < arrival)
        order = (O.settled.is_not(None), O.settled, O.opinion)
        return self._some((*over, since), limit, order)

    def settle(self, opinions: Sequence[Opinion]) -> None:
        """Keep what became of customers."""
        with self.database.writing() as connection:
            for each in opinions:
                mine = (O.workspace == self.workspace, O.opinion == each.opinion)
                connection.execute(
                    update(OPINIONS)
                    .where(*mine)
                    .values(truth=each.truth, why_unknown=each.why_unknown, settled=each.settled)
                )

    def _some(
        self, which: Sequence[ColumnElement[bool]], limit: int, order: Sequence[Any] = ()
    ) -> list[Opinion]:
        newest = (O.at.desc(), O.opinion.desc())
        asked = select(*_COLUMNS).where(O.workspace == self.workspace, *which)
        with self.database.reading() as connection:
            rows = connection.execute(asked.order_by(*(order or newest)).limit(limit)).all()
        return [Opinion(*row) for row in rows]


def _said(opinion: Opinion) -> tuple[Any, ...]:
    """What makes two opinions of one id the same."""
    return opinion.customer, opinion.problem, opinion.says, opinion.because


_COLUMNS: Sequence[Any] = [O[name] for name in Opinion.__dataclass_fields__]
