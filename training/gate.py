"""The gate: does a challenger deserve to be the champion?

Takes a challenger's judgement on rows that nothing was fitted on, its differences from the best
rule and from the champion on the same rows, earlier periods, kinds of customer, and the leakage
audit; gives a decision with its reasons in words. Knows nothing about MLflow or how a model
was fitted.

Noise must not pass: the lower bound of every difference has to be above the margin, on two
metrics, and the earlier periods have to agree.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from features.config import Gate
from training.backtest import Period
from training.champion import UNASKED, Champion
from training.evaluation import MODEL, Judgement
from training.findings import Finding, wrapped
from training.judging import Verdict
from training.slices import Group

CODES = {
    "G01": "no better than the best rule",
    "G02": "no better than the champion",
    "G03": "no better than the best rule in earlier periods",
    "G04": "not calibrated",
    "G05": "a kind of customer is ranked or scored wrongly",
    "G06": "the leakage audit found a leak",
    "G07": "not audited for leaks",
    "G08": "no champion to compare with on the same rows",
}
"""Every code of a refusal; a code keeps its meaning for ever and is never used again."""

JUDGED_ON = (("average_precision", "average precision"), ("expected_value", "expected value"))
"""The metrics on which a challenger has to be better, and how they are told."""

DECISION = "gate.json"
"""The file of a decision."""

RULE, CHAMPION = "best_rule", "champion"
"""The rivals that a challenger has to beat, as a judgement calls them."""

MOST_ECE = 0.02
"""The calibration error, at the lower bound of its interval, beyond which scores are refused."""
SLOPES = (0.8, 1.25)
"""Where the calibration slope, or the nearer bound of its interval, has to lie."""
COLLAPSE = 0.05
"""A kind of customer has collapsed where average precision is so far below the best rule's, and
the interval agrees, or where the mean score is so far from the rate."""
SURE = 4.0
"""Standard errors of a rate that a mean score has to be away from it."""


@dataclass(frozen=True)
class Reason:
    """One condition that is not met."""

    code: str
    says: str

    @property
    def title(self) -> str:
        return CODES[self.code]


@dataclass(frozen=True)
class Decision:
    """What the gate says."""

    reasons: tuple[Reason, ...]
    """Why the challenger is refused; none where it passes."""
    met: tuple[str, ...]
    """The conditions that are met, in words."""

    @property
    def passed(self) -> bool:
        return not self.reasons

    def to_json(self) -> dict[str, Any]:
        return {
            "passed": self.passed,
            "reasons": [
                {"code": reason.code, "title": reason.title, "says": reason.says}
                for reason in self.reasons
            ],
            "met": list(self.met),
        }

    def lines(self) -> list[str]:
        """The decision as a person reads it in a terminal."""
        head = "  gate: passed" if self.passed else "  gate: refused"
        lines = [head]
        for reason in self.reasons:
            lines.append(f"    {reason.code} {reason.title}")
            lines += wrapped(reason.says, "      ")
        return lines + [line for says in self.met for line in wrapped(f"met: {says}", "    ")]


def write_decision(decision: Decision, folder: Path) -> None:
    """Write the decision beside the model, for MLflow and whoever asks later."""
    (folder / DECISION).write_text(json.dumps(decision.to_json(), indent=1, ensure_ascii=False))


Found = Iterator[Reason | str]
"""Reasons against, and conditions that are met."""


def decide(
    verdict: Verdict,
    periods: Sequence[Period],
    champion: Champion | None,
    leaks: Sequence[Finding] | None,
    gate: Gate,
) -> Decision:
    """Weigh everything that is known of a challenger.

    Parameters
    ----------
    periods
        The back-test.
    champion
        None where there is none yet. Its differences are those of the rival `champion`.
    leaks
        What the leakage audit found to be leaks; None where it was not run.
    gate
        The margins that the business asks for.
    """
    found = list(
        chain(
            _against_rule(verdict.judgement, gate),
            _against_champion(verdict.judgement, champion, gate),
            _earlier(periods),
            _calibrated(verdict.judgement),
            _slices(verdict.slices),
            _audited(leaks),
        )
    )
    return Decision(
        tuple(each for each in found if isinstance(each, Reason)),
        tuple(each for each in found if isinstance(each, str)),
    )


def _against_rule(judgement: Judgement, gate: Gate) -> Found:
    """G01: both lower bounds above the margin."""
    rival = RULE if RULE in judgement.differences else "base_rate"
    yield from _better("G01", rival, rival.replace("_", " "), judgement, gate)


def _against_champion(judgement: Judgement, champion: Champion | None, gate: Gate) -> Found:
    """G02, and G08 where nothing can be said."""
    if champion is None:
        yield "there is no champion yet"
    elif champion.version == UNASKED:
        yield (
            f"whether there is a champion is not known ({champion.says}); one that there is has to "
            "be compared before this version takes its place"
        )
    elif champion.score is None:
        yield Reason("G08", f"Version {champion.version}: {champion.says}.")
    else:
        named = f"champion, version {champion.version} ({champion.says}),"
        yield from _better("G02", CHAMPION, named, judgement, gate)


def _better(code: str, rival: str, named: str, judgement: Judgement, gate: Gate) -> Found:
    """Average precision by its own margin; expected value by a share of the rival's."""
    value = judgement.intervals[rival]["expected_value"].value
    margins = {
        "average_precision": gate.average_precision,
        "expected_value": gate.expected_value * abs(value),
    }
    for metric, spoken in JUDGED_ON:
        difference, margin = judgement.differences[rival][metric], margins[metric]
        says = (
            f"{spoken} less that of the {named} is {difference.value:+.4g} "
            f"(95 % interval {difference.low:+.4g} to {difference.high:+.4g})"
        )
        if difference.low > margin:
            yield f"{says}, and may not be below {margin:.4g}" if margin else says
        else:
            yield Reason(code, f"{says}; the lower bound has to be above {margin:.4g}.")


