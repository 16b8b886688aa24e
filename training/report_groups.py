"""The report's tables of groups: periods, gaps, the back-test, kinds of customer, personas.

Takes `Told`; gives rows as plain values, each with a bar of its AUROC. Knows nothing about HTML
but the pictures that it passes on.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from features.feature import feature_names
from training.evaluation import MODEL, Judgement
from training.pictures import bar_range, interval_bar
from training.report_words import Told, between, figure, signed
from training.shap_pictures import described
from training.slices import PERSONA, Group


@dataclass(frozen=True)
class Scale:
    """What the bars of a table share: their range, and what they are held against."""

    low: float
    high: float
    mark: float

    @staticmethod
    def of(judged: Iterable[Judgement | None], mark: float) -> "Scale":
        """A scale that holds the AUROC of all that were judged."""
        intervals = [one.intervals[MODEL]["auroc"] for one in judged if one is not None]
        return Scale(*bar_range(intervals, mark), mark)


def group_rows(told: Told, groups: Sequence[Group]) -> list[dict[str, Any]]:
    """Groups as rows of a table, with bars held against the whole test part."""
    return _group_rows(groups, _scale(told, groups))


def _scale(told: Told, groups: Sequence[Group]) -> Scale:
    mark = 0.5 if told.verdict is None else told.verdict.metrics.auroc
    return Scale.of((group.judgement for group in groups), mark)


def _group_rows(groups: Iterable[Group], scale: Scale) -> list[dict[str, Any]]:
    return [
        {
            "level": group.level,
            "n": group.n,
            "rate": f"{group.n_positive / group.n:.1%}",
            "score": f"{group.mean_score:.1%}",
            **({} if group.judgement is None else _judged(group.judgement, group.level, scale)),
        }
        for group in groups
    ]


def _judged(judgement: Judgement, name: str, scale: Scale) -> dict[str, Any]:
    mine = judgement.intervals[MODEL]
    auroc, precision = mine["auroc"], mine["average_precision"]
    row: dict[str, Any] = {
        "auroc": figure(auroc.value, 2),
        "auroc_between": between(auroc, 2),
        "precision": figure(precision.value, 2),
        "precision_between": between(precision, 2),
        "bar": interval_bar(
            auroc, scale.low, scale.high, scale.mark,
            f"{name}: AUROC {figure(auroc.value, 2)}, {between(auroc, 2)}",
        ),
    }  # fmt: skip
    if "best_rule" in judgement.differences:
        rule = judgement.differences["best_rule"]["average_precision"]
        row["over"] = signed(rule.value, 2)
        row["over_between"] = between(rule, 2, with_sign=True)
    return row


def backtest_rows(told: Told) -> list[dict[str, Any]]:
    """A row a period of the back-test, oldest first."""
    assert told.looked is not None
    periods = told.looked.backtest
    mark = 0.5 if told.verdict is None else told.verdict.metrics.auroc
    scale = Scale.of((period.judgement for period in periods), mark)
    return [
        {
            "level": period.first_cutoff,
            "until": period.last_cutoff,
            "n": period.judgement.metrics.n,
            "rate": f"{period.judgement.metrics.base_rate:.1%}",
            "score": f"{float(period.score.mean()):.1%}",
            "n_train": period.n_train,
            **_judged(period.judgement, period.first_cutoff, scale),
        }
        for period in periods
    ]


def slice_tables(told: Told) -> list[dict[str, Any]]:
    """A table a category: rows that were judged, and the names of those that are too small."""
    assert told.verdict is not None
    slices = [group for group in told.verdict.slices if group.by != PERSONA]
    feature = dict(zip(feature_names(told.ready.features), told.ready.features, strict=True))
    tables, scale = [], _scale(told, slices)
    for by in dict.fromkeys(group.by for group in slices):
        groups = [group for group in slices if group.by == by]
        judged = [group for group in groups if group.judgement is not None]
        if len(judged) < 2:
            continue  # one level, or none, tells no difference
        title = described(feature[by]) if by in feature else by.replace("_", " ")
        small = [f"{g.level} ({g.n:,})" for g in groups if g.judgement is None]
        tables.append(
            {"title": title, "rows": _group_rows(judged, scale), "small": ", ".join(small)}
        )
    return tables


def persona_rows(told: Told) -> list[dict[str, Any]]:
    """Each persona in words, and how good the scores of its customers are."""
    personas = told.model.contract.personas
    if personas is None:
        return []
    groups = [g for g in told.verdict.slices if g.by == PERSONA] if told.verdict else []
    rows = {group.level: row for group, row in zip(groups, group_rows(told, groups), strict=True)}
    return [
        {"name": one.name, "says": one.says, "share": f"{one.share:.0%}",
         **rows.get(one.name, {})}
        for one in personas.personas
    ]  # fmt: skip
