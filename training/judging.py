"""The test part judged from every side: intervals, rivals, gaps, periods, kinds of customer.

Takes prepared rows and the model's probabilities of the test part; gives the whole verdict
as plain data. Knows nothing about how the model was fitted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from features.event_log import Ints
from training.backtest import Claim, Period, Pool, backtest, pool, random_split_claims
from training.baselines import Baseline, baselines, best_rule, fit_logistic, rivals
from training.bootstrap import Interval
from training.evaluation import MODEL, Judgement, Metrics, Rival
from training.prepare import Prepared
from training.slices import Group, Judged, by_category, by_gap, by_period, by_persona
from training.weighted import Acting, Floats

TOLD = ("auroc", "average_precision", "log_loss", "ece", "calibration_slope", "expected_value")
"""Metrics of a group that the summary for programs holds, with their intervals."""


@dataclass(frozen=True)
class Verdict:
    """What the untouched test part says, and what other periods say."""

    judgement: Judgement
    found: list[Baseline]
    rule: tuple[int, int] | None
    """Column and direction of the best rule."""
    by_gap: list[Group]
    by_period: list[Group]
    slices: list[Group]
    notes: tuple[str, ...] = ()
    """What a reader of the metrics has to know."""

    @property
    def metrics(self) -> Metrics:
        return self.judgement.metrics


@dataclass(frozen=True)
class LookBack:
    """The same fit on other rows."""

    backtest: list[Period]
    """Oldest first."""
    claim: Claim | None
    """What a random split would have claimed."""
    by_gap: list[Group]
    """The rows of all periods together: the newest period alone holds no row that was asked
    long before a date, for such a row's outcome is not known yet."""


def judge_test(
    ready: Prepared,
    probability: Floats,
    others: Mapping[str, Floats] | None = None,
    personas: tuple[Sequence[str], Ints] = ((), np.empty(0, np.int64)),
) -> Verdict:
    """Judge the model on the test part.

    Parameters
    ----------
    probability
        Of the test part's rows, shape `(n_rows,)`.
    others
        Probabilities of other models of the same rows, by name.
    personas
        Their names, and each row's place among them.
    """
    matrix, label = ready.parts["test"]
    features = ready.features
    seen = ready.seen
    rule, logistic = best_rule(features, *seen), fit_logistic(features, *seen)
    acting, notes = _acting(ready)
    moments = ready.labelled.moments.take(ready.split.test)
    known = rivals(rule, logistic, ready.base_rate, matrix, seen)
    known |= {name: Rival(score, True) for name, score in (others or {}).items()}
    judged = Judged(
        label, probability, known,
        moments.rows.customer, acting, ready.problem.seed,
    )  # fmt: skip
    beside = None if rule is None else "best_rule"
    return Verdict(
        judged.whole(),
        baselines(features, rule, (matrix, label), logistic),
        rule,
        by_gap(judged, ready.problem, moments, features, matrix),
        by_period(judged, moments.rows.cutoff_time),
        by_persona(judged, *personas, beside) + by_category(judged, features, matrix, beside),
        notes,
    )


def within(verdict: Verdict, whole: Prepared, ready: Prepared) -> Verdict:
    """The same verdict where columns were left out: the best rule's place is another one."""
    if verdict.rule is None:
        return verdict
    column, sign = verdict.rule
    return replace(verdict, rule=(ready.features.index(whole.features[column]), sign))


def look_back(ready: Prepared, parameters: dict[str, Any], rounds: int, n_train: int) -> LookBack:
    """Judge the same fit on earlier periods, and on a split by chance of the same sizes."""
    among = pool(ready)
    periods = backtest(ready, parameters, rounds, among=among)
    return LookBack(
        periods,
        random_split_claims(ready, parameters, rounds, n_train, among),
        _gaps_of(periods, among) if periods else [],
    )


def _gaps_of(periods: Sequence[Period], among: Pool) -> list[Group]:
    """The rows of a back-test by gap."""
    ready = among.ready
    rows = np.concatenate([period.rows for period in periods])
    score = np.concatenate([period.score for period in periods])
    moments = ready.labelled.moments.take(among.rows[rows])
    judged = Judged(
        among.label[rows], score, {}, moments.rows.customer, Acting(), ready.problem.seed
    )
    return by_gap(judged, ready.problem, moments, ready.features, among.matrix[rows])


def _acting(ready: Prepared) -> tuple[Acting, tuple[str, ...]]:
    """What acting on a row of the test part brings, by the problem's own words."""
    action, value = ready.problem.action, ready.problem.value
    worth: Floats | float = 1.0
    notes: tuple[str, ...] = ()
    if ready.stake is not None:
        worth = ready.stake
    elif value is not None:
        notes = (
            "the expected value counts each customer as 1: what is at stake is not computed from "
            "buckets",
        )
    return Acting(worth, action.success, action.cost, action.capacity), notes


