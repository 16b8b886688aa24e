"""The pictures of a model's quality: calibration, gain, lift, and an interval on a line.

Takes what a run found of rows that nothing was fitted on; gives SVG. Knows nothing about models.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from serving.drawing import Frame, line, per_cent, percent, picture, tag, text, ticks

SCALE = (0.4, 1.0)
"""Between what an AUROC is drawn."""
RIVALS = (("best_rule", "curve rival"), ("model", "curve"))


def reliability_chart(tenths: Sequence[Mapping[str, Any]]) -> Markup:
    """Observed rate against mean score of tenths of the rows, with 95 % intervals."""
    top = min(1.0, 1.08 * max(max(each["score"], each["high"]) for each in tenths))
    frame = _frame((0.0, top), (0.0, top))
    points = [(each["score"], each["rate"]) for each in tenths]
    whiskers = []
    for each in tenths:
        x, y = frame.at(each["score"], each["low"])
        whiskers.append(line(x, y, x, frame.at(each["score"], each["high"])[1], "whisker"))
    says = "; ".join(f"mean score {x:.1%}, observed {y:.1%}" for x, y in points)
    return frame.drawn(
        "Reliability: observed rate against mean score", f"{says}.",
        frame.axes([(value, f"{100 * value:g}%") for value in ticks(0.0, top)]),
        _named(frame, "mean score"), frame.line([(0.0, 0.0), (top, top)], "ideal"),
        *whiskers, frame.line(points, "curve"), frame.dots(points, "points-drawn"),
    )  # fmt: skip


def gain_chart(gain: Mapping[str, Any], capacity: float) -> Markup:
    """The share of outcomes reached by the share of customers looked at."""
    frame = _frame((0.0, 1.0), (0.0, 1.0))
    curves = [(list(zip(gain["shares"], gain[name], strict=True)), class_)
              for name, class_ in RIVALS if name in gain]  # fmt: skip
    reached = _at(gain, capacity)
    says = f"The {capacity:.0%} with the highest scores hold {reached:.0%} of the outcomes."
    return frame.drawn(
        "Gain: outcomes reached by share of rows looked at", says, _axes(frame),
        frame.line([(0.0, 0.0), (1.0, 1.0)], "ideal"), _capacity(frame, capacity),
        *(frame.line(points, class_) for points, class_ in curves),
    )  # fmt: skip


def lift_chart(gain: Mapping[str, Any], capacity: float) -> Markup:
    """The rate among the rows looked at, as a multiple of that of all rows."""
    curves = [
        [(s, g / s) for s, g in zip(gain["shares"], gain[name], strict=True) if s > 0]
        for name, _ in RIVALS if name in gain
    ]  # fmt: skip
    classes = [class_ for name, class_ in RIVALS if name in gain]
    top = 1.1 * max(1.1, *(y for points in curves for _, y in points))
    frame = _frame((0.0, 1.0), (0.0, top))
    says = f"Lift is {_at(gain, capacity) / capacity:.1f} at {capacity:.0%} of the rows."
    return frame.drawn(
        "Lift: rate among rows looked at, beside that of all", says,
        _axes(frame, "{:g} ×".format),
        frame.line([(0.0, 1.0), (1.0, 1.0)], "ideal"), _capacity(frame, capacity),
        *(frame.line(points, class_) for points, class_ in zip(curves, classes, strict=True)),
    )  # fmt: skip


def range_bar(value: Sequence[float], mark: float | None, says: str) -> Markup:
    """A dot with its interval on a line; the mark is that of all rows."""

    def across(at: float) -> str:
        low, high = SCALE
        return percent(0.02 + 0.96 * min(max((at - low) / (high - low), 0.0), 1.0))

    parts = [] if mark is None else [line(across(mark), 1, across(mark), 19, "change")]
    parts.append(line(across(value[1]), 10, across(value[2]), 10, "whisker"))
    parts.append(tag("circle", cx=across(value[0]), cy=10, r=4.5, class_="value"))
    told = f"{value[0]:.2f}, {value[1]:.2f} to {value[2]:.2f}"
    return picture(says, told, *parts, width="100%", height=20, class_="range")


def rate_bar(rate: float, low: float, high: float, base: float, top: float, says: str) -> Markup:
    """A rate with its interval from 0 to `top`; the mark is everybody's rate."""

    def across(at: float) -> str:
        return percent(0.02 + 0.96 * min(at / top, 1.0))

    return picture(
        says, f"{rate:.1%}, {low:.1%} to {high:.1%}; everybody {base:.1%}",
        line(across(base), 1, across(base), 19, "change"),
        line(across(low), 10, across(high), 10, "whisker"),
        tag("circle", cx=across(rate), cy=10, r=4.5, class_="value"),
        width="100%", height=20, class_="range",
    )  # fmt: skip


def _frame(x: tuple[float, float], y: tuple[float, float]) -> Frame:
    return Frame(x, y, height=300, bottom=46)


def _axes(frame: Frame, up: Callable[[float], str] = per_cent) -> Markup:
    across = [(value, f"{value:.0%}") for value in (0.0, 0.25, 0.5, 0.75, 1.0)]
    return frame.axes(across, up) + _named(frame, "rows looked at, highest scores first")


def _named(frame: Frame, words: str) -> Markup:
    return text((frame.left + frame.width - frame.right) / 2, frame.height - 8, words, "middle")


def _capacity(frame: Frame, capacity: float) -> Markup:
    x, ground = frame.at(capacity, frame.y[0])
    return line(x, frame.top, x, ground, "change")


def _at(gain: Mapping[str, Any], share: float) -> float:
    """The gain at a share, between the told ones along a line."""
    shares, reached = gain["shares"], gain["model"]
    for place in range(1, len(shares)):
        if shares[place] >= share:
            before, after = shares[place - 1], shares[place]
            part = (share - before) / (after - before)
            return float(reached[place - 1] + part * (reached[place] - reached[place - 1]))
    return 1.0
