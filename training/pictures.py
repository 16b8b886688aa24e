"""The pictures of a report: splits on a time line, intervals, calibration, gain and lift.

Takes plain numbers of the parts of a run; gives SVG whose colours the page decides. Knows
nothing about where the numbers come from.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from features.durations import DAY, format_day
from features.event_log import Ints
from training import svg
from training.bootstrap import LEVEL, Interval
from training.evaluation import reliability
from training.svg import Frame, percent
from training.weighted import Floats, Labels

Z = 1.959964
"""The normal quantile of `LEVEL`."""
assert LEVEL == 0.95

LANE = 46
"""Height of a lane of the time line, pixels."""
MOST_BARS = 120
"""Bars of a lane: a bar a cutoff, or a stretch of time where there are more."""
SHARES = np.linspace(0, 1, 101)
"""Shares of the rows at which gain and lift are drawn."""


@dataclass(frozen=True)
class Lane:
    """Some rows on the time line."""

    name: str
    kind: str
    """`train`, `validation`, `test`, `purge` or `history`: its colour."""
    cutoffs: Ints
    """Microseconds UTC, shape `(n_rows,)`; for a history its first and last event."""
    opens: int = 0
    closes: int = 0
    """Between what the label windows of all rows lie; both 0 for none."""


def time_line(lanes: Sequence[Lane]) -> Markup:
    """A lane each: bars where cutoffs are, a pale band where their label windows lie."""
    begin = min(int(lane.cutoffs.min()) for lane in lanes)
    end = max(max(int(lane.cutoffs.max()), lane.closes) for lane in lanes)
    end = max(end, begin + DAY)
    parts = [_months(begin, end, len(lanes) * LANE)]
    for place, lane in enumerate(lanes):
        parts.append(_lane(lane, place * LANE, begin, end))
    says = "; ".join(_in_words(lane) for lane in lanes)
    return svg.stretched(len(lanes) * LANE + 22, f"Time line. {says}", *parts)


def _in_words(lane: Lane) -> str:
    span = f"{format_day(int(lane.cutoffs.min()))} to {format_day(int(lane.cutoffs.max()))}"
    words = f"{lane.name}: {span}"
    return words + (f", labels known by {format_day(lane.closes)}" if lane.closes else "")


def _months(begin: int, end: int, height: int) -> Markup:
    """At most five lines, at beginnings of months."""
    for months in (1, 2, 3, 6, 12, 24, 60, 120):
        first, last = (
            np.datetime64(moment, "us").astype("datetime64[M]") for moment in (begin, end)
        )
        marks = np.arange(first, last + 1)
        marks = marks[marks.astype(np.int64) % months == 0]
        shown = marks.astype("datetime64[us]").astype(np.int64)
        inside = (shown >= begin) & (shown <= end)
        if inside.sum() <= 5:
            break
    parts = []
    for mark, moment in zip(marks[inside], shown[inside], strict=True):
        share = (int(moment) - begin) / (end - begin)
        parts.append(svg.line(percent(share), 0, percent(share), height + 4, "grid"))
        anchor = "start" if share < 0.08 else "end" if share > 0.92 else "middle"
        parts.append(svg.text(percent(share), height + 18, str(mark), anchor))
    return Markup("").join(parts)


def _lane(lane: Lane, top: int, begin: int, end: int) -> Markup:
    """A name, the cutoffs' bars, and the band of the label windows beneath."""

    def across(moment: float) -> float:
        return (moment - begin) / (end - begin)

    floor = top + LANE - 12
    parts = [svg.text("0", top + 13, lane.name, "start", "ink lane")]
    if lane.closes:
        left = across(lane.opens)
        parts.append(
            svg.tag("rect", x=percent(left), y=floor, width=percent(across(lane.closes) - left),
                    height=7, class_=f"window {lane.kind}")
        )  # fmt: skip
    if lane.kind == "history":
        left, right = across(int(lane.cutoffs.min())), across(int(lane.cutoffs.max()))
        parts.append(svg.tag("rect", x=percent(left), y=floor - 8, width=percent(right - left),
                             height=8, class_="history"))  # fmt: skip
        return Markup("").join(parts)
    for at, height in _bars(lane.cutoffs, begin, end):
        parts.append(
            svg.tag("rect", x=percent(across(at)), y=floor - height, width=4, height=height,
                    class_=lane.kind)
        )  # fmt: skip
    return Markup("").join(parts)


