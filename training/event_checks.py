"""Checks of events: those that only an outcome writes, and times that are not what they say.

Takes evidence; gives findings about kinds of events, their times and their properties. Knows
nothing about attributes, splits or models.
"""

import re
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from features.durations import DAY, MISSING_TIME, days, format_day, format_moment
from features.engine import compute_exact, count_visible, first_recorded
from features.event_log import EventLog, Ints, empty_log
from features.feature import Feature
from features.language import Events, events
from features.operations import NEVER
from training.evidence import Evidence, Mask, least_share
from training.findings import LEAK, NOTE, WARNING, Finding

ENOUGH_CUSTOMERS = 20
"""Customers behind a claim about an event; with fewer it may be chance."""
ENOUGH_EVENTS = 100
ECHO_RATE = 0.90
"""Rows that have just seen an event are positive at least this often (the lower end of the
interval): the event is the outcome in other words. On the clean histories the highest was .12
(grocery, its base rate) and .49 (a shop's tickets, whose waits drive customers away by design)."""
LIKELY_BASE = 0.5
"""Where more rows than this are positive anyway, an event before one says nothing."""
AT_RATE, NEAR_DIFFERENCE = 0.99, 0.2
"""Rows with an event at the very cutoff are nearly all alike, and differ this much from rows
that had one within the week before: the label window includes the cutoff."""
NEAR = days(7)
WRITTEN_LATER_SHARE = 0.2
"""A date property lies after its event at least this often before anybody asks why."""
EXPECTED_BEYOND = 7
"""Dates that a plan would have put beyond the end of the history; a record has none there, and
by chance none is there once in a thousand times (Poisson, e^-7)."""
HINDSIGHT_LEAK, HINDSIGHT_WARNING = 0.90, 0.80
"""AUROC of whether a property is filled. The clean histories have no property that is filled for
some events of a kind only; a reason for leaving that was written into older orders has .946."""
BULK_SHARE, BULK_DAY_SHARE = 0.05, 0.5
"""Events of a kind at one instant, and on one day where only days are told. The largest day of
grocery's campaigns holds 25 % of them, of its redemptions 3 %."""
ROUNDED_SHARE = 0.98
BEFORE_SHARE = 0.01
"""Events before the customer's beginning; a few are typing errors."""
BEGINNING_WORDS = re.compile(
    r"sign(ed)?_?up|sign(ed)?_?on|joined|join_date|registered|registration|created|activated|"
    r"customer_since|^since$|opened_at|onboarded",
    re.IGNORECASE,
)
"""Names of events and dates that say when a customer began."""


def event_checks(evidence: Evidence) -> Iterator[Finding]:
    """Everything about the events themselves."""
    yield from echoes(evidence)
    yield from closed_window(evidence)
    yield from dates_written_later(evidence)
    yield from filled_in_hindsight(evidence)
    yield from stamped_in_bulk(evidence)
    yield from rounded_times(evidence)
    yield from before_the_beginning(evidence)


def _kinds(evidence: Evidence) -> Iterator[tuple[str, Mask]]:
    """Each kind of event and which events are of it; the outcome's own are left out."""
    outcome = evidence.problem.outcome
    own = set() if outcome is None else {outcome.silence_of, outcome.event, outcome.not_}
    column = evidence.journeys.log.event
    for code, name in enumerate(column.levels):
        if name not in own:
            yield name, np.asarray(column.codes == code)


def _who(log: EventLog) -> Ints:
    return np.repeat(np.arange(log.n_customers), np.diff(log.offsets))


def echoes(evidence: Evidence) -> Iterator[Finding]:
    """L10: rows that have just seen an event are all positive.

    Looked at over one horizon before the cutoff, where features would read the event, and
    again inside the label window, where it is only worth a note.
    """
    if evidence.base_rate > LIKELY_BASE:
        return
    log, rows, label = evidence.journeys.log, evidence.rows, evidence.label
    length = evidence.problem.horizon or days(30)
    for name, _ in _kinds(evidence):
        where = events(name).where
        seen = count_visible(log, rows, where, length) > 0
        found = _rate(evidence, seen)
        if found is not None:
            yield _echo(evidence, name, seen, found)
            continue
        opens = evidence.question.closes - length
        inside = first_recorded(log, where, rows.customer, opens, evidence.question.closes) < NEVER
        found = _rate(evidence, inside)
        if found is not None:
            yield Finding(
                "L10", NOTE, name,
                f"{name!r} occurs in the label window of {int(inside.sum()):,} rows, and "
                f"{found:.1%} of them are positive: it seems to be written when the outcome "
                f"happens. No row has it shortly before its cutoff, so no feature gains from it.",
                (),
                {"n_rows": int(inside.sum()), "rate": found, "positives": int(label.sum())},
            )  # fmt: skip


