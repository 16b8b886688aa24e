"""Checks of rows: what stands twice, what reaches from one part into another, what ids tell.

Takes evidence; gives findings about customers, splits, label windows and ids. Knows nothing
about what features say.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.durations import format_day
from features.event_log import EventLog, Ints
from training.evidence import Evidence, Floats, any_of, auroc, rank_correlation
from training.findings import LEAK, NOTE, WARNING, Finding

LEAST_EVENTS = 5
"""Two customers with fewer events than this may be alike by chance."""
TWIN_SHARE = 0.005
"""Customers that are another one's double, from which on they are told."""
UNIQUE, MONOTONE = 0.99, 0.95
"""A number that hardly ever repeats and rises with time (Spearman's correlation) is an id."""
ENOUGH = 100
ORDER_POWER, ORDER_GAIN = 0.75, 0.1
"""AUROC of the order of customers' ids, and by how much it exceeds that of when they began.
Grocery's ids have .51, a shop's .52."""


def row_checks(evidence: Evidence) -> Iterator[Finding]:
    """Everything about rows, parts and ids."""
    yield from repeated_rows(evidence)
    yield from twins(evidence)
    yield from overlapping_windows(evidence)
    yield from immature_labels(evidence)
    yield from numbers_that_are_ids(evidence)
    yield from ids_in_order(evidence)


def _parts(evidence: Evidence) -> dict[str, Ints]:
    question = evidence.question
    return {"train": question.train, "validation": question.validation, "test": question.test}


def repeated_rows(evidence: Evidence) -> Iterator[Finding]:
    """L30: the same customer and cutoff in train and in test."""
    rows = evidence.rows
    keys = np.stack([rows.customer, rows.cutoff_time], axis=1)
    seen = {tuple(key) for key in keys[evidence.question.train].tolist()}
    again = [key for key in keys[evidence.question.test].tolist() if tuple(key) in seen]
    if again:
        who, cutoff = again[0]
        yield Finding(
            "L30", LEAK, "split",
            f"{len(again):,} rows of the test part stand in the train part too, such as customer "
            f"{evidence.journeys.log.customers[who]} at {format_day(cutoff)}: the model is judged "
            "on what it was taught.",
            ("Yield each customer and cutoff_time once: select distinct, or group by.",
             "Or leave the split column out and let the rows be split by time."),
            {"n": len(again)},
        )  # fmt: skip


def twins(evidence: Evidence) -> Iterator[Finding]:
    """L31: customers with other ids and the very same journey."""
    log = evidence.journeys.log
    alike = [group for group in _same_journeys(log).values() if len(group) > 1]
    n = sum(len(group) - 1 for group in alike)
    active = int((np.diff(log.offsets) >= LEAST_EVENTS).sum())
    if not n or n < TWIN_SHARE * active:
        return
    parts = _parts(evidence)
    of = {name: set(evidence.rows.customer[rows].tolist()) for name, rows in parts.items()}
    # By time a customer stands in both parts anyway; a given split promised that none does.
    apart = not of["train"] & of["test"]
    across = sum(1 for group in alike if set(group) & of["train"] and set(group) & of["test"])
    example = [log.customers[i] for i in alike[0]]
    yield Finding(
        "L31", LEAK if apart and across else WARNING, "customers",
        f"{n:,} of {active:,} customers are doubles: another id has the same events at the same "
        f"times, such as {any_of(example)}; {across:,} of these journeys stand in train and test.",
        (
            "Merge the ids in the SQL: one customer, one id.",
            "Or yield each event once; a join may have multiplied them.",
        ),
        {"n_doubles": n, "n_customers": active, "across_parts": across},
    )  # fmt: skip