def _bars(cutoffs: Ints, begin: int, end: int) -> list[tuple[float, float]]:
    """Where bars stand and how tall they are, by the square root of their number of rows."""
    at, count = np.unique(cutoffs, return_counts=True)
    if len(at) > MOST_BARS:
        count, edge = np.histogram(cutoffs, bins=MOST_BARS, range=(begin, end))
        at, count = edge[:-1][count > 0], count[count > 0]
    tall = np.maximum(np.sqrt(count / count.max()) * 16, 3.0)
    return list(zip(at.tolist(), tall.tolist(), strict=True))


def interval_bar(
    interval: Interval, low: float, high: float, mark: float | None, says: str
) -> Markup:
    """A dot with its interval on a line from `low` to `high`; `mark` is what it is held against."""

    def across(value: float) -> str:
        return percent(0.02 + 0.96 * min(max((value - low) / (high - low), 0.0), 1.0))

    side = "" if mark is None or interval.low <= mark <= interval.high else (
        " better" if interval.low > mark else " worse"
    )  # fmt: skip
    parts = [] if mark is None else [svg.line(across(mark), 1, across(mark), 21, "mark")]
    parts += [
        svg.line(across(interval.low), 11, across(interval.high), 11, f"whisker{side}"),
        svg.tag("circle", cx=across(interval.value), cy=11, r=4.5, class_=f"value{side}"),
    ]
    return svg.stretched(22, says, *parts, class_="bar")


def bar_range(intervals: Sequence[Interval], mark: float) -> tuple[float, float]:
    """A range that holds all intervals and the mark."""
    low = min([mark, *(i.low for i in intervals)])
    high = max([mark, *(i.high for i in intervals)])
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def reliability_picture(label: Labels, probability: Floats, customer: Ints) -> Markup:
    """Observed rate against mean score, tenths of equal size, with 95 % intervals."""
    mean, rate, _ = reliability(label, probability)
    low, high = rate_intervals(label, probability, customer)
    top = min(1.0, 1.06 * max(float(mean.max()), float(high.max())))
    frame = Frame((0.0, top), (0.0, top))
    parts = [frame.axes("mean score", "observed rate", "%", "%")]
    parts.append(frame.line((0, top), (0, top), "ideal"))
    for x, a, b in zip(mean, low, high, strict=True):
        parts.append(frame.line((x, x), (a, b), "whisker thin"))
    parts.append(frame.line(mean, rate, "curve model"))
    parts.append(frame.dots(mean, rate, "dots model"))
    parts.append(_spread(probability, frame))
    says = "; ".join(f"score {m:.1%}, observed {r:.1%}" for m, r in zip(mean, rate, strict=True))
    return svg.scaled(frame.width, frame.height, f"Reliability: {says}", *parts)


def _spread(probability: Floats, frame: Frame) -> Markup:
    """How the scores lie, as a row of bars along the axis."""
    count, edge = np.histogram(probability, bins=40, range=frame.x)
    parts = []
    for n, a, b in zip(count, edge[:-1], edge[1:], strict=True):
        if n:
            (x, y), (right, _) = frame.at(a, 0), frame.at(b, 0)
            tall = 26 * float(np.sqrt(n / count.max()))
            parts.append(svg.tag("rect", x=x, y=y - tall, width=right - x - 0.6, height=tall,
                                 class_="spread"))  # fmt: skip
    return Markup("").join(parts)


