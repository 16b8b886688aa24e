"""A person's weekly digest: what is new in their book, and what became of last week's.

Takes the book, stored journeys, the models and what the last digest named; gives plain data. Only
customers that the person sees are in it. Knows nothing about e-mail, weeks or HTTP.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import func, select

from features.config import Business
from features.cutoffs import AsOf
from features.durations import WEEK
from models.contract import BANDS
from models.fitted import FittedModel, band
from models.question import came_about, question
from models.spoken import Words
from serving.action_tables import ACTIONS
from serving.actions import MISTAKE
from serving.book_names import score_id
from serving.book_store import B, BookStore, Conditions, Generation
from serving.book_tables import BOOK
from serving.digest_store import Named
from serving.event_store import TenantStore
from serving.ownership import owners_now
from serving.settling import what_became, window

MOST_NAMED, MOST_LOOKED, MOST_CARRIED = 20, 2_000, 200
"""New risks that are named; rows that are looked through for them; customers that are carried on
until it is known what became of them."""
RISKY = tuple(name for _, name in BANDS[:2])
"""The bands that count as a risk."""
MOVED = 0.01
"""A score that differs less from a week ago has not moved."""

A = ACTIONS.c


@dataclass(frozen=True)
class Risk:
    """A customer whose band went up to a risk."""

    score_id: str
    customer: str
    probability: float
    week_ago: float
    band: str
    band_before: str
    at_stake: float | None
    expected: float | None
    stage: str | None
    why: str
    """The strongest reason, in words."""


@dataclass(frozen=True)
class Fate:
    """What became of a customer that an earlier digest named."""

    customer: str
    probability: float
    """When it was named."""
    cutoff: int
    now: float | None
    """Today's score; None where there is none."""
    came: bool | None
    """Whether the outcome came; None where it is not known yet, or can't be."""


@dataclass(frozen=True)
class Part:
    """One problem."""

    problem: str
    asked: str
    outcome: str
    """What there is a chance of: `no purchase`."""
    as_of: int
    version: str
    customers: int
    mean: float | None
    mean_before: float | None
    """Of those who had a score a week ago, then and now."""
    rose: int
    fell: int
    risks: tuple[Risk, ...]
    more: int
    """New risks beyond those that are named."""
    fates: tuple[Fate, ...]


@dataclass(frozen=True)
class Digest:
    """A person's week."""

    business: str
    parts: tuple[Part, ...]
    actions: tuple[tuple[str, int], ...]
    """What the person wrote down in the week, by kind."""
    named: tuple[Named, ...]
    """For the next digest."""


@dataclass(frozen=True)
class Sources:
    """What digests of a business are made of."""

    business: Business
    store: TenantStore
    models: Mapping[str, FittedModel]
    """By problem; those that answer now."""


def digest_of(
    sources: Sources, person: str, sees: frozenset[str] | None, before: Sequence[Named], now: int
) -> Digest:
    """The digest of who signs in as `person` and sees the customers of these owners.

    Parameters
    ----------
    before
        What the last digest named.
    """
    parts, named = [], []
    for problem in sources.business.problems:
        made = BookStore(sources.store.database, sources.store.workspace).current(problem)
        if made is None or problem not in sources.models:
            continue
        part, carried = _part(sources, made, sees, [n for n in before if n.problem == problem])
        parts.append(part)
        named += [*_named(sources, made, part.risks), *carried]
    return Digest(
        sources.business.name, tuple(parts), tuple(_actions(sources.store, person, now)),
        tuple(named),
    )  # fmt: skip


def _part(
    sources: Sources, made: Generation, sees: frozenset[str] | None, before: Sequence[Named]
) -> tuple[Part, list[Named]]:
    model, mine = sources.models[made.problem], _mine(sources.store, made, sees)
    both = B.week_ago.is_not(None)
    moved = B.probability - B.week_ago
    sums = (
        func.count(), func.avg(B.probability).filter(both), func.avg(B.week_ago),
        func.count().filter(moved >= MOVED), func.count().filter(moved <= -MOVED),
    )  # fmt: skip
    with sources.store.database.reading() as connection:
        count, mean, mean_before, rose, fell = connection.execute(select(*sums).where(*mine)).one()
    risks = list(_risks(sources.store, made, mine, model))
    fates, carried = _fates(sources, made, sees, before)
    words = Words(dict(sources.business.words), dict(sources.business.units))
    problem = model.contract.problem
    part = Part(
        made.problem, question(problem), came_about(problem, words), made.as_of, made.version,
        int(count), mean, mean_before, int(rose), int(fell), tuple(risks[:MOST_NAMED]),
        max(0, len(risks) - MOST_NAMED), tuple(fates),
    )  # fmt: skip
    return part, carried


