"""The pictures of a score: what adds up to it, how it comes about by week, how it has moved.

Takes probabilities and moments; gives SVG. Knows nothing about where scores come from.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from features.durations import DAY
from serving.drawing import Frame, line, percent, tag, text
from serving.page_words import date, share
from serving.timeline import ticks_of_time

TOPS = (0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)


@dataclass(frozen=True)
class Step:
    """One bar of a sum: from where to where, in percentage points."""

    begins: float
    ends: float
    whole: bool = False
    """Whether it is a score of its own, not what is added."""


def steps(base: float, added: Sequence[float]) -> list[Step]:
    """Bars that begin where the one before ends; the first and the last stand on the ground."""
    bars, at = [Step(0.0, base, True)], base
    for points in added:
        bars.append(Step(at, at + points))
        at += points
    return [*bars, Step(0.0, at, True)]


def bars(sum_of: Sequence[Step]) -> list[Markup]:
    """A small picture for each bar, all on one scale; the numbers stand beside them as text."""
    places = [0.0, *(place for step in sum_of for place in (step.begins, step.ends))]
    low, high = min(places), max(places)
    high += (high - low) * 0.02 or 1.0

    def across(place: float) -> float:
        return (place - low) / (high - low)

    found = []
    for step in sum_of:
        left, right = sorted((across(step.begins), across(step.ends)))
        kind = "whole" if step.whole else "raises" if step.ends > step.begins else "lowers"
        bar = tag(
            "rect", x=percent(left), y=4, width=percent(max(right - left, 0.006)), height=12,
            class_=kind,
        )  # fmt: skip
        ground = line(percent(across(0.0)), 0, percent(across(0.0)), 20, "axis")
        found.append(
            tag("svg", ground, bar, width="100%", height=20, class_="bar", aria_hidden="true")
        )
    return found


def weekly(weeks: Sequence[tuple[int, float]], as_of: int, what: str) -> Markup:
    """The chance of the outcome by the end of each week, as a curve."""
    top = _top([chance for _, chance in weeks])
    end = max(weeks[-1][0], as_of + DAY)
    frame = Frame((as_of, end), (0.0, top))
    told = "; ".join(f"by {date(until)} {share(chance)}" for until, chance in weeks)
    ends = [
        text(x, y - 9, share(chance), "middle", "ink")
        for until, chance in dict.fromkeys((weeks[0], weeks[-1]))
        for x, y in [frame.at(until, chance)]
    ]
    ticks = ticks_of_time(as_of, end)
    return frame.drawn(
        f"Chance of {what} by week", f"{told}.",
        frame.axes(ticks), frame.line(weeks, "curve"), frame.dots(weeks, "points-drawn"), *ends,
    )  # fmt: skip


@dataclass(frozen=True)
class Past:
    """A score that was recorded."""

    as_of: int
    probability: float
    version: str


def history(past: Sequence[Past]) -> Markup:
    """Scores from old to new, with a line where another version of the model began to answer."""
    since, until = past[0].as_of, max(past[-1].as_of, past[0].as_of + DAY)
    frame = Frame((since, until), (0.0, _top([each.probability for each in past])))
    parts = [frame.axes(ticks_of_time(since, until))]
    runs: list[list[Past]] = [[]]
    for before, each in zip([past[0], *past], past, strict=False):
        if each.version != before.version:
            runs.append([])
            x = frame.at(each.as_of, 0.0)[0]
            parts.append(line(x, frame.top - 8, x, frame.height - frame.bottom, "change"))
            beside = (x - 4, "end") if x > frame.width * 0.75 else (x + 4, "start")
            parts.append(text(beside[0], 12, f"version {each.version}", beside[1]))
        runs[-1].append(each)
    for run in runs:
        places = [(float(each.as_of), each.probability) for each in run]
        parts += [frame.line(places, "curve"), frame.dots(places, "points-drawn")]
    told = "; ".join(
        f"{date(each.as_of)} {share(each.probability)} by version {each.version}" for each in past
    )
    return frame.drawn("Recorded scores", f"{told}.", *parts)


def _top(chances: Sequence[float]) -> float:
    """Where the scale of shares ends: not far above the highest one, never above 1."""
    highest = max(chances)
    return next((top for top in TOPS if highest <= top), 1.0)