def _same_journeys(log: EventLog) -> dict[int, list[int]]:
    """Customers by a 64-bit digest of their events; those with few events are left out."""
    columns: list[NDArray[Any]] = [log.event_time, log.event.codes.astype(np.int64)]
    columns += [column.view(np.int64) for column in log.numbers.values()]
    columns += [column.codes.astype(np.int64) for column in log.categories.values()]
    mixed = np.zeros(log.n_events, np.uint64)
    for column in columns:  # multiplications wrap, as in any such hash
        mixed = (mixed ^ column.view(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    upto = np.concatenate([np.zeros(1, np.uint64), np.cumsum(mixed)])
    digest = upto[log.offsets[1:]] - upto[log.offsets[:-1]]
    busy = np.flatnonzero(np.diff(log.offsets) >= LEAST_EVENTS)
    order = busy[np.argsort(digest[busy], kind="stable")]
    again = np.flatnonzero(digest[order][1:] == digest[order][:-1])
    found: dict[int, list[int]] = defaultdict(list)
    for place in np.unique(np.concatenate([again, again + 1])).tolist():
        found[int(digest[order[place]])].append(int(order[place]))
    return found


def overlapping_windows(evidence: Evidence) -> Iterator[Finding]:
    """L32: label windows of train reach into test, for the same customers."""
    question, rows = evidence.question, evidence.rows
    first = np.full(int(rows.customer.max()) + 1, np.iinfo(np.int64).max)
    np.minimum.at(first, rows.customer[question.test], rows.cutoff_time[question.test])
    mine = question.train
    reaches = question.closes[mine] > first[rows.customer[mine]]
    n = int(reaches.sum())
    if n < max(1, 0.001 * len(mine)):
        return
    example = int(mine[np.flatnonzero(reaches)[0]])
    yield Finding(
        "L32", LEAK, "split",
        f"The label windows of {n:,} of {len(mine):,} train rows end after the same customer's "
        f"first test cutoff, such as customer "
        f"{evidence.journeys.log.customers[int(rows.customer[example])]}, cutoff "
        f"{format_day(int(rows.cutoff_time[example]))}: train labels hold what test asks.",
        ("Put gap + horizon between the newest train cutoff and the first test cutoff.",
         "Or leave the split column out and let the rows be split by time, with purge."),
        {"n": n, "of": len(mine)},
    )  # fmt: skip


def immature_labels(evidence: Evidence) -> Iterator[Finding]:
    """L33: labels of rows whose window goes on after the end of the history."""
    open_ = evidence.question.closes > evidence.end
    n = int(open_.sum())
    if evidence.problem.labels is None or not n:
        return
    rate = float(evidence.label[open_].mean())
    other = float(evidence.label[~open_].mean()) if n < len(open_) else 0.0
    yield Finding(
        "L33", WARNING, "labels",
        f"{n:,} rows have a label although their window ends after the history does "
        f"({format_day(evidence.end)}); {rate:.1%} of them are positive, of the others "
        f"{other:.1%}. An outcome that has not happened yet is not a 0.",
        ("Leave the label null where cutoff_time + gap + horizon lies after the end.",),
        {"n": n, "rate": rate, "rate_others": other},
    )  # fmt: skip


def numbers_that_are_ids(evidence: Evidence) -> Iterator[Finding]:
    """L35: a number that never repeats and rises with time, such as an order's id."""
    log = evidence.journeys.log
    for of, column in log.numbers.items():
        filled = ~np.isnan(column)
        values = column[filled]
        if len(values) < ENOUGH or not evidence.reads(of) or (values % 1 != 0).any():
            continue
        if len(np.unique(values)) < UNIQUE * len(values):
            continue
        rho = rank_correlation(values, log.event_time[filled])
        if abs(rho) < MONOTONE:
            continue
        n_read = int(evidence.columns_reading([of]).sum())
        yield Finding(
            "L35", WARNING, of,
            f"{of!r} looks like an id: {len(np.unique(values)):,} different whole numbers in "
            f"{len(values):,} events, rising with time (rank correlation {rho:.2f}). "
            f"{n_read:,} features read it and learn the date from it.",
            (f'Leave it out: ignore = ["{of}"] in [features].',
             "Or yield it as event_id, which no feature reads."),
            {"n": len(values), "rank_correlation": rho, "n_features": n_read},
        )  # fmt: skip


def ids_in_order(evidence: Evidence) -> Iterator[Finding]:
    """L35: customers whose ids are in the order of the outcome.

    Ids that follow the date of sign-up are usual; only what they say beyond it is told.
    """
    log, rows = evidence.journeys.log, evidence.rows
    customers = np.unique(rows.customer)
    hits = np.bincount(rows.customer, evidence.label, minlength=log.n_customers)[customers]
    label = (hits > 0).astype(np.int8)
    busy = np.diff(log.offsets)[customers] > 0
    customers, label = customers[busy], label[busy]
    if min(int(label.sum()), int(len(label) - label.sum())) < ENOUGH // 5:
        return
    place = _by_number(log.customers)[customers]
    began = log.event_time[log.offsets[customers]]
    power = auroc(label, place)
    known = auroc(label, began.astype(np.float64))
    rho = rank_correlation(place, began)
    counts = {"auroc": power, "auroc_of_first_event": known, "rank_correlation": rho}
    if max(power, 1 - power) >= max(ORDER_POWER, max(known, 1 - known) + ORDER_GAIN):
        yield Finding(
            "L35", WARNING, "customer",
            f"The ids of customers are in the order of the outcome (AUROC {power:.2f}; when they "
            f"began gives {known:.2f}): the export was sorted, or ids were given afterwards.",
            ("Never use the id, or the order of rows, as a property.",
             "Look how the customers of the export were chosen."),
            counts,
        )  # fmt: skip
    elif abs(rho) >= MONOTONE:
        yield Finding(
            "L35", NOTE, "customer",
            f"The ids of customers encode when they began (rank correlation {rho:.2f}). No feature "
            "reads them.",
            (),
            counts,
        )  # fmt: skip


def _by_number(customers: tuple[str, ...]) -> Floats:
    """The place of each id when digits count as numbers: c2 before c10."""

    def key(text: str) -> tuple[int, str]:
        digits = "".join(c for c in text if c.isdigit())
        return (int(digits[-18:] or 0), text)

    order = sorted(range(len(customers)), key=lambda i: key(customers[i]))
    out = np.empty(len(customers))
    out[order] = np.arange(len(customers))
    return out