def _mine(store: TenantStore, made: Generation, sees: frozenset[str] | None) -> Conditions:
    where = (
        B.workspace == store.workspace, B.problem == made.problem, B.generation == made.number,
    )  # fmt: skip
    return where if sees is None else (*where, B.owner.in_(sorted(sees)))


def _risks(
    store: TenantStore, made: Generation, mine: Conditions, model: FittedModel
) -> Iterator[Risk]:
    """Customers of a high band who were in a lower one a week ago, the most at stake first."""
    query = (
        select(BOOK).where(*mine, B.band.in_(RISKY), B.week_ago.is_not(None))
        .order_by(B.worth_place).limit(MOST_LOOKED)
    )  # fmt: skip
    with store.database.reading() as connection:
        rows = connection.execute(query).all()
    standing = model.percentiles(np.array([row.week_ago for row in rows], np.float64))
    rank = {name: place for place, (_, name) in enumerate(BANDS)}
    for row, percentile in zip(rows, standing.tolist(), strict=True):
        earlier = band(percentile)
        if rank[earlier] > rank[row.band]:
            raising = [r["statement"] for r in json.loads(row.reasons) if r["points"] > 0]
            name = score_id(made.made, made.number, made.problem, row.customer)
            yield Risk(
                name, row.customer, row.probability, row.week_ago, row.band, earlier,
                row.value_at_stake, row.expected_value, row.stage, raising[0] if raising else "",
            )  # fmt: skip


def _named(sources: Sources, made: Generation, risks: Sequence[Risk]) -> list[Named]:
    """What is kept of new risks, with the window in which the outcome would come."""
    contract, found = sources.models[made.problem].contract, []
    if contract.problem.outcome is None:  # the business brings labels; journeys don't tell
        return []
    for risk in risks:
        as_of = AsOf(made.as_of, made.known_time)
        edges = window(sources.store, contract, risk.customer, as_of)
        if edges is None:
            continue
        found.append(
            Named(made.problem, risk.customer, made.as_of, *edges, risk.probability,
                  risk.band)
        )  # fmt: skip
    return found


def _fates(
    sources: Sources, made: Generation, sees: frozenset[str] | None, before: Sequence[Named]
) -> tuple[list[Fate], list[Named]]:
    """What became of earlier risks, and those that have to be asked after again.

    Of a customer whom the person sees no more nothing is told.
    """
    scores = _scores(sources.store, made, [each.customer for each in before])
    fates: list[Fate] = []
    carried: list[Named] = []
    seen = _seen(sources, sees, [each.customer for each in before])
    for each in before:
        if each.customer not in seen:
            continue
        came, open_ = _became(sources, each)
        if open_ and len(carried) < MOST_CARRIED:
            carried.append(Named(**{**vars(each), "new": False}))
        if each.new or not open_:
            now = scores.get(each.customer)
            fates.append(Fate(each.customer, each.probability, each.cutoff, now, came))
    return fates, carried


def _seen(
    sources: Sources, sees: frozenset[str] | None, customers: Sequence[str]
) -> frozenset[str]:
    """Those of some customers who are still the person's."""
    attribute = sources.business.people.owner
    if sees is None or attribute is None:
        return frozenset(customers)
    owners = owners_now(sources.store, attribute, customers)
    return frozenset(who for who, owner in owners.items() if owner in sees)


def _scores(store: TenantStore, made: Generation, customers: Sequence[str]) -> dict[str, float]:
    """Today's scores; who has none is left out."""
    everybody = _mine(store, made, None)
    found: dict[str, float] = {}
    for begin in range(0, len(customers), 500):
        some = B.customer.in_(customers[begin : begin + 500])
        query = select(B.customer, B.probability).where(*everybody, some)
        with store.database.reading() as connection:
            found |= {str(c): float(score) for c, score in connection.execute(query)}
    return found


def _became(sources: Sources, each: Named) -> tuple[bool | None, bool]:
    """Whether the outcome came, None where nobody knows; and whether that may change."""
    problem = sources.models[each.problem].contract.problem
    if problem.outcome is None:
        return None, False
    found = what_became(sources.store, problem, each.customer, each.cutoff, each.opens, each.closes)
    if found.open[0]:
        return None, True
    if found.gone[0] or found.silent[0]:
        return None, False
    return bool(found.label[0]), False


def _actions(store: TenantStore, person: str, now: int) -> list[tuple[str, int]]:
    """What a person wrote down in the last seven days."""
    query = (
        select(A.kind, func.count())
        .where(A.workspace == store.workspace, A.who == person, A.at > now - WEEK, A.at <= now,
               A.outcome != MISTAKE)
        .group_by(A.kind).order_by(A.kind)
    )  # fmt: skip
    with store.database.reading() as connection:
        return [(str(kind), int(count)) for kind, count in connection.execute(query)]
