"""From a model's margin to an honest probability.

Takes margins (raw log-odds); gives probabilities by one of three rising curves, each of which is
plain numbers. Knows nothing about how a curve is fitted, about trees, features or files.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from models.loops import chance, chance_within, two_slopes

Floats = NDArray[np.float64]

LEAST = 1e-9
"""No probability lies below it or above one minus it: nothing is impossible, nothing certain."""


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
        return np.asarray(chance_within(self.log_odds(margin), LEAST))

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
        return np.asarray(two_slopes(margin, self.below, self.above, self.intercept))

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
    return np.asarray(chance(log_odds))


def logs(margin: Floats) -> tuple[Floats, Floats]:
    """What beta calibration is linear in: `ln s` and `-ln(1 - s)` of the margin's sigmoid `s`.

    Both rise with the margin.
    """
    small = np.log1p(np.exp(-np.abs(margin)))
    return np.minimum(margin, 0.0) - small, np.maximum(margin, 0.0) + small
