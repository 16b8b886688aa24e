"""The verdict before fitting: can anything be learnt from these rows, and be believed?

Takes a problem's labelled rows, their split and what was read of each source; gives findings
with numbered codes, counts, dates and mends. A finding that says stop ends a run before any
feature is fitted. Knows nothing about features, models or how a verdict is printed.
"""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np

from features.config import Problem
from features.durations import DAY, format_day, spell_duration
from features.sources import SourceAccount
from training.findings import NOTE, SEVERITIES, STOP, WARNING, Finding, StoppedError
from training.labels import Labelled, when_of
from training.splits import Split

LEAST_POSITIVES = 40
"""Rows of the rarer class below which nothing is fitted."""
MODEST_POSITIVES = 100
"""Rows of the rarer class in test below which every figure has a wide interval."""
SMALL_COHORT = 100
"""Customers below which a model is hardly worth its upkeep."""
RARE = 0.005
"""A share of positives below this, or above its complement, is extreme."""
MISSED, QUIET = 50.0, 7 * DAY
"""A source is quiet when so many of its events ought to have come since its last one, and that
is so long ago, microseconds: events often come in bunches."""
STALE = 30 * DAY
"""How old, beyond a horizon, the newest outcomes may be, microseconds."""
CHANGE, SURE = 1.5, 4.0
"""The rate has changed when its ratio is beyond this and so many standard errors from one."""


def preflight(
    problem: Problem,
    labelled: Labelled,
    split: Split,
    sources: Sequence[SourceAccount],
    end: int,
) -> tuple[Finding, ...]:
    """Everything a person has to know before a model is fitted, the worst first.

    Parameters
    ----------
    end
        The moment up to which the histories reach, microseconds UTC.
    """
    found = chain(
        _positives(labelled, split),
        _length(problem, labelled, split),
        _recency(problem, labelled, end),
        _quiet(problem, sources, end),
        _cohort(labelled),
        _rate(labelled, split),
        _unknown(labelled),
    )
    return tuple(sorted(found, key=lambda finding: SEVERITIES.index(finding.severity)))


def refuse(found: Sequence[Finding]) -> None:
    """Raise `StoppedError` with the first finding that says stop, if there is one."""
    for finding in found:
        if finding.severity == STOP:
            raise StoppedError(finding)


def _positives(labelled: Labelled, split: Split) -> Iterator[Finding]:
    """P01: the rarer class, in all rows and in those that judge."""
    positive = labelled.label == 1
    rare = positive if positive.mean() <= 0.5 else ~positive
    rows, customers = int(rare.sum()), len(np.unique(labelled.moments.rows.customer[rare]))
    judging = int(rare[split.test].sum())
    outcome = "positive" if rare is positive else "negative"
    when, dates = when_of(labelled)
    evidence = {
        "rows": rows, "customers": customers, "test_rows": judging, "class": outcome, **dates
    }  # fmt: skip
    mends = (
        "Bring a longer history or more customers",
        "Lengthen the horizon, so that the outcome comes more often",
        "Ask at more cutoffs (a shorter every), if customers change between them",
    )
    if rows < LEAST_POSITIVES:
        yield Finding(
            "P01", STOP, "labels",
            f"{rows:,} of {len(labelled):,} labelled rows {when} are {outcome}, of "
            f"{customers:,} customers; below {LEAST_POSITIVES} nothing can be learnt that chance "
            "could not make.",
            mends, evidence,
        )  # fmt: skip
    elif judging < MODEST_POSITIVES or customers < LEAST_POSITIVES:
        yield Finding(
            "P01", WARNING, "labels",
            f"{rows:,} of {len(labelled):,} labelled rows {when} are {outcome}, of "
            f"{customers:,} customers, {judging:,} of them in the test part: the metrics have wide "
            "intervals, and a simple rule may be as good.",
            mends, evidence,
        )  # fmt: skip


