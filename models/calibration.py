"""From a model's margin to an honest probability.

Takes margins (raw log-odds) and labels of rows that the model was not fitted on; gives the one
of three rising curves that serves rows best that it has not seen. Each is plain numbers. Knows
nothing about LightGBM, features or files.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

Floats = NDArray[np.float64]
Labels = NDArray[np.int8]
Ints = NDArray[np.int64]

LEAST = 1e-9
"""No probability lies below it or above one minus it: nothing is impossible, nothing certain."""

N_BLOCKS = 5
"""Blocks of customers of which each curve is judged on one after being fitted on the others."""

FEW_LABELS = 50
"""With fewer rows of a class a curve of more than two numbers is not asked for."""


class Calibration(ABC):
    """A rising curve from margins to probabilities."""

    kind: ClassVar[str]

    @abstractmethod
    def log_odds(self, margin: Floats) -> Floats:
        """Calibrated log-odds of margins of any shape; rises with the margin."""

    def probability(self, margin: Floats) -> Floats:
        """Calibrated probabilities of margins of any shape, strictly between 0 and 1.

        A row has the same bits alone and among others.
        """
        return np.clip(sigmoid(self.log_odds(margin)), LEAST, 1 - LEAST)

    @abstractmethod
    def account(self) -> str:
        """The curve in a few words, for a line of progress."""

    def to_json(self) -> dict[str, Any]:
        """The kind and its numbers."""
        return {"kind": self.kind, **asdict(self)}  # type: ignore[call-overload]


@dataclass(frozen=True)
class Sigmoid(Calibration):
    """Platt's calibration, `p = 1 / (1 + exp(-(slope * margin + intercept)))`.

    Strictly rising, so it never changes who is ranked above whom.
    Source: Platt (1999), Probabilistic outputs for support vector machines.
    """

    kind: ClassVar[str] = "sigmoid"
    slope: float
    intercept: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.slope) and np.isfinite(self.intercept) and self.slope > 0):
            raise ValueError(
                f"a calibration needs a finite slope above 0 and a finite intercept, "
                f"found {self.slope} and {self.intercept}"
            )

    def log_odds(self, margin: Floats) -> Floats:
        return self.slope * margin + self.intercept

    def account(self) -> str:
        return f"sigmoid, slope {self.slope:.2f}, intercept {self.intercept:+.2f}"


@dataclass(frozen=True)
class Beta(Calibration):
    """Beta calibration, `log-odds = below * ln s - above * ln(1 - s) + intercept`.

    `s` is the model's own probability, the sigmoid of the margin. `below` is the slope among low
    scores and `above` among high ones; equal, they are Platt's sigmoid.
    Source: Kull, Silva Filho & Flach (2017), Beta calibration.
    """

    kind: ClassVar[str] = "beta"
    below: float
    above: float
    intercept: float

    def __post_init__(self) -> None:
        numbers = (self.below, self.above, self.intercept)
        if not np.isfinite(numbers).all() or min(self.below, self.above) <= 0:
            raise ValueError(
                f"a beta calibration needs two finite slopes above 0 and a finite intercept, "
                f"found {numbers}"
            )

    def log_odds(self, margin: Floats) -> Floats:
        low, high = logs(margin)
        return self.below * low + self.above * high + self.intercept

    def account(self) -> str:
        return (
            f"beta, slopes {self.below:.2f} and {self.above:.2f}, intercept {self.intercept:+.2f}"
        )


@dataclass(frozen=True)
class Isotonic(Calibration):
    """Centred isotonic calibration: straight lines in log-odds between the blocks' centres.

    Isotonic regression is a staircase, which ties scores that the model tells apart. Here each
    step speaks at its centre alone, so the curve rises strictly; beyond the outermost centres it
    goes on with `slope`.
    Source: Oron & Flournoy (2017), Centered isotonic regression.
    """

    kind: ClassVar[str] = "isotonic"
    margins: tuple[float, ...]
    """Centres of the steps, rising."""
    heights: tuple[float, ...]
    """Log-odds at the centres, rising."""
    slope: float
    """Log-odds a unit of margin below the first centre and above the last."""

    def __post_init__(self) -> None:
        knots = np.array([self.margins, self.heights])
        if (
            knots.ndim != 2
            or not knots.size
            or not (np.isfinite(knots).all() and np.isfinite(self.slope))
            or not (np.diff(knots) > 0).all()
            or self.slope <= 0
        ):
            raise ValueError(
                "an isotonic calibration needs as many heights as margins, both finite and "
                f"rising, and a slope above 0; found {self.margins}, {self.heights}, {self.slope}"
            )

    def log_odds(self, margin: Floats) -> Floats:
        first, last = self.margins[0], self.margins[-1]
        beyond = np.minimum(margin - first, 0.0) + np.maximum(margin - last, 0.0)
        return np.interp(margin, self.margins, self.heights) + self.slope * beyond

    def account(self) -> str:
        return f"isotonic, {len(self.margins)} steps"


KINDS: Mapping[str, type[Calibration]] = {kind.kind: kind for kind in (Sigmoid, Beta, Isotonic)}


def calibration_from_json(data: Mapping[str, Any]) -> Calibration:
    """Read a calibration; `ValueError` when it is none.

    Parameters
    ----------
    data
        What `Calibration.to_json` gave.
    """
    numbers = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items() if k != "kind"}
    if data.get("kind") not in KINDS:
        raise ValueError(f"found a calibration {data.get('kind')!r}, expected {', '.join(KINDS)}")
    return KINDS[data["kind"]](**numbers)


def sigmoid(log_odds: Floats) -> Floats:
    """Probability of log-odds, without overflow."""
    small = np.exp(-np.abs(log_odds))
    return np.asarray(np.where(log_odds >= 0, 1 / (1 + small), small / (1 + small)))


def logs(margin: Floats) -> tuple[Floats, Floats]:
    """What beta calibration is linear in: `ln s` and `-ln(1 - s)` of the margin's sigmoid `s`.

    Both rise with the margin.
    """
    small = np.log1p(np.exp(-np.abs(margin)))
    return np.minimum(margin, 0.0) - small, np.maximum(margin, 0.0) + small


def fit_calibration(margin: Floats, label: Labels, customer: Ints) -> Calibration:
    """The curve with the lowest log loss on customers that it was not fitted on.

    Each curve is fitted on four fifths of the customers and judged on the fifth, five times. A
    curve of more numbers is taken only if it is better than a simpler one by more than one
    standard error of the difference; so ties, and luck, go to the simplest. Where one class has
    fewer than `FEW_LABELS` rows the answer is a cautious sigmoid, see `fit_few`.

    Parameters
    ----------
    margin, label, customer
        Shape `(n_rows,)`, of rows that the model was not fitted on. A customer's rows are kept
        together: they are no independent witnesses.
    """
    if min(int(label.sum()), int((label == 0).sum())) < FEW_LABELS:
        return fit_few(margin, label)
    _, who = np.unique(customer, return_inverse=True)
    losses = {kind: _losses(fit, margin, label, who) for kind, fit in FITS.items()}
    chosen = Sigmoid.kind
    for kind in FITS:
        gain, error = _mean_gain(losses[chosen] - losses[kind], who)
        chosen = kind if gain > error else chosen
    return FITS[chosen](margin, label)


def _losses(
    fit: Callable[[Floats, Labels], Calibration], margin: Floats, label: Labels, who: Ints
) -> Floats:
    """Log loss of each row under the curve that was fitted on other customers."""
    loss = np.empty(len(margin))
    for block in range(N_BLOCKS):
        out = who % N_BLOCKS == block
        p = fit(margin[~out], label[~out]).probability(margin[out])
        loss[out] = -np.log(np.where(label[out] == 1, p, 1 - p))
    return loss


def _mean_gain(gain: Floats, who: Ints) -> tuple[float, float]:
    """The mean over the rows and its standard error, where customers are independent."""
    apart = np.bincount(who, gain - gain.mean())
    return float(gain.mean()), float(np.sqrt((apart**2).sum()) / len(gain))


def fit_sigmoid(margin: Floats, label: Labels) -> Sigmoid:
    """Fit Platt's calibration on held-back rows.

    A fit that would turn the ranking round says that the margins carry nothing there; the
    answer is then nearly flat, at the rows' own rate.
    """
    fitted = LogisticRegression(C=1e6).fit(margin[:, None], label)
    slope, intercept = float(fitted.coef_[0, 0]), float(fitted.intercept_[0])
    if slope > 0:
        return Sigmoid(slope, intercept)
    rate = float(label.mean())
    return Sigmoid(1e-6, float(np.log(rate / (1 - rate))))


def fit_few(margin: Floats, label: Labels) -> Sigmoid:
    """Fit Platt's calibration where a class has few rows.

    A handful of positives that all lie above the negatives would call for an endless slope. So
    nobody counts as certain, a positive among `n` as `(n + 1) / (n + 2)` and a negative as
    `1 / (n + 2)`, as Platt (1999) has it, and the slope a standard deviation of the margin has a
    normal prior of deviation 1.
    """
    n_positive, n_negative = int(label.sum()), int((label == 0).sum())
    hope = np.where(label == 1, (n_positive + 1) / (n_positive + 2), 1 / (n_negative + 2))
    centre, scale = float(margin.mean()), float(margin.std()) or 1.0
    inputs = np.tile((margin - centre) / scale, 2)[:, None]
    both = np.repeat([1, 0], len(margin))
    fitted = LogisticRegression(C=1.0).fit(inputs, both, np.concatenate([hope, 1 - hope]))
    slope = max(float(fitted.coef_[0, 0]) / scale, 1e-6)
    return Sigmoid(slope, float(fitted.intercept_[0]) - slope * centre)


def fit_beta(margin: Floats, label: Labels) -> Calibration:
    """Fit beta calibration on held-back rows; the sigmoid where a slope would not be above 0."""
    fitted = LogisticRegression(C=1e6).fit(np.column_stack(logs(margin)), label)
    below, above = fitted.coef_[0].tolist()
    if min(below, above) <= 0:
        return fit_sigmoid(margin, label)
    return Beta(below, above, float(fitted.intercept_[0]))


def fit_isotonic(margin: Floats, label: Labels) -> Calibration:
    """Fit centred isotonic calibration on held-back rows.

    A step of `n` rows, all of one class, speaks as if one more row of each class were among them
    all: its rate stays within `1 / (n_rows + 2)` of 0 and 1. The sigmoid where there is one step.
    """
    tail = fit_sigmoid(margin, label)
    least = 1 / (len(margin) + 2)
    steps = IsotonicRegression(y_min=least, y_max=1 - least).fit_transform(margin, label)
    # Steps that are one step but for the last bits of a mean are one step.
    height, place, size = np.unique(np.round(steps, 9), return_inverse=True, return_counts=True)
    centre = np.bincount(place, margin) / size
    if len(height) < 2 or not (np.diff(centre) > 0).all():
        return tail
    heights = np.log(height / (1 - height))
    return Isotonic(tuple(centre.tolist()), tuple(heights.tolist()), tail.slope)


FITS: Mapping[str, Callable[[Floats, Labels], Calibration]] = {
    Sigmoid.kind: fit_sigmoid,
    Beta.kind: fit_beta,
    Isotonic.kind: fit_isotonic,
}
"""From the simplest to the one of most numbers."""