def verdict_json(verdict: Verdict) -> dict[str, Any]:
    """The verdict as the summary for programs holds it."""
    judgement = verdict.judgement
    return {
        "intervals": _plain(judgement.intervals[MODEL]),
        "differences": {name: _plain(of) for name, of in judgement.differences.items()},
        "by_gap": [group_json(group) for group in verdict.by_gap],
        "by_period": [group_json(group) for group in verdict.by_period],
        "slices": [group_json(group) for group in verdict.slices],
    }


def look_back_json(looked: LookBack) -> dict[str, Any]:
    """The back-test as the summary for programs holds it."""
    return {
        "backtest": [
            {
                "first_cutoff": period.first_cutoff,
                "last_cutoff": period.last_cutoff,
                "n_train": period.n_train,
                "is_test": period.is_test,
                **_judgement_json(period.judgement),
            }
            for period in looked.backtest
        ],
        "backtest_by_gap": [group_json(group) for group in looked.by_gap],
        "random_split_would_claim": None if looked.claim is None else asdict(looked.claim),
    }


def group_json(group: Group) -> dict[str, Any]:
    """A group as plain data; metrics only where it is large enough."""
    told = {
        "by": group.by, "level": group.level, "n": group.n, "n_positive": group.n_positive,
        "mean_score": group.mean_score,
    }  # fmt: skip
    return told if group.judgement is None else {**told, **_judgement_json(group.judgement)}


def _judgement_json(judgement: Judgement) -> dict[str, Any]:
    metrics = asdict(judgement.metrics)
    some = {name: judgement.intervals[MODEL][name] for name in TOLD}
    told = {
        "n": metrics["n"], "n_positive": metrics["n_positive"],
        "base_rate": metrics["base_rate"], **{name: metrics[name] for name in TOLD},
        "intervals": _plain(some),
    }  # fmt: skip
    if "best_rule" in judgement.differences:
        precise = judgement.differences["best_rule"]["average_precision"]
        told["better_than_rule"] = _plain({"average_precision": precise})
    return told


def _plain(intervals: dict[str, Interval]) -> dict[str, list[float]]:
    """Value, lower and upper bound by metric."""
    return {name: [i.value, i.low, i.high] for name, i in intervals.items()}


def summary_lines(verdict: Verdict, looked: LookBack) -> list[str]:
    """What a person reads below the table: how sure, and how it is elsewhere."""
    lines = [_against(verdict.judgement)] if verdict.judgement.differences else []
    told = (
        ("gap", verdict.by_gap),
        ("gap, over the periods of the back-test", looked.by_gap),
        ("period", verdict.by_period),
    )
    for title, groups in told:
        if len(groups) > 1:
            lines.append(f"  by {title}: " + _each(groups))
    if looked.backtest:
        periods = (
            f"{period.first_cutoff} {_pair(period.judgement.metrics)}" for period in looked.backtest
        )
        lines.append("  back-test (from, AUROC, average precision): " + ", ".join(periods))
    lines += _weakest(verdict.slices)
    claim, truth = looked.claim, verdict.metrics
    if claim is not None:
        lines.append(
            f"  a random split would have claimed AUROC {claim.auroc:.3f} and average precision "
            f"{claim.average_precision:.3f}; the truth is {_pair(truth, ' and ')}"
        )
    return lines + [f"  note: {note}" for note in verdict.notes]


def _against(judgement: Judgement) -> str:
    """Average precision and its difference from each rival, with intervals."""
    mine = judgement.intervals[MODEL]["average_precision"]
    line = f"  average precision {mine.value:.3f} ({mine.low:.3f} to {mine.high:.3f})"
    for name, of in judgement.differences.items():
        if name != "base_rate":
            d = of["average_precision"]
            spoken = name.replace("_", " ")
            line += f"; over {spoken} {d.value:+.3f} ({d.low:+.3f} to {d.high:+.3f})"
    return line + ", 95 % intervals"


def _each(groups: Sequence[Group]) -> str:
    return ", ".join(
        f"{group.level} {_pair(group.judgement.metrics)}"
        if group.judgement is not None
        else f"{group.level} {group.n:,} rows, too few"
        for group in groups
    )


def _weakest(slices: Sequence[Group]) -> list[str]:
    """The slice in which the ranking is worst."""
    told = [(g.judgement.metrics.auroc, g) for g in slices if g.judgement is not None]
    if not told:
        return []
    auroc, group = min(told, key=lambda pair: pair[0])
    return [f"  weakest of {len(told)} slices: {group.by} {group.level}, AUROC {auroc:.3f} "
            f"on {group.n:,} rows"]  # fmt: skip


def _pair(metrics: Metrics, between: str = "/") -> str:
    return f"{metrics.auroc:.3f}{between}{metrics.average_precision:.3f}"