def _rate(evidence: Evidence, chosen: Mask) -> float | None:
    """The positive share of some rows if it is implausibly high for enough customers."""
    who = evidence.rows.customer[chosen]
    customers = len(np.unique(who))
    if customers < ENOUGH_CUSTOMERS:
        return None
    rate = float(evidence.label[chosen].mean())
    # Rows of one customer are alike: the interval counts customers.
    return rate if least_share(round(rate * customers), customers) >= ECHO_RATE else None


def _echo(evidence: Evidence, name: str, seen: Mask, rate: float) -> Finding:
    n, customers = int(seen.sum()), len(np.unique(evidence.rows.customer[seen]))
    share = float(evidence.label[seen].sum() / max(evidence.label.sum(), 1))
    return Finding(
        "L10", LEAK, name,
        f"{name!r} occurs only around the outcome: of {n:,} rows ({customers:,} customers) that "
        f"had one shortly before the cutoff {rate:.1%} are positive, of all rows "
        f"{evidence.base_rate:.1%}; it marks {share:.0%} of the positives.",
        (
            f'If it means that the customer has left, leave them out: without = ["{name}"] in the '
            "problem's cohort.",
            "If it is written afterwards, give its source a recorded_time: when the company "
            "could know of it.",
            "If neither, take it out of the events.",
        ),
        {"n_rows": n, "n_customers": customers, "rate": rate, "base_rate": evidence.base_rate,
         "share_of_positives": share},
    )  # fmt: skip


def closed_window(evidence: Evidence) -> Iterator[Finding]:
    """L11: with labels that the business brings, an event at the cutoff decides the label."""
    if evidence.problem.labels is None:
        return
    log, rows, label = evidence.journeys.log, evidence.rows, evidence.label
    for name in log.event.levels:
        where = events(name).where
        cutoff = rows.cutoff_time
        at = first_recorded(log, where, rows.customer, cutoff - 1, cutoff) < NEVER
        near = first_recorded(log, where, rows.customer, cutoff - NEAR, cutoff - 1) < NEVER
        near &= ~at
        if min(len(np.unique(rows.customer[part])) for part in (at, near)) < ENOUGH_CUSTOMERS:
            continue
        rate, other = float(label[at].mean()), float(label[near].mean())
        alike = max(rate, 1 - rate) >= AT_RATE
        if alike and abs(rate - other) >= NEAR_DIFFERENCE:
            yield Finding(
                "L11", LEAK, name,
                f"Of {int(at.sum()):,} rows with {name!r} at the very cutoff {rate:.1%} are "
                f"positive, of {int(near.sum()):,} with one in the week before {other:.1%}: the "
                "label window seems to include the cutoff, so one event is feature and label.",
                (
                    "Count the outcome after the cutoff only: cutoff_time < event_time in the SQL "
                    "of the labels.",
                    "Or declare the outcome instead of bringing labels.",
                ),
                {"n_at": int(at.sum()), "rate_at": rate, "n_near": int(near.sum()),
                 "rate_near": other},
            )  # fmt: skip


