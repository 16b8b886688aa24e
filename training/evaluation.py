"""How good probabilities are on rows that nothing was fitted on.

Takes labels and scores; gives metrics. Knows nothing about how the scores were made.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

Floats = NDArray[np.float64]
Labels = NDArray[np.int8]

BINS = 10


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


def evaluate(label: Labels, probability: Floats) -> Metrics:
    """Metrics of calibrated probabilities; `label` must hold both classes."""
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
    """Mean distance between score and observed rate, weighted by the size of the bins."""
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
