"""The parts of a report: rows of tables and pictures, each from what a run found.

Takes `Told`; gives plain values for the page. Knows nothing about HTML but the pictures that it
passes on.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from features.durations import format_day
from features.engine import Matrix
from features.event_log import Ints
from features.feature import Feature, spoken
from models.fitted import band
from training.baselines import rule_score
from training.bootstrap import Interval
from training.evaluation import MODEL
from training.label_table import SPLITS
from training.pictures import (
    Lane,
    bar_range,
    gain_picture,
    interval_bar,
    lift_picture,
    reliability_picture,
    time_line,
)
from training.report_words import METRICS, Told, between, called, figure, signed, unknown_words
from training.shap_pictures import beeswarm, dependence, described, strongest
from training.weighted import Floats, Labels

MOST_SHOWN = 1_500
"""Rows of the test part whose contributions are computed."""
SWARMS, CURVES = 12, 4
"""Features of the beeswarm, and of them those with a plot of their own."""
EXAMPLE_REASONS = 5
MEANINGLESS = {("base_rate", "calibration_slope"), ("base_rate", "calibration_intercept")}
"""Metrics of a score that is the same for everybody."""


def counts(told: Told) -> list[dict[str, Any]]:
    """Rows, positives and times of each part, and what was left out."""
    ready = told.ready
    moments, label = ready.labelled.moments, ready.labelled.label
    rows = []
    for name in SPLITS:
        chosen = getattr(ready.split, name)
        cutoff, closes = moments.rows.cutoff_time[chosen], moments.closes[chosen]
        rows.append(
            {
                "part": name.capitalize(),
                "n": len(chosen),
                "customers": len(np.unique(moments.rows.customer[chosen])),
                "positives": int(label[chosen].sum()),
                "rate": float(label[chosen].mean()),
                "from": format_day(int(cutoff.min())),
                "to": format_day(int(cutoff.max())),
                "closes": format_day(int(closes.max())),
            }
        )
    return rows


def left_out(told: Told) -> list[tuple[str, int]]:
    """Rows of the cohort whose outcome is unknown, by reason; the split's notes tell of others."""
    return [(unknown_words(why), n) for why, n in told.ready.labelled.unknown.items()]


def time_line_of(told: Told) -> Markup:
    """Lanes of the history, of the three parts and of what was purged."""
    ready = told.ready
    moments = ready.labelled.moments
    lanes = []
    days = [
        np.datetime64(source[key].rstrip("Z"), "us").astype(np.int64)
        for source in told.manifest.get("sources", ())
        for key in ("first", "last")
        if source[key] is not None
    ]
    if days:
        lanes.append(Lane("Events read", "history", np.array([min(days), max(days)])))
    used = np.zeros(len(ready.labelled), dtype=bool)
    for name in SPLITS:
        chosen = getattr(ready.split, name)
        used[chosen] = True
        lanes.append(_lane(f"{name.capitalize()}, {len(chosen):,} rows", name, told, chosen))
    purged = np.flatnonzero(~used)
    if len(purged):
        purge = Lane(f"Purged, {len(purged):,} rows", "purge", moments.rows.cutoff_time[purged])
        lanes.append(purge)
    return time_line(lanes)


def _lane(name: str, kind: str, told: Told, chosen: Ints) -> Lane:
    moments = told.ready.labelled.moments.take(chosen)
    cutoff = moments.rows.cutoff_time
    if not (moments.closes > cutoff).any():
        return Lane(name, kind, cutoff)
    return Lane(name, kind, cutoff, int(moments.opens.min()), int(moments.closes.max()))


def metric_table(told: Told) -> dict[str, Any]:
    """Every metric of the model and its rivals, with intervals."""
    assert told.verdict is not None
    intervals = told.verdict.judgement.intervals
    value = told.ready.problem.value
    unit = "outcomes a row" if value is None else spoken(value.sum)
    order = [MODEL, "logistic", "best_rule", "base_rate"]
    names = [n for n in order if n in intervals] + [n for n in intervals if n not in order]
    rows = []
    for metric, wording in METRICS.items():
        cells = [
            None if (name, metric) in MEANINGLESS
            else _cell(intervals[name].get(metric), wording.digits)
            for name in names
        ]  # fmt: skip
        says = wording.says + (f", in {unit}" if metric == "expected_value" else "")
        rows.append({"title": wording.title, "says": says, "cells": cells})
    return {"heads": [called(name) for name in names], "rows": rows}


def _cell(interval: Interval | None, digits: int) -> dict[str, str] | None:
    if interval is None:
        return None
    low, high = figure(interval.low, digits), figure(interval.high, digits)
    return {
        "value": figure(interval.value, digits),
        "between": between(interval, digits) if low != high else "",
    }


def forests(told: Told) -> list[dict[str, Any]]:
    """The model less each rival, by metric: what tells whether it is better."""
    assert told.verdict is not None
    differences = told.verdict.judgement.differences
    found = []
    for metric in ("average_precision", "auroc", "expected_value"):
        of = {name: d[metric] for name, d in differences.items() if metric in d}
        if not of:
            continue
        low, high = bar_range(list(of.values()), 0.0)
        digits = METRICS[metric].digits
        lines = [
            {
                "name": called(name).lower(),
                "value": signed(over.value, digits),
                "between": between(over, digits, with_sign=True),
                "bar": interval_bar(
                    over, low, high, 0.0,
                    f"{METRICS[metric].title} over {called(name)}: {signed(over.value, digits)}, "
                    f"{between(over, digits, with_sign=True)}",
                ),
            }
            for name, over in of.items()
        ]  # fmt: skip
        found.append({"title": METRICS[metric].title, "lines": lines})
    return found


