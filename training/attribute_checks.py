"""Checks of attributes that carry no date: they may have been overwritten since.

Takes evidence; gives findings about undated attributes that know too much. A dated attribute
(`valid_from`) is covered by the proof by mutation. Knows nothing about events' own faults.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.durations import BEGINNING, DAY, MISSING_TIME, format_day
from features.event_log import Ints
from training.evidence import FEWEST, Evidence, Floats, Power, auroc, rates
from training.findings import LEAK, WARNING, Finding

LEAK_POWER, WARN_POWER = 0.85, 0.78
"""AUROC of one undated attribute. The best of grocery's seven has .675 (churn) and .690
(conversion), of synthetic shops .603: what a customer has been all along says little about next
month. A status that was overwritten when the customer left has .946."""
RECORD_SHARE = 0.02
"""Rows whose undated date lies after their cutoff, from which on somebody has to say why."""
RECORD_POWER = 0.6
"""A date that knows the future and ranks outcomes better than this is a leak."""
AGE_DIFFERENCE, AGE_POWER = 0.15, 0.65
"""An attribute's AUROC in the newest and the oldest third of rows, how far they may lie apart
and how high the higher must be; .06 on the clean histories."""
DISAGREE = 0.05
"""Customers whose flag and events contradict each other, from which on it is told."""


@dataclass(frozen=True)
class Attribute:
    """An attribute that holds from the beginning, as numbers."""

    name: str
    values: Floats
    """Shape `(n_customers,)`; NaN where missing. Levels are their codes, dates are days."""
    levels: tuple[str, ...] = ()
    is_date: bool = False


def attribute_checks(evidence: Evidence) -> Iterator[Finding]:
    """Everything about undated attributes."""
    for attribute in undated(evidence):
        power = evidence.lasting_power(_column(evidence, attribute))
        yield from knows_the_future(evidence, attribute, power)
        yield from tells_apart(evidence, attribute, power)
        yield from worth_more_at_one_age(evidence, attribute)
        yield from disagreeing_flag(evidence, attribute)


def undated(evidence: Evidence) -> Iterator[Attribute]:
    """The attributes whose every statement holds from the beginning."""
    log = evidence.journeys.attributes
    always = log.event_time == BEGINNING
    who = np.repeat(np.arange(log.n_customers), np.diff(log.offsets))
    columns: dict[str, tuple[NDArray[np.bool_], Floats, tuple[str, ...], bool]] = {}
    for name, numbers in log.numbers.items():
        columns[name] = (~np.isnan(numbers), numbers, (), False)
    for name, text in log.categories.items():
        columns[name] = (text.codes >= 0, text.codes.astype(np.float64), text.levels, False)
    for name, times in log.times.items():
        columns[name] = (times != MISSING_TIME, times / DAY, (), True)
    for name, (filled, values, levels, is_date) in columns.items():
        if evidence.reads(name) and filled.any() and always[filled].all():
            out = np.full(log.n_customers, np.nan)
            out[who[filled]] = values[filled]
            yield Attribute(name, out, levels, is_date)


def _column(evidence: Evidence, attribute: Attribute) -> Floats:
    """The attribute of each row; a date as days after the cutoff."""
    values = attribute.values[evidence.rows.customer]
    return values - evidence.rows.cutoff_time / DAY if attribute.is_date else values


def knows_the_future(evidence: Evidence, attribute: Attribute, power: Power) -> Iterator[Finding]:
    """L21: dates after the cutoff that never reach beyond the end of the history.

    A date that is planned, such as a renewal, would; one that is a record can't.
    """
    if not attribute.is_date or attribute.name in _problems_dates(evidence):
        return
    ahead = _column(evidence, attribute)
    known = ~np.isnan(ahead)
    future = known & (ahead > 0)
    n, n_future = int(known.sum()), int(future.sum())
    beyond = np.nanmax(attribute.values) > evidence.end / DAY + 1
    if beyond or not n or n_future < max(FEWEST, RECORD_SHARE * n):
        return
    example = int(np.flatnonzero(future)[0])
    who, cutoff = int(evidence.rows.customer[example]), int(evidence.rows.cutoff_time[example])
    yield Finding(
        "L21", LEAK if power.auroc >= RECORD_POWER else WARNING, attribute.name,
        f"The undated date {attribute.name!r} lies after the cutoff in {n_future:,} of {n:,} rows "
        f"and never after the end of the history, so it is a record of what came later (customer "
        f"{evidence.journeys.log.customers[who]}, cutoff {format_day(cutoff)}: "
        f"{format_day(round(float(attribute.values[who]) * DAY))}). Alone it has "
        f"{power.says}.",
        (
            f"Yield it as an event with {attribute.name} as its event_time.",
            "Or add valid_from to [customers]: when each value came to be known.",
            f'Or leave it out: ignore = ["{attribute.name}"] in [features].',
        ),
        {"n": n, "n_future": n_future, **power.to_json()},
    )  # fmt: skip


def _problems_dates(evidence: Evidence) -> set[str]:
    problem = evidence.problem
    named = {problem.before.property if problem.before else "", ""}
    named.add((problem.outcome.by or "") if problem.outcome else "")
    return named


def tells_apart(evidence: Evidence, attribute: Attribute, power: Power) -> Iterator[Finding]:
    """L20: an undated attribute, or its absence, ranks outcomes implausibly well."""
    if power.auroc < WARN_POWER:
        return
    missing = np.isnan(attribute.values[evidence.rows.customer])
    absent = ""
    if 0 < missing.sum() < len(missing):
        absent = (
            f" It is missing in {missing.mean():.0%} of rows; {evidence.label[missing].mean():.1%} "
            f"of those and {evidence.label[~missing].mean():.1%} of the others are positive."
        )
    yield Finding(
        "L20", LEAK if power.auroc >= LEAK_POWER else WARNING, attribute.name,
        f"The undated attribute {attribute.name!r} tells the outcomes apart on its own: "
        f"{power.says}. Its value may have "
        f"been overwritten after the outcome.{absent}",
        (
            "Add valid_from to [customers], the time from which each value held.",
            f'Or leave it out: ignore = ["{attribute.name}"] in [features].',
        ),
        {**power.to_json(), "missing": float(missing.mean())},
    )  # fmt: skip


def worth_more_at_one_age(evidence: Evidence, attribute: Attribute) -> Iterator[Finding]:
    """L22: what an overwritten value says of the outcome depends on how long ago that was."""
    if attribute.is_date:
        return  # days to a fixed date change with the cutoff by themselves
    cutoff = evidence.rows.cutoff_time
    old, new = np.quantile(cutoff, [1 / 3, 2 / 3], method="nearest")
    column, even = _column(evidence, attribute), evidence.rows.customer % 2 == 0
    found = []
    for part in (cutoff <= old, cutoff >= new):
        learnt, judged = np.flatnonzero(part & even), np.flatnonzero(part & ~even)
        if any(not _enough(evidence.label[rows]) for rows in (learnt, judged)):
            return
        score = rates(column[learnt], evidence.label[learnt], column[judged])
        found.append(auroc(evidence.label[judged], score))
    if abs(found[0] - found[1]) < AGE_DIFFERENCE or max(found) < AGE_POWER:
        return
    yield Finding(
        "L22", WARNING, attribute.name,
        f"The undated attribute {attribute.name!r} has AUROC {found[0]:.2f} before "
        f"{format_day(int(old))} and {found[1]:.2f} after {format_day(int(new))}: values that are "
        "overwritten as customers change look like this.",
        ("Add valid_from to [customers], the time from which each value held.",),
        {"auroc_old": found[0], "auroc_new": found[1]},
    )  # fmt: skip


def _enough(label: NDArray[np.int8]) -> bool:
    return bool(min(label.sum(), len(label) - label.sum()) >= FEWEST)


def disagreeing_flag(evidence: Evidence, attribute: Attribute) -> Iterator[Finding]:
    """L23: an attribute of two values, named like the outcome, that the events contradict."""
    event = evidence.problem.outcome.event if evidence.problem.outcome else None
    if event is None or not _akin(attribute.name, event) or attribute.is_date:
        return
    values = attribute.values
    known = ~np.isnan(values)
    low, high = (np.nanmin(values), np.nanmax(values)) if known.any() else (0.0, 0.0)
    if low == high or not np.isin(values[known], (low, high)).all():
        return
    happened = _ever(evidence, event)
    flagged = values == high  # levels are sorted: no < yes, False < True, 0 < 1
    wrong = known & (flagged != happened)
    n, n_wrong = int(known.sum()), int(wrong.sum())
    if n_wrong < max(FEWEST, DISAGREE * n):
        return
    yield Finding(
        "L23", WARNING, attribute.name,
        f"{attribute.name!r} disagrees with the events in {n_wrong:,} of {n:,} customers "
        f"({n_wrong / n:.0%}): {int((known & flagged & ~happened).sum()):,} are flagged without "
        f"any {event!r} event, {int((known & ~flagged & happened).sum()):,} had one without the "
        "flag.",
        (
            "Find out which of the two is right before a model learns from either.",
            f'An undated flag knows the future: ignore = ["{attribute.name}"] in [features].',
        ),
        {"n": n, "n_disagree": n_wrong},
    )  # fmt: skip


def _akin(name: str, event: str) -> bool:
    """Whether two names share the stem of a word: churn_flag and churned."""
    stems = [
        {word[:5] for word in re.split(r"[^a-z]+", text.lower()) if len(word) >= 4}
        for text in (name, event)
    ]
    return bool(stems[0] & stems[1])


def _ever(evidence: Evidence, event: str) -> NDArray[np.bool_]:
    """Whether each customer ever had an event, shape `(n_customers,)`."""
    log = evidence.journeys.log
    who: Ints = np.repeat(np.arange(log.n_customers), np.diff(log.offsets))
    out = np.zeros(log.n_customers, dtype=bool)
    out[who[log.event.codes == log.event.code(event)]] = True
    return out
