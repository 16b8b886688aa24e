"""The journey map: how customers flow, where they leak out, which touchpoints hurt.

Takes a problem and its histories; gives the plain data that a model carries, over all customers
and by persona, channel and period. Knows nothing about how it is shown.

An effect is found once, among all; a part's is the mean over its own moments, with the models
that were fitted on everybody. What is sure is judged anew in each part.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.categorical import ABSENT
from features.config import Business, Problem
from features.durations import format_moment
from features.engine import Rows, compute, compute_exact
from features.event_log import Ints
from features.feature import Feature, spoken
from features.overview import overview
from features.sources import Histories
from models.journey_map import ALL, CHANNEL, FORMAT, PERIOD, PERSONA, Map
from models.persona import NO_PERSONA, Personas
from models.question import came_about, is_wanted
from models.spoken import Words
from training.flows import Visits, flow, last_stage, leaks, paths, steps_of, visits_of
from training.friction import Adjusted, Effect, adjust, effect, surely
from training.labels import label_rows
from training.touchpoints import Compared, Subject, Touchpoint, compare, met_by, touchpoints_of

Mask = NDArray[np.bool_]

MAP_EVENTS = 1_500_000
"""The map is drawn from about so many events of customers that are drawn by chance."""
MOST_PARTS = 8
"""Channels that are told apart: the commonest."""
FEW = 30
"""Of fewer moments with or without a touchpoint no effect is told in a part."""
LEAST_PART = 50
"""Customers of a part worth showing."""
HALVES = ("first half", "second half")


@dataclass(frozen=True)
class _Looked:
    """A touchpoint with all that was found of it."""

    touchpoint: Touchpoint
    compared: Compared
    adjusted: Adjusted
    met: Mask
    """Whether each newest row's customer had met it by the cutoff."""
    value: float | None
    """What is at stake of a customer who meets it, on average."""


@dataclass(frozen=True)
class _Cut:
    """Who and what belongs to a part."""

    by: str
    value: str | None
    customers: Mask
    since: int
    until: int

    def holds(self, customer: Ints, time: Ints) -> Mask:
        inside = (time >= self.since) & (time < self.until)
        return np.asarray(self.customers[customer] & inside)


@dataclass(frozen=True)
class _Scene:
    """What every part is made from."""

    subject: Subject
    wanted: bool
    visits: Visits
    persona: tuple[tuple[str, ...], Ints]
    """Names, and the place of each customer's among them; -1 for none."""
    channel: tuple[tuple[str, ...], Ints]
    seed: int

    @cached_property
    def looked(self) -> list[_Looked]:
        found = []
        for touchpoint in touchpoints_of(self.subject):
            compared = compare(self.subject, touchpoint, self.seed)
            if compared is not None:
                found.append(_look(self, touchpoint, compared))
        return found

    @cached_property
    def newest(self) -> Ints:
        """Each customer's newest labelled row."""
        return newest_rows(self.subject, np.ones(len(self.subject.labelled), dtype=bool))


def newest_rows(subject: Subject, chosen: Mask) -> Ints:
    """The newest chosen row of each customer, as positions, by customer."""
    rows = subject.labelled.moments.rows
    at = np.flatnonzero(chosen)
    at = at[np.lexsort((rows.cutoff_time[at], rows.customer[at]))]
    who = rows.customer[at]
    last = np.append(who[1:] != who[:-1], True)[: len(at)]
    return np.asarray(at[last])


def journey_map(
    business: Business,
    name: str,
    problem: Problem,
    histories: Histories,
    features: Sequence[Feature] = (),
    personas: Personas | None = None,
) -> Map:
    """The map of a resolved problem.

    Parameters
    ----------
    features, personas
        A model's features, and the segments that read them.
    """
    labelled, log = label_rows(business, problem, histories)
    subject = Subject(
        business, problem, log, histories.attributes.aligned(log.customers), histories.end,
        labelled,
    )  # fmt: skip
    steps = steps_of(business.stages, log)
    scene = _Scene(
        subject, is_wanted(problem, name), visits_of(log, steps),
        _personas(subject, features, personas), _channels(subject), problem.seed,
    )  # fmt: skip
    since = overview(log, histories.attributes, ()).begin
    return {
        "format": FORMAT,
        "outcome": came_about(problem, Words(business.words, business.units)),
        "wanted": scene.wanted,
        "from": format_moment(since),
        "until": format_moment(histories.end),
        "stages_are": "stages" if set(steps) <= set(business.stages) else "events",
        "compared": "moments" if subject.asks_anywhere else "rows",
        "looked_at": len(scene.looked),
        "parts": [part for cut in _cuts(scene, since) if (part := _part(scene, cut)) is not None],
    }


