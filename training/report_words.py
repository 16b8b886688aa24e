"""What a report and a model card say in words: metrics, the headline, the limits.

Takes the parts of a run; gives sentences. Knows nothing about HTML or Markdown.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from features.durations import format_day
from models.fitted import FittedModel
from models.question import asked_of, question
from training.audited import Audited
from training.bootstrap import Interval
from training.evaluation import MODEL
from training.findings import Finding
from training.gate import Decision
from training.judging import LookBack, Verdict
from training.prepare import Prepared


@dataclass(frozen=True)
class Told:
    """What a run hands to its report and its card; what is absent is left out of them."""

    business: str
    name: str
    """Of the problem."""
    ready: Prepared
    model: FittedModel
    tags: Mapping[str, str] = field(default_factory=dict)
    """`judged_model` and `registered_model` among them: see `training.record.tags_of`."""
    manifest: Mapping[str, Any] = field(default_factory=dict)
    """Of `training.result.manifest`."""
    checks: tuple[Finding, ...] = ()
    """Of the pre-flight check."""
    verdict: Verdict | None = None
    looked: LookBack | None = None
    audit: Audited | None = None
    decision: Decision | None = None

    @property
    def asked(self) -> str:
        """What a score answers, as a sentence."""
        words = question(self.ready.problem)
        return f"Each score is {words}, for {asked_of(self.ready.problem)}."


@dataclass(frozen=True)
class Wording:
    """How a metric is told."""

    title: str
    says: str
    digits: int = 3


METRICS = {
    "average_precision": Wording(
        "Average precision", "area under precision and recall; chance gives the base rate"
    ),
    "auroc": Wording("AUROC", "chance that a positive row stands above a negative one; chance .5"),
    "lift_at_5": Wording("Lift at 5%", "rate among the twentieth with the highest scores ÷ base "
                         "rate", 2),
    "lift_at_10": Wording("Lift at 10%", "rate among the tenth with the highest scores ÷ base "
                          "rate", 2),
    "precision_at_capacity": Wording("Precision at capacity", "share of positives among the rows "
                                     "that can be acted on"),
    "recall_at_capacity": Wording("Recall at capacity", "share of all positives among them"),
    "expected_value": Wording("Expected value", "value × success − cost, the mean of the rows "
                              "acted on", 2),
    "brier": Wording("Brier score", "mean squared distance of score and label; 0 is best", 4),
    "log_loss": Wording("Log loss", "0 is best", 4),
    "ece": Wording("Calibration error", "mean distance of score and observed rate over tenths"),
    "calibration_slope": Wording("Calibration slope", "1 is right; below 1 scores are too "
                                 "extreme", 2),
    "calibration_intercept": Wording("Calibration intercept", "0 is right where the slope is 1", 2),
}  # fmt: skip
"""Metrics of the test part in the order in which they are told."""

RIVALS = {
    MODEL: "Model",
    "logistic": "Logistic regression",
    "best_rule": "Best rule",
    "base_rate": "Base rate",
}
"""Who is judged, as a heading calls them."""


def called(name: str) -> str:
    """A rival as a heading: `best_rule` is `Best rule`."""
    return RIVALS.get(name, name.replace("_", " ").capitalize())


def figure(value: float, digits: int = 3) -> str:
    """A number with a true minus and thousands apart; fewer decimals where it is large."""
    if abs(value) >= 100:
        digits = 0
    text = f"{value:,.{digits}f}"
    zero = f"{0:.{digits}f}"
    return (zero if text == f"-{zero}" else text).replace("-", "−")


def signed(value: float, digits: int = 3) -> str:
    """A difference, with its sign."""
    text = figure(value, digits)
    return text if text.startswith("−") else f"+{text}"


def between(interval: Interval, digits: int = 3, with_sign: bool = False) -> str:
    """`0.431 to 0.502`."""
    say = signed if with_sign else figure
    digits = 0 if max(abs(interval.low), abs(interval.high)) >= 100 else digits
    return f"{say(interval.low, digits)} to {say(interval.high, digits)}"


def headline(verdict: Verdict) -> tuple[bool, str]:
    """Whether the model is better than every rule, and the sentence that says so."""
    over = {
        name: of["average_precision"] for name, of in verdict.judgement.differences.items()
    }  # fmt: skip
    over = {name: over[name] for name in ("best_rule", "logistic") if name in over} or over
    if not over:
        return False, "The model was not compared with any rule."
    unproven = {name: interval for name, interval in over.items() if interval.low <= 0}
    told = unproven or over
    names = " and ".join(SPOKEN.get(name, name.replace("_", " ")) for name in told)
    figures = " and ".join(
        f"{signed(i.value)} (95% interval {between(i, with_sign=True)})" for i in told.values()
    )
    verb = "is not shown to be better than" if unproven else "is better than"
    return not unproven, (
        f"On rows that nothing was fitted on the model {verb} {names}: average precision {figures}."
    )


SPOKEN = {
    "best_rule": "the best single rule",
    "logistic": "a logistic regression",
    "base_rate": "giving everybody the base rate",
}
"""Rivals within a sentence."""

UNKNOWN = {
    "window_not_over": "the outcome window is not over yet",
    "already_happened": "the outcome had happened already",
    "happened_in_gap": "the outcome came within the gap",
    "anchor_without_same": "the starting event does not say which outcome would be its own",
    "label_is_null": "the label table gives none",
    "split_is_null": "the label table names no part",
}
"""Why a row of the cohort has no label."""


def unknown_words(reason: str) -> str:
    return UNKNOWN.get(reason, reason.replace("_", " "))


def meaning_limits(told: Told) -> Iterator[str]:
    """What a score does not mean."""
    yield (
        "A score is a probability for customers of the cohort at a cutoff. It says nothing about "
        "anybody else, and nothing about what happens after the outcome window."
    )
    yield (
        "Reasons say what moved a score. They do not say that changing it would change the "
        "outcome: no cause was tested here."
    )
    yield (
        "A high score is not a high gain. Who can be won by an action is another question, which "
        "only an experiment answers."
    )
    if told.ready.problem.value is not None:
        yield "What is at stake is a sum of the past, no forecast of what a customer will bring."


def doubt_limits(told: Told) -> Iterator[str]:
    """What could be wrong with these figures."""
    ready = told.ready
    test = ready.labelled.moments.rows.cutoff_time[ready.split.test]
    label = ready.labelled.label[ready.split.test]
    yield (
        f"The figures come from {len(test):,} rows ({int(label.sum()):,} positive) with cutoffs "
        f"from {format_day(int(test.min()))} to {format_day(int(test.max()))}. Another season may "
        "be unlike it; the back-test shows how much periods differ."
    )
    if ready.labelled.n_unknown:
        yield (
            f"{ready.labelled.n_unknown:,} rows of the cohort have no known outcome and are in no "
            "figure."
        )
    yield from (f"{note[:1].upper()}{note[1:]}." for note in ready.split.notes)
    if told.verdict is not None:
        yield from _of_verdict(told.verdict)
    if told.audit is None:
        yield "The leakage audit was not part of this run."
    if told.manifest:
        yield (
            "Rows of one customer resemble each other. Intervals draw whole customers, so they "
            "allow for that; they do not allow for a change of the world."
        )


def _of_verdict(verdict: Verdict) -> Iterator[str]:
    yield from (f"{note[:1].upper()}{note[1:]}." for note in verdict.notes)
    better, says = headline(verdict)
    if not better:
        yield says
    slope = verdict.judgement.intervals[MODEL]["calibration_slope"]
    if slope.high < 1 or slope.low > 1:
        what = "too extreme" if slope.high < 1 else "too timid"
        yield (
            f"Scores of the test part are {what}: the calibration slope is "
            f"{figure(slope.value, 2)} ({between(slope, 2)})."
        )
    small = sum(group.judgement is None for group in verdict.slices)
    if small:
        yield (
            f"{small} kinds of customer have too few rows or outcomes to be judged on their own."
        )


def which_models(told: Told) -> list[tuple[str, str]]:
    """Which model is judged here, and which one is registered."""
    named = (("Judged", "judged_model"), ("Registered", "registered_model"))
    return [(title, told.tags[key]) for title, key in named if key in told.tags]