def _length(problem: Problem, labelled: Labelled, split: Split) -> Iterator[Finding]:
    """P02 and P10: whether the rows reach far enough in time to be split by it."""
    cutoff = labelled.moments.rows.cutoff_time
    first, last = int(cutoff.min()), int(cutoff.max())
    window = int((labelled.moments.closes - cutoff).max())
    dates = {"first_cutoff": format_day(first), "last_cutoff": format_day(last)}
    if first == last:
        yield Finding(
            "P10", WARNING, "cutoffs",
            f"All {len(labelled):,} rows stand at {format_day(first)}: nothing can be said about "
            "how the model does at a later time.",
            ("Bring labels of several cutoffs, or a longer history",), dates,
        )  # fmt: skip
    elif not _in_order(labelled, split):
        needed = 4 * max(window, problem.every or 0, DAY)
        more = f" (cutoffs over {spell_duration(needed)})" if last - first < needed else ""
        yield Finding(
            "P02", WARNING, "history",
            f"Cutoffs lie between {format_day(first)} and {format_day(last)}, and an outcome takes "
            f"{spell_duration(window)} to be known: three parts one after the other, each with "
            f"enough rows of both classes, do not fit. The split is {split.how}.",
            (
                f"Bring a longer history{more}",
                "Shorten gap or horizon, if a shorter one is of use",
                "Ask at more cutoffs (a shorter every)",
            ),
            {**dates, "window_days": window / DAY, "split": split.how},
        )  # fmt: skip


def _in_order(labelled: Labelled, split: Split) -> bool:
    """Whether each part's outcomes were known before the next part's first cutoff."""
    cutoff, closes = labelled.moments.rows.cutoff_time, labelled.moments.closes
    pairs = ((split.train, split.validation), (split.validation, split.test))
    return all(
        int(closes[earlier].max()) <= int(cutoff[later].min())
        and int(cutoff[earlier].max()) < int(cutoff[later].min())
        for earlier, later in pairs
    )


def _recency(problem: Problem, labelled: Labelled, end: int) -> Iterator[Finding]:
    """P03: whether the newest known outcomes are of yesterday or of long ago."""
    closed = int(labelled.moments.closes.max())
    cutoff = int(labelled.moments.rows.cutoff_time.max())
    age = end - closed
    if age <= STALE + max(problem.every or 0, problem.horizon or 0):
        return
    yield Finding(
        "P03", WARNING, "labels",
        f"The newest labelled row is of {format_day(cutoff)} and its outcome was known by "
        f"{format_day(closed)}, {spell_duration(age // DAY * DAY)} before the history ends on "
        f"{format_day(end)}: the model will be asked about a time that it has not seen.",
        (
            "Bring the newest labels, or let the outcome be read from the events",
            "Look whether the outcome's events still arrive",
        ),
        {"newest_cutoff": format_day(cutoff), "known": format_day(closed), "end": format_day(end)},
    )  # fmt: skip


def _quiet(problem: Problem, sources: Sequence[SourceAccount], end: int) -> Iterator[Finding]:
    """P05: sources whose events stopped although they used to come often enough to be missed."""
    outcome = problem.outcome
    waited_for = outcome and {outcome.event, outcome.not_, outcome.silence_of}
    for account in sources:
        if account.first is None or account.last is None or account.kept < 2:
            continue
        pause = max(account.last - account.first, 1) / (account.kept - 1)
        silence = end - account.last
        if silence < QUIET or silence / pause < MISSED:
            continue
        once = account.comes_once
        ended = once and not (waited_for or set()) & set(account.events)
        first, last = format_day(account.first), format_day(account.last)
        counts = f"{account.kept:,} events from {first} to {last}{', one a customer' * once}"
        evidence = {
            "events": account.kept, "first": first, "last": last,
            "missed": round(silence / pause), "once_a_customer": once,
        }  # fmt: skip
        yield (_ended if ended else _missed)(account.name, counts, evidence, format_day(end))