def claim_rows(told: Told) -> list[tuple[str, str, str, str]]:
    """What a random split would have claimed, beside the truth."""
    assert told.looked is not None and told.looked.claim is not None and told.verdict is not None
    claim, truth = told.looked.claim, told.verdict.metrics
    return [
        (METRICS[name].title, figure(claimed), figure(true), signed(claimed - true))
        for name, claimed, true in (
            ("auroc", claim.auroc, truth.auroc),
            ("average_precision", claim.average_precision, truth.average_precision),
        )
    ]


def quality_pictures(told: Told, probability: Floats) -> dict[str, Any]:
    """Calibration, gain and lift on the test part."""
    ready = told.ready
    matrix, label = ready.parts["test"]
    customer = ready.labelled.moments.rows.customer[ready.split.test]
    scores = {MODEL: probability}
    if told.verdict is not None and told.verdict.rule is not None:
        column, sign = told.verdict.rule
        scores["rule"] = rule_score(matrix[:, column], sign)
    capacity = ready.problem.action.capacity
    return {
        "reliability": reliability_picture(label, probability, customer),
        "gain": gain_picture(label, scores, capacity),
        "lift": lift_picture(label, scores, capacity),
        "has_rule": "rule" in scores,
        "capacity": f"{capacity:.0%}",
        "rate": f"{float(label.mean()):.1%}",
    }


def moving(told: Told) -> dict[str, Any]:
    """What moves the scores: a table, a beeswarm, and a plot each of the strongest."""
    matrix = told.ready.parts["test"][0]
    n_shown = min(len(matrix), MOST_SHOWN)
    shown = matrix[np.linspace(0, len(matrix) - 1, n_shown).astype(np.int64)]
    features, names = told.model.contract.features, told.model.contract.names
    values, _ = told.model.contributions(shown)
    columns = strongest(values, SWARMS)
    if not columns:
        return {}
    strength = np.abs(values).mean(axis=0)
    top = max(float(strength[column]) for column in columns)
    return {
        "n": len(shown),
        "n_features": len(features),
        "n_used": int((strength > 0).sum()),
        "rows": [
            {"says": described(features[c]), "name": names[c], "strength": figure(strength[c], 3),
             "width": f"{100 * strength[c] / top:.1f}%"}
            for c in columns
        ],
        "beeswarm": beeswarm(features, columns, values, shown),
        "curves": [
            (described(features[c]), dependence(features[c], shown[:, c], values[:, c]))
            for c in _different(features, columns)
        ],
    }  # fmt: skip


def _different(features: Sequence[Feature], columns: Sequence[int]) -> list[int]:
    """The strongest columns of different groups: windows of one count draw one curve."""
    first: dict[str, int] = {}
    for column in columns:
        first.setdefault(features[column].group, column)
    chosen = list(first.values())[:CURVES]
    return chosen + [c for c in columns if c not in chosen][: CURVES - len(chosen)]


def examples(told: Told, probability: Floats) -> list[dict[str, Any]]:
    """Customers of the test part, from a high score to a low one, with reasons in words."""
    matrix, label = told.ready.parts["test"]
    rows = list(_chosen(label, probability))
    vectors = matrix[[row for _, row in rows]]
    contributions, base = told.model.contributions(vectors)
    percentile = told.model.percentiles(probability[[row for _, row in rows]])
    personas = _personas(told, vectors)
    cutoff = told.ready.labelled.moments.rows.cutoff_time[told.ready.split.test]
    found = []
    for place, (title, row) in enumerate(rows):
        why = told.model.explainer.explain(
            vectors[place], contributions[place], float(base[place]), EXAMPLE_REASONS,
            None if personas is None else personas[place],
        )  # fmt: skip
        found.append(
            {
                "title": title,
                "score": f"{probability[row]:.1%}",
                "band": band(float(percentile[place])),
                "asked": format_day(int(cutoff[row])) if len(cutoff) == len(label) else "",
                "came": bool(label[row]),
                "start": f"{why.base:.1f}%",
                "reasons": [
                    {"points": signed(r.points, 1), "raises": r.points > 0, "says": r.statement}
                    for r in why.reasons
                ],
            }
        )
    return found


def _personas(told: Told, vectors: Matrix) -> list[str | None] | None:
    """The name of each row's persona, where the model has any."""
    personas = told.model.contract.personas
    if personas is None:
        return None
    found = [personas.of(code) for code in personas.assign(vectors).tolist()]
    return [None if persona is None else persona.name for persona in found]


def _chosen(label: Labels, probability: Floats) -> Iterator[tuple[str, int]]:
    """Rows by their score: near the top, the boldest error, the middle, near the bottom."""
    order = np.argsort(-probability, kind="stable")
    seen = set()
    wrong = order[label[order] == 0]
    places = (
        ("A high score", int(order[len(order) // 100])),
        ("The highest score whose outcome did not come", int(wrong[0])),
        ("A score in the middle", int(order[len(order) // 2])),
        ("A low score", int(order[len(order) - 1 - len(order) // 100])),
    )
    for title, row in places:
        if row not in seen:
            seen.add(row)
            yield title, row
