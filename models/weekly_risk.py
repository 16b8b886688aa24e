"""When: the score spread over the weeks of its outcome window.

Takes a score, the row's margin and features, and its window; gives a probability at the end of
each week, which ends at the score exactly. Knows nothing about how the trees were fitted.

Let `G(w)` be the share of the chance that the event has come by the end of week `w`, given that
it comes in the window at all: `1 - (1 - h(1)) … (1 - h(w))`, with the trees' hazard `h` of each
week and 1 in the last (a discrete-time survival model; Singer & Willett 1993, It's about time).
Where the outcome is that an event happens, `p(w) = p G(w)` rises from 0 to the score `p`. Where
it is that an event does not happen (a silence, a contract not renewed), `p(w) = 1 - (1 - p) G(w)`
is the chance that it has not happened yet; it falls from 1 to the score.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.durations import DAY
from features.engine import Matrix
from models.loops import begun, gather, look, spread
from models.trees import Trees, trees_from_text

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

WEEK = 7 * DAY

CLOCK = ("days since the window opened", "days until it closes", "margin")
"""What the trees read before the features: at the week's beginning, and at its end."""

CELLS = 100_000
"""Weeks of rows that the trees are asked about at once."""


@dataclass(frozen=True)
class WeeklyRisk:
    """A model of when, beside the model of whether."""

    waits: bool
    """Whether the outcome is that an event does not happen."""
    columns: tuple[int, ...]
    """Positions of the features that the trees read, after week and margin."""
    trees: str | None
    """LightGBM's text; None where time is spread evenly over the window, because trees knew no
    better."""

    def __post_init__(self) -> None:
        expected = len(self.columns) + len(CLOCK)
        if self._hazard is not None and len(self._hazard.names) != expected:
            raise ValueError(
                f"the trees of the weekly risk read {len(self._hazard.names)} columns, "
                f"expected {expected}"
            )

    @cached_property
    def _places(self) -> Ints:
        return np.array(self.columns, np.int64)

    @cached_property
    def _hazard(self) -> Trees | None:
        return None if self.trees is None else trees_from_text(self.trees)

    def curves(
        self, probability: Floats, margin: Floats, vectors: Matrix, opens: Ints, closes: Ints
    ) -> Floats:
        """The probability at the end of each week, shape `(n_rows, n_weeks)`.

        Parameters
        ----------
        probability, margin
            Scores and raw log-odds, shape `(n_rows,)`.
        vectors
            Shape `(n_rows, n_features)`, in the contract's order.
        opens, closes
            The windows `(opens, closes]`, microseconds UTC. Week `w` ends at `opens + w × 7d`,
            the last one, which may be shorter, at `closes`.

        Returns
        -------
        ndarray of shape (n_rows, n_weeks)
            `n_weeks` is that of the longest window; NaN after a row's last week, whose value
            is the row's probability to the bit. A row is the same alone and among others.
        """
        weeks = n_weeks(opens, closes)
        curve = self._shares(weeks, margin, vectors, opens, closes)
        spread(probability, weeks, self.waits, curve)
        return curve

    def shares(self, margin: Floats, vectors: Matrix, opens: Ints, closes: Ints) -> Floats:
        """`G`, shape `(n_rows, n_weeks)`: rises to 1 at a row's last week and stays there."""
        return self._shares(n_weeks(opens, closes), margin, vectors, opens, closes)

    def _shares(
        self, weeks: Ints, margin: Floats, vectors: Matrix, opens: Ints, closes: Ints
    ) -> Floats:
        most = int(weeks.max(initial=1))
        out = np.ones((len(margin), most))
        if self._hazard is None:
            week = np.arange(1, most)
            before = week < weeks[:, None]  # (n_rows, n_weeks - 1)
            out[:, :-1] = np.where(before, week * WEEK / (closes - opens)[:, None], 1.0)
            return out
        block = max(1, CELLS // max(most - 1, 1))
        for begin in range(0, len(margin), block):
            few = slice(begin, begin + block)
            week, row = np.empty((2, int(weeks[few].sum()) - len(weeks[few])), np.int64)
            begun(weeks[few], week, row)
            given = margin[few], vectors[few], opens[few], closes[few]
            seen = week_matrix(self._places, week, *given, row)
            gather(self._hazard.margins(seen), weeks[few], out[few])
        return out

    def to_json(self) -> dict[str, Any]:
        """Plain data; the trees as LightGBM's lines."""
        lines = None if self.trees is None else self.trees.removesuffix("\n").split("\n")
        return {"waits": self.waits, "columns": list(self.columns), "trees": lines}


def n_weeks(opens: Ints, closes: Ints) -> Ints:
    """Weeks of windows, begun ones included; at least one."""
    return np.asarray(np.maximum(1, -((opens - closes) // WEEK)))


def week_matrix(
    columns: Ints,
    week: Ints,
    margin: Floats,
    vectors: Matrix,
    opens: Ints,
    closes: Ints,
    rows: Ints,
) -> Floats:
    """What the trees read of some rows in a week each, `(n_chosen, 3 + n_columns)`."""
    out = np.empty((len(rows), len(CLOCK) + len(columns)))
    vectors = np.ascontiguousarray(vectors, np.float32)
    look(vectors, columns, margin, opens, closes, week, rows, WEEK, DAY, out)
    return out


def weekly_risk_from_json(data: Mapping[str, Any]) -> WeeklyRisk:
    """Read a weekly risk; `ValueError` when it is none."""
    lines = data["trees"]
    trees = None if lines is None else "\n".join(lines) + "\n"
    return WeeklyRisk(bool(data["waits"]), tuple(map(int, data["columns"])), trees)
