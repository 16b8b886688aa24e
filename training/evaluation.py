"""How good probabilities are on rows that nothing was fitted on, and how sure that is.

Takes labels and scores; gives metrics, their intervals, and the differences from rivals.
Knows nothing about how the scores were made.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from features.event_log import Ints
from training.bootstrap import RESAMPLES, Interval, resample
from training.weighted import BINS, Acting, Floats, Labels, Scored

MODEL = "model"


@dataclass(frozen=True)
class Metrics:
    """What the untouched test part says."""

    n: int
    n_positive: int
    base_rate: float
    auroc: float
    average_precision: float
    brier: float
    log_loss: float
    ece: float
    """Expected calibration error over ten bins of equal size."""
    lift_at_5: float
    """Rate among the 5 % with the highest scores ÷ base rate."""
    lift_at_10: float
    calibration_slope: float
    """Slope of the label's log-odds on the score's; below 1 scores are too extreme."""
    calibration_intercept: float
    """Intercept of the same regression; 0 with slope 1 is calibrated."""
    precision_at_capacity: float
    """Share of positives among the rows that can be acted on, highest scores first."""
    recall_at_capacity: float
    """Share of all positives that are among them."""
    expected_value: float
    """Value × success − cost, the mean of the rows acted on; unit of the problem's `value`,
    or positives a row where it names none."""


@dataclass(frozen=True)
class Rival:
    """A score column that the model is compared with on the same rows."""

    score: Floats
    is_probability: bool = False
    chance: Floats | None = None
    """The probability that a score stands for which is none, so that it can be weighed with what
    is at stake."""

    def take(self, rows: Ints) -> "Rival":
        """The same of some rows."""
        chance = None if self.chance is None else self.chance[rows]
        return Rival(self.score[rows], self.is_probability, chance)


@dataclass(frozen=True)
class Judgement:
    """Metrics of the model and its rivals, and between what each may lie."""

    metrics: Metrics
    intervals: dict[str, dict[str, Interval]]
    """By column (`model`, or a rival's name) and metric."""
    differences: dict[str, dict[str, Interval]]
    """Model less rival, by rival and metric; metrics that both have."""


def evaluate(label: Labels, probability: Floats, acting: Acting | None = None) -> Metrics:
    """Metrics of calibrated probabilities; `label` must hold both classes."""
    everybody = np.zeros(len(label), dtype=np.int64)
    rest = Scored(label, probability, everybody, acting or Acting()).metrics(np.ones((1, 1)))
    return Metrics(
        n=len(label),
        n_positive=int(label.sum()),
        base_rate=float(label.mean()),
        auroc=float(roc_auc_score(label, probability)),
        average_precision=float(average_precision_score(label, probability)),
        brier=float(brier_score_loss(label, probability)),
        log_loss=float(log_loss(label, probability)),
        ece=calibration_error(label, probability),
        lift_at_5=lift(label, probability, 0.05),
        lift_at_10=lift(label, probability, 0.10),
        calibration_slope=float(rest["calibration_slope"][0]),
        calibration_intercept=float(rest["calibration_intercept"][0]),
        precision_at_capacity=float(rest["precision_at_capacity"][0]),
        recall_at_capacity=float(rest["recall_at_capacity"][0]),
        expected_value=float(rest["expected_value"][0]),
    )


def judge(
    label: Labels,
    probability: Floats,
    rivals: Mapping[str, Rival],
    customer: Ints,
    acting: Acting,
    seed: int,
    resamples: int = RESAMPLES,
) -> Judgement:
    """Metrics with intervals, and differences from rivals on the same draws of customers.

    Parameters
    ----------
    label, probability, customer
        Shape `(n_rows,)`; `label` must hold both classes.
    rivals
        Scores of the same rows, by name.
    """
    columns = {MODEL: (probability, True)}
    columns |= {name: (rival.score, rival.is_probability) for name, rival in rivals.items()}
    chances = {name: r.chance for name, r in rivals.items() if r.chance is not None}
    drawn = resample(label, columns, customer, acting, seed, resamples, chances)
    return Judgement(
        evaluate(label, probability, acting),
        {
            name: {metric: drawn.interval(name, metric) for metric in found}
            for name, found in drawn.value.items()
        },
        {
            name: {metric: drawn.difference(MODEL, name, metric) for metric in drawn.value[name]}
            for name in rivals
        },
    )


def reliability(label: Labels, probability: Floats) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Mean score, observed rate and size of bins of equal size, lowest scores first.

    Rows of one score count with their mean label, so that their order changes nothing.
    """
    _, place, size = np.unique(probability, return_inverse=True, return_counts=True)
    tied = (np.bincount(place, label) / size)[place]
    order = np.argsort(probability, kind="stable")
    bins = [part for part in np.array_split(order, BINS) if len(part)]
    return (
        np.array([probability[part].mean() for part in bins]),
        np.array([tied[part].mean() for part in bins]),
        np.array([len(part) for part in bins]),
    )


def calibration_error(label: Labels, probability: Floats) -> float:
    """Mean distance between score and observed rate, weighted by the size of the bins.

    Ten bins of equal size. Source: Naeini, Cooper and Hauskrecht (2015), Obtaining well
    calibrated probabilities using Bayesian binning, with bins of equal size for equal width.
    """
    score, rate, size = reliability(label, probability)
    return float(np.average(np.abs(score - rate), weights=size))


def lift(label: Labels, score: Floats, share: float) -> float:
    """Rate among the top `share` of scores ÷ base rate; ties count with their own mean."""
    k = max(1, round(share * len(label)))
    threshold = np.sort(score)[-k]
    above, tied = score > threshold, score == threshold
    left = k - above.sum()
    hits = label[above].sum() + left * label[tied].mean()
    return float(hits / k / label.mean())