def rate_intervals(label: Labels, probability: Floats, customer: Ints) -> tuple[Floats, Floats]:
    """Between what the observed rate of each tenth may lie, at 95 %.

    Wilson's interval with the effective number of rows: rows of one customer resemble each
    other, so the variance is that of sums over customers.
    Source: Korn and Graubard (1998), Confidence intervals for proportions with small expected
    number of positive counts, with Wilson's (1927) interval in place of the exact one.
    """
    order = np.argsort(probability, kind="stable")
    lows, highs = [], []
    for rows in np.array_split(order, 10):
        if len(rows):
            low, high = wilson(label[rows].astype(np.float64), customer[rows])
            lows.append(low)
            highs.append(high)
    return np.array(lows), np.array(highs)


def wilson(label: Floats, customer: Ints) -> tuple[float, float]:
    """The interval of one rate; see `rate_intervals`."""
    rate = float(label.mean())
    _, who = np.unique(customer, return_inverse=True)
    pulls = np.bincount(who, label - rate)
    n = float(len(pulls))
    if 0 < rate < 1:
        variance = float((pulls**2).sum()) / len(label) ** 2
        n = min(float(len(label)), rate * (1 - rate) / variance)
    middle, weight = (rate + Z**2 / (2 * n)) / (1 + Z**2 / n), Z / (1 + Z**2 / n)
    half = weight * np.sqrt(rate * (1 - rate) / n + Z**2 / (4 * n**2))
    return max(0.0, middle - half), min(1.0, middle + half)


def gains(label: Labels, score: Floats, shares: Floats = SHARES) -> Floats:
    """The share of all positives among the rows with the highest scores, by share of the rows.

    Rows of one score are reached all at the same pace, whatever their order.
    """
    _, place = np.unique(-score, return_inverse=True)
    rows, hits = np.cumsum(np.bincount(place)), np.cumsum(np.bincount(place, label))
    reached, found = (np.concatenate([[0], of / of[-1]]) for of in (rows, hits))
    return np.asarray(np.interp(shares, reached, found))


def gain_picture(label: Labels, scores: Mapping[str, Floats], capacity: float) -> Markup:
    """The share of outcomes reached by the share of rows, of the model and its rivals."""
    frame = Frame((0.0, 1.0), (0.0, 1.0))
    parts = [frame.axes("rows reached, highest scores first", "outcomes reached", "%", "%")]
    parts.append(frame.line((0, 1), (0, 1), "ideal"))
    parts.append(frame.line((capacity, capacity), (0, 1), "mark"))
    for name, score in scores.items():
        parts.append(frame.line(SHARES, gains(label, score), f"curve {name}"))
    here = gains(label, scores["model"], np.array([capacity]))[0]
    says = f"Gain: the model reaches {here:.0%} of the outcomes with {capacity:.0%} of the rows"
    return svg.scaled(frame.width, frame.height, says, *parts)


def lift_picture(label: Labels, scores: Mapping[str, Floats], capacity: float) -> Markup:
    """The rate among the rows reached ÷ base rate, of the model and its rivals."""
    shares = SHARES[1:]
    lifts = {name: gains(label, score, shares) / shares for name, score in scores.items()}
    # The first per cent of a small part is a handful of rows; it would set the whole scale.
    shown = shares * len(label) >= 20
    top = max([1.2, *(float(lift[shown].max()) * 1.05 for lift in lifts.values())])
    frame = Frame((0.0, 1.0), (0.0, top))
    parts = [frame.axes("rows reached, highest scores first", "lift", "%")]
    parts.append(frame.line((0, 1), (1, 1), "ideal"))
    parts.append(frame.line((capacity, capacity), (0, top), "mark"))
    for name, lift in lifts.items():
        parts.append(frame.line(shares[shown], lift[shown], f"curve {name}"))
    says = f"Lift by share of the rows reached, {lifts['model'][9]:.1f} at 10%"
    return svg.scaled(frame.width, frame.height, says, *parts)