def dates_written_later(evidence: Evidence) -> Iterator[Finding]:
    """L12: a date property that lies after its event, and never beyond the end of the history.

    A plan such as a renewal date would reach beyond the end; a record of what came later,
    such as the day on which a ticket was closed, can't.
    """
    log = evidence.journeys.log
    for of, column in log.times.items():
        if not evidence.reads(of) or _is_problems_date(evidence, of):
            continue
        filled = column != MISSING_TIME
        later = filled & (column > log.recorded_time)
        n, n_later = int(filled.sum()), int(later.sum())
        if n_later < ENOUGH_EVENTS or n_later < WRITTEN_LATER_SHARE * n:
            continue
        ahead = column[later] - log.recorded_time[later]
        # What a plan would look like: the usual distances from every event that could have one.
        kinds = np.isin(log.event.codes, np.unique(log.event.codes[filled]))
        begins = log.recorded_time[kinds]
        drawn = np.random.default_rng(evidence.seed).choice(ahead, len(begins))
        expected = int((begins + drawn > evidence.end).sum() * (n_later / len(begins)))
        beyond = int((column[filled] > evidence.end + DAY).sum())
        if expected < EXPECTED_BEYOND or beyond > 0.05 * expected:
            continue
        yield Finding(
            "L12", LEAK, of,
            f"The date {of!r} lies after its event in {n_later:,} of {n:,} events, yet never after "
            f"the end of the history ({format_day(evidence.end)}), where some {expected:,} would "
            "lie if it were a plan: it was written later into events that were already there.",
            (
                f"Yield it as an event of its own, with {of} as its event_time.",
                f'Or leave it out: ignore = ["{of}"] in [features].',
            ),
            {"n": n, "n_later": n_later, "expected_beyond_end": expected, "beyond_end": beyond,
             "median_days_later": float(np.median(ahead) / DAY)},
        )  # fmt: skip


def _is_problems_date(evidence: Evidence, of: str) -> bool:
    """Whether the problem itself is asked about this date."""
    problem = evidence.problem
    named = {problem.before.property if problem.before else None}
    named.add(problem.outcome.by if problem.outcome else None)
    return of in named


def filled_in_hindsight(evidence: Evidence) -> Iterator[Finding]:
    """L13: whether a property is filled at all tells the outcomes apart."""
    log = evidence.journeys.log
    present: dict[str, NDArray[np.bool_]] = {
        **{of: ~np.isnan(column) for of, column in log.numbers.items()},
        **{of: column.codes >= 0 for of, column in log.categories.items()},
        **{of: column != MISSING_TIME for of, column in log.times.items()},
    }
    present = {of: column for of, column in present.items() if evidence.reads(of)}
    asked: list[tuple[str, str, Feature]] = []
    for code, name in enumerate(log.event.levels):
        mine = log.event.codes == code
        for of, column in present.items():
            share = float(column[mine].mean()) if mine.any() else 0.0
            if 0.002 < share < 0.998:
                asked.append((name, of, Events(events(name).where).mean(of)))
    if not asked:
        return
    marks = replace(log, numbers={of: present[of].astype(float) for _, of, _ in asked})
    nobody = empty_log(log.customers)
    matrix = compute_exact([feature for _, _, feature in asked], marks, nobody, evidence.rows)
    for position, (name, of, _) in enumerate(asked):
        power = evidence.lasting_power(matrix[:, position])
        if power.auroc < HINDSIGHT_WARNING:
            continue
        yield Finding(
            "L13", LEAK if power.auroc >= HINDSIGHT_LEAK else WARNING, of,
            f"Whether {of!r} of {name!r} is filled tells the outcomes apart on its own: "
            f"{power.says}. It looks like "
            "something that is filled in once the outcome is known.",
            (
                "Yield it as an event of its own, with the time at which it was filled in.",
                f'Or leave it out: ignore = ["{of}"] in [features].',
            ),
            {**power.to_json(), "event": name},
        )  # fmt: skip


def stamped_in_bulk(evidence: Evidence) -> Iterator[Finding]:
    """L14: many events of a kind carry one and the same time."""
    log = evidence.journeys.log
    who = _who(log)
    for code, name in enumerate(log.event.levels):
        mine = np.flatnonzero(log.event.codes == code)
        if len(mine) < ENOUGH_EVENTS or (log.recorded_time[mine] > log.event_time[mine]).any():
            continue
        times, count = np.unique(log.event_time[mine], return_counts=True)
        span = int(times[-1] - times[0])
        most = int(count.argmax())
        whole_days = bool((times % DAY == 0).all())
        share = float(count[most] / len(mine))
        customers = len(np.unique(who[mine][log.event_time[mine] == times[most]]))
        bound = BULK_DAY_SHARE if whole_days else BULK_SHARE
        if share < bound or customers < ENOUGH_CUSTOMERS or (len(times) > 1 and span < days(30)):
            continue
        moment = format_day(int(times[most])) if whole_days else format_moment(int(times[most]))
        yield Finding(
            "L14", WARNING, name,
            f"{int(count[most]):,} of {len(mine):,} {name!r} events ({share:.0%}, {customers:,} "
            f"customers) carry the same time, {moment}: that is when they were written, or a "
            "filler, and not when they happened.",
            (
                "Yield the true time as event_time and the time of writing as recorded_time.",
                "If the true times are lost, begin the source after that moment.",
            ),
            {"n": int(count[most]), "of": len(mine), "n_customers": customers, "time": moment},
        )  # fmt: skip