def _personas(
    subject: Subject, features: Sequence[Feature], personas: Personas | None
) -> tuple[tuple[str, ...], Ints]:
    """Each customer's persona at its newest row."""
    found = np.full(subject.log.n_customers, NO_PERSONA)
    if personas is None:
        return (), found
    at = newest_rows(subject, np.ones(len(subject.labelled), dtype=bool))
    rows = subject.labelled.moments.rows.take(at)
    read = sorted({c for side in personas.sides for c in (*side.columns, *side.counted)})
    vectors = np.full((len(rows), len(features)), np.nan, np.float32)
    vectors[:, read] = compute(
        [features[column] for column in read], subject.log, subject.attributes, rows, threads=1
    )
    found[rows.customer] = personas.assign(vectors)
    return personas.names, found


def _channels(subject: Subject) -> tuple[tuple[str, ...], Ints]:
    """The channel by which most of each customer's events came."""
    found = np.full(subject.log.n_customers, ABSENT)
    column = subject.log.categories.get("channel")
    if column is None:
        return (), found
    given = np.flatnonzero(column.codes != ABSENT)
    n = len(column.levels)
    pair, often = np.unique(subject.who[given] * n + column.codes[given], return_counts=True)
    order = np.lexsort((-(pair % n), often, pair // n))  # the commonest of each comes last
    found[(pair // n)[order]] = (pair % n)[order]
    return column.levels, found


def _cuts(scene: _Scene, since: int) -> Iterator[_Cut]:
    """All customers, and then those of each persona, channel and half of the time."""
    everybody = np.ones(scene.subject.log.n_customers, dtype=bool)
    first, last = np.iinfo(np.int64).min, np.iinfo(np.int64).max
    yield _Cut(ALL, None, everybody, first, last)
    for by, (names, place) in ((PERSONA, scene.persona), (CHANNEL, scene.channel)):
        often = np.bincount(place[place >= 0], minlength=len(names))
        top = np.argsort(-often, kind="stable")[:MOST_PARTS].tolist()
        parts = [code for code in top if often[code] >= LEAST_PART]
        for code in parts if len(parts) > 1 else ():
            yield _Cut(by, names[code], place == code, first, last)
    middle = (since + scene.subject.end) // 2
    yield _Cut(PERIOD, HALVES[0], everybody, first, middle)
    yield _Cut(PERIOD, HALVES[1], everybody, middle, last)


def _part(scene: _Scene, cut: _Cut) -> dict[str, Any] | None:
    """The map of a part; None where nobody was asked about."""
    subject, visits = scene.subject, scene.visits
    moments = subject.labelled.moments
    at = newest_rows(subject, cut.holds(moments.rows.customer, moments.rows.cutoff_time))
    if not len(at):
        return None
    who, label = moments.rows.customer[at], subject.labelled.label[at]
    when = subject.labelled.when
    until = moments.closes[at] if when is None else np.minimum(when[at] - 1, moments.closes[at])
    lost = (label == 0) == scene.wanted
    return {
        "by": cut.by,
        "value": cut.value,
        "customers": len(at),
        "rate": round(float(label.mean()), 4),
        **flow(visits, cut.holds(visits.customer, visits.begin)),
        "leaks": leaks(visits.stages, last_stage(visits, who, until), lost),
        **paths(visits, who, moments.rows.cutoff_time[at], label),
        "touchpoints": _ranked(scene, cut, at),
    }


def _look(scene: _Scene, touchpoint: Touchpoint, compared: Compared) -> _Looked:
    subject = scene.subject
    first = np.full(subject.log.n_customers, np.iinfo(np.int64).max)
    at = met_by(subject, touchpoint)
    np.minimum.at(first, subject.who[at], subject.log.event_time[at])
    rows = subject.labelled.moments.rows
    met = first[rows.customer] <= rows.cutoff_time
    return _Looked(
        touchpoint, compared, adjust(compared.units, scene.seed), met, _stake(scene, compared)
    )


def _stake(scene: _Scene, compared: Compared) -> float | None:
    """What is at stake of who meets a touchpoint, by the problem's `value`."""
    value = scene.subject.problem.value
    if value is None:
        return None
    rows: Rows = compared.rows.take(compared.units.met)
    wanted = Feature("sum", of=value.sum, last=value.last)
    found = compute_exact([wanted], scene.subject.log, scene.subject.attributes, rows)
    return float(np.nan_to_num(found).mean())


def _ranked(scene: _Scene, cut: _Cut, newest: Ints) -> list[dict[str, Any]]:
    """The touchpoints of a part, the one whose harm is surest and largest first."""
    effects = [_effect(one, cut) for one in scene.looked]
    sure = surely(effects)
    told = [
        _told(scene, cut, newest, *found) for found in zip(scene.looked, effects, sure, strict=True)
    ]
    told.sort(key=lambda one: (-one.pop("least_harm"), one["says"]))
    by_raw = sorted(range(len(told)), key=lambda i: -_harm(scene, told[i]["unadjusted"] or 0.0))
    for place, one in enumerate(told):
        one["rank"], one["unadjusted_rank"] = place + 1, by_raw.index(place) + 1
    return told


def _effect(one: _Looked, cut: _Cut) -> Effect | None:
    units, rows = one.compared.units, one.compared.rows
    chosen = cut.holds(rows.customer, rows.cutoff_time)
    if min((units.met & chosen).sum(), (~units.met & chosen).sum()) < FEW:
        return None
    return effect(one.adjusted, chosen)


def _harm(scene: _Scene, difference: float) -> float:
    """A difference of probabilities as harm: how much less of what is wanted."""
    return -difference if scene.wanted else difference


def _told(
    scene: _Scene, cut: _Cut, newest: Ints, one: _Looked, found: Effect | None, sure: bool
) -> dict[str, Any]:
    label = scene.subject.labelled.label[newest]
    met = one.met[newest]
    raw = float(label[met].mean() - label[~met].mean()) if met.any() and not met.all() else None
    who = int(cut.customers[one.compared.asked].sum())
    if cut.by == PERIOD:
        units, rows = one.compared.units, one.compared.rows
        inside = cut.holds(rows.customer, rows.cutoff_time)
        who = round(len(one.compared.asked) * float(inside[units.met].mean()))
    harm = 0.0 if found is None else max(_harm(scene, found.value), 0.0)
    ends = (0.0, 0.0) if found is None else (found.low, found.high)
    least = min(_harm(scene, end) for end in ends) if found is not None else -1.0
    saved = harm * who
    value = None if one.value is None else round(saved * one.value, 2)
    point = one.touchpoint
    return {
        "says": in_words(scene.subject.business, point),
        "event": point.event, "channel": point.channel, "property": point.what,
        "level": point.level, "least": point.least, "most": point.most,
        "customers": who,
        "share": round(min(1.0, who / max(len(newest), 1)), 4),
        "effect": None if found is None else round(found.value, 4),
        "low": None if found is None else round(ends[0], 4),
        "high": None if found is None else round(ends[1], 4),
        "surely": sure,
        "hurts": bool(found is not None and _harm(scene, found.value) > 0),
        "unadjusted": None if raw is None else round(raw, 4),
        "customers_at_stake": round(saved, 1),
        "value_at_stake": value,
        "least_harm": least,
    }  # fmt: skip


def in_words(business: Business, one: Touchpoint) -> str:
    """What a touchpoint is: `slow page`, `ticket closed: wait hours of 21.3 or more`."""
    what = spoken(one.event)
    if one.channel is not None:
        what += f" by {one.channel}"
    if one.what is None:
        return what
    unit = business.units.get(one.what, "")
    said = spoken(one.what)
    if one.level is not None:
        return f"{what}: {said} {one.level}"
    if one.least is not None:
        return f"{what}: {said} of {one.least:.4g}{unit and ' ' + unit} or more"
    return f"{what}: {said} of {one.most:.4g}{unit and ' ' + unit} or less"


def account_of(found: Map) -> str:
    """What was found, in one line."""
    whole = found["parts"][0]
    worst = [one for one in whole["touchpoints"] if one["surely"] and one["hurts"]]
    if not worst:
        return f"{found['looked_at']} touchpoints looked at, none surely hurts"
    return (
        f"{found['looked_at']} touchpoints looked at, {len(worst)} surely hurt, "
        f"most of all {worst[0]['says']} ({100 * worst[0]['effect']:+.1f} points)"
    )