def _ended(name: str, counts: str, evidence: dict[str, Any], end: str) -> Finding:
    """What comes once a customer, such as signing up, ends where no new customers are taken in."""
    return Finding(
        "P05", NOTE, name,
        f"{counts}, none since, though the history goes on to {end}. That is as it should be if no "
        "newer customers were taken into these histories; if there are any, they are missing.",
        (f"If customers still join, look whether {name} still delivers, and read it again",),
        evidence,
    )  # fmt: skip


def _missed(name: str, counts: str, evidence: dict[str, Any], end: str) -> Finding:
    return Finding(
        "P05", WARNING, name,
        f"{counts}, none since, though the history goes on to {end}; at its usual pace "
        f"{evidence['missed']:,} were due. Silence that is a broken feed looks to the model like "
        "customers who left.",
        (
            f"Look whether {name} still delivers, and read it again",
            f"Say extracted_at = {evidence['last']} if what other sources brought later is astray",
        ),
        evidence,
    )  # fmt: skip


def _cohort(labelled: Labelled) -> Iterator[Finding]:
    """P06: how many customers there are to learn from."""
    customers = len(np.unique(labelled.moments.rows.customer))
    if customers >= SMALL_COHORT:
        return
    when, dates = when_of(labelled)
    yield Finding(
        "P06", WARNING, "cohort",
        f"{len(labelled):,} labelled rows {when} are of {customers:,} customers: a model can "
        "hardly say more of them than a person who knows them.",
        (
            "Widen the cohort (a longer active_within, fewer events in without)",
            "Bring the histories of more customers",
        ),
        {"customers": customers, "rows": len(labelled), **dates},
    )  # fmt: skip


def _rate(labelled: Labelled, split: Split) -> Iterator[Finding]:
    """P07 and P08: an extreme rate of the outcome, and one that moved between train and test."""
    rate = float(labelled.label.mean())
    if min(rate, 1 - rate) < RARE:
        when, dates = when_of(labelled)
        yield Finding(
            "P07", NOTE, "labels",
            f"The outcome is true of {rate:.2%} of {len(labelled):,} rows {when}; even good scores "
            "will be near that number for almost everybody.",
            ("Lengthen or shorten the horizon until the outcome is of use to act on",),
            {"rate": rate, "rows": len(labelled), **dates},
        )  # fmt: skip
    before, after = (labelled.label[part] for part in (split.train, split.test))
    old, new = float(before.mean()), float(after.mean())
    spread = np.sqrt(old * (1 - old) / len(before) + new * (1 - new) / len(after))
    if spread == 0 or abs(new - old) < SURE * spread:
        return
    if 1 / CHANGE < (new / old if old else np.inf) < CHANGE:
        return
    learnt, judged = (when_of(labelled, part)[0] for part in (split.train, split.test))
    yield Finding(
        "P08", WARNING, "labels",
        f"The outcome was true of {old:.1%} of {len(before):,} training rows {learnt} and is true "
        f"of {new:.1%} of {len(after):,} test rows {judged}: probabilities learnt from the past "
        f"will be too {'low' if new > old else 'high'}.",
        (
            "Look whether the outcome is recorded as it used to be",
            "Shorten the history to the time since the change, if it is still long enough",
        ),
        {"train_rate": old, "test_rate": new, **when_of(labelled)[1]},
    )  # fmt: skip


def _unknown(labelled: Labelled) -> Iterator[Finding]:
    """P09: more rows without a label than with one."""
    if labelled.n_unknown <= len(labelled):
        return
    why = ", ".join(f"{count:,} {reason}" for reason, count in labelled.unknown.items())
    when, dates = when_of(labelled)
    yield Finding(
        "P09", WARNING, "labels",
        f"{labelled.n_unknown:,} rows of the cohort have no label ({why}), {len(labelled):,} have, "
        f"{when}: those that can be learnt from may be unlike the others.",
        (
            "Shorten gap + horizon, so that more windows are over",
            "Leave those who can't have the outcome out of the cohort",
        ),
        {"unknown": labelled.unknown, "labelled": len(labelled), **dates},
    )  # fmt: skip