def _earlier(periods: Sequence[Period]) -> Found:
    """G03: on the mean of the back-test's periods, so that luck in the last one is not enough."""
    found = [
        period.judgement.differences[RULE]["average_precision"].value
        for period in periods
        if RULE in period.judgement.differences and not period.is_test
    ]
    if not found:
        yield "no earlier period is long enough for a back-test"
        return
    mean = sum(found) / len(found)
    says = (
        f"average precision less that of the best rule is {mean:+.4f} on the mean of "
        f"{len(found)} earlier period{'s' if len(found) > 1 else ''} "
        f"({', '.join(f'{each:+.3f}' for each in found)})"
    )
    yield says if mean > 0 else Reason("G03", f"{says}: what holds in one period alone is luck.")


def _calibrated(judgement: Judgement) -> Found:
    """G04: unless chance could make the error, scores are off."""
    ece = judgement.intervals[MODEL]["ece"]
    slope = judgement.intervals[MODEL]["calibration_slope"]
    if ece.low > MOST_ECE:
        yield Reason(
            "G04",
            f"The calibration error is {ece.value:.3f} (95 % interval {ece.low:.3f} to "
            f"{ece.high:.3f}), {MOST_ECE} is allowed.",
        )
    elif slope.high < SLOPES[0] or slope.low > SLOPES[1]:
        yield Reason(
            "G04",
            f"The calibration slope is {slope.value:.2f} (95 % interval {slope.low:.2f} to "
            f"{slope.high:.2f}), {SLOPES[0]} to {SLOPES[1]} is allowed: scores are too "
            f"{'extreme' if slope.value < 1 else 'timid'}.",
        )
    else:
        yield f"calibration error {ece.value:.3f}, slope {slope.value:.2f}"


def _slices(slices: Sequence[Group]) -> Found:
    """G05: no kind of customer for which the model is worse than a rule, or far off."""
    judged = [group for group in slices if group.judgement is not None]
    fallen = [reason for group in judged for reason in _collapsed(group)]
    yield from fallen
    if judged and not fallen:
        yield f"none of {len(judged)} kinds of customer collapses"


def _collapsed(group: Group) -> Iterator[Reason]:
    assert group.judgement is not None
    metrics = group.judgement.metrics
    over = group.judgement.differences.get(RULE)
    where = f"{group.by} {group.level} ({group.n:,} rows, {group.n_positive:,} positive)"
    if over is not None:
        precision = over["average_precision"]
        if precision.value < -COLLAPSE and precision.high < 0:
            yield Reason(
                "G05",
                f"{where}: average precision is {-precision.value:.3f} below the best rule's "
                f"(95 % interval {precision.low:+.3f} to {precision.high:+.3f}).",
            )
    rate = metrics.base_rate
    spread = (rate * (1 - rate) / group.n) ** 0.5
    off = group.mean_score - rate
    if abs(off) > max(COLLAPSE, rate / 2) and abs(off) > SURE * spread:
        yield Reason(
            "G05", f"{where}: the mean score is {group.mean_score:.1%}, the rate {rate:.1%}."
        )


def _audited(leaks: Sequence[Finding] | None) -> Found:
    """G06, and G07 where nobody looked."""
    if leaks is None:
        yield Reason("G07", "Run python -m training audit CONFIG on these histories first.")
        return
    for leak in leaks:
        yield Reason("G06", f"{leak.code} {leak.title}: {leak.says}")
    if not leaks:
        yield "the leakage audit found no leak"