def rounded_times(evidence: Evidence) -> Iterator[Finding]:
    """L15: a kind of event is always at midnight among others that are not, or at month ends."""
    log = evidence.journeys.log
    midnight = log.event_time % DAY == 0
    clock = not log.date_only and float(midnight.mean()) < 0.5
    day = (log.event_time // DAY).astype("datetime64[D]")
    first = day == day.astype("datetime64[M]").astype("datetime64[D]")
    ends = first | (day + 1 == (day + 1).astype("datetime64[M]").astype("datetime64[D]"))
    for code, name in enumerate(log.event.levels):
        mine = log.event.codes == code
        n = int(mine.sum())
        if n < ENOUGH_EVENTS or (log.recorded_time[mine] > log.event_time[mine]).any():
            continue
        if clock and float(midnight[mine].mean()) >= ROUNDED_SHARE:
            yield Finding(
                "L15", WARNING, name,
                f"All {n:,} {name!r} events stand at midnight while other events carry a time of "
                "day: they are seen up to a day before they happened.",
                ("Add a day: event_time + interval 1 day as recorded_time.",
                 "Or let cutoffs and all other events stand at midnight too."),
                {"n": n},
            )  # fmt: skip
        elif float(ends[mine].mean()) >= ROUNDED_SHARE and len(np.unique(day[mine])) > 2:
            yield Finding(
                "L15", WARNING, name,
                f"{float(ends[mine].mean()):.0%} of {n:,} {name!r} events stand on the first or "
                "last day of a month: a period was booked, and events of the month may be seen "
                "weeks before they happened.",
                ("Give the source a recorded_time: when its period was closed.",),
                {"n": n},
            )  # fmt: skip


def before_the_beginning(evidence: Evidence) -> Iterator[Finding]:
    """L16: events before the date or event by which a customer began."""
    log, attributes = evidence.journeys.log, evidence.journeys.attributes
    begins: dict[str, Ints] = {}
    for code, name in enumerate(log.event.levels):
        if BEGINNING_WORDS.search(name.replace(" ", "_")):
            begins[name] = _first(log, log.event.codes == code, log.event_time)
    for of, column in attributes.times.items():
        if BEGINNING_WORDS.search(of):
            begins[of] = _first(attributes, column != MISSING_TIME, column)
    who = _who(log)
    for name, begin in begins.items():
        known = begin[who] != MISSING_TIME
        early = known & (log.event_time // DAY < begin[who] // DAY)
        n, n_early = int(known.sum()), int(early.sum())
        if n < ENOUGH_EVENTS or n_early < BEFORE_SHARE * n:
            continue
        kinds = {
            kind: (int(early[mine].sum()), int(known[mine].sum()))
            for code, kind in enumerate(log.event.levels)
            for mine in [log.event.codes == code]
            if early[mine].any()
        }
        told = ", ".join(
            f"{100 * some / of_all:.0f} % of {kind!r}"
            for kind, (some, of_all) in sorted(kinds.items(), key=lambda item: -item[1][0])[:3]
        )
        yield Finding(
            "L16", WARNING, name,
            f"{n_early:,} of {n:,} events ({n_early / n:.0%}) precede their customer's {name!r}: "
            f"{told}. Dates or ids of a source are wrong.",
            (
                "Look whether both sources mean the same customer, and the same kind of date.",
                "Leave out the source, or the date, that can't be trusted.",
            ),
            {"n": n, "n_early": n_early, "kinds": {k: list(v) for k, v in kinds.items()}},
        )  # fmt: skip


def _first(log: EventLog, chosen: NDArray[np.bool_], times: Ints) -> Ints:
    """The first of some times of each customer, `MISSING_TIME` without one."""
    latest = np.iinfo(np.int64).max
    out = np.full(log.n_customers, latest)
    np.minimum.at(out, _who(log)[chosen], times[chosen])
    return np.where(out == latest, MISSING_TIME, out)
