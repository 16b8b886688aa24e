"""What moves the scores, as pictures: a beeswarm of all strong features, one plot each of a few.

Takes vectors and their contributions; gives SVG whose colours the page decides. Knows nothing
about models.
"""

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from features.engine import Matrix
from features.feature import Feature
from training import svg
from training.svg import Frame
from training.weighted import Floats

COLOURS = 7
"""Steps from a low value of a feature to a high one."""
ROW = 48
"""Height of a feature's row of the beeswarm."""
MOST_LEVELS = 6
"""Levels of a category that a plot has a place for; the rest stand together."""
SHORT = 62
"""Letters of a name above a row."""
EDGE = 1.0
"""Percentiles of a number beyond which dots stand at the edge."""


def strongest(contributions: Floats, most: int) -> list[int]:
    """The columns with the largest mean absolute contribution, strongest first; none of 0."""
    strength = np.abs(contributions).mean(axis=0)
    order = np.argsort(-strength, kind="stable")[:most]
    return [int(column) for column in order if strength[column] > 0]


def beeswarm(
    features: Sequence[Feature], columns: Sequence[int], contributions: Floats, vectors: Matrix
) -> Markup:
    """A row a feature, a dot a row of the test part: how far it moved the score, in log-odds."""
    shown = contributions[:, list(columns)]
    low, high = min(0.0, float(shown.min())), max(0.0, float(shown.max()))
    frame = Frame((low, high), (0.0, 1.0), width=400, height=len(columns) * ROW + 44,
                  left=8, right=8, top=0)  # fmt: skip
    floor = len(columns) * ROW
    zero = frame.at(0.0, 0.0)[0]
    parts = [svg.line(zero, 0, zero, floor, "axis")]
    for value in svg.ticks(low, high, 6):
        x = frame.at(value, 0)[0]
        parts.append(svg.line(x, 0, x, floor, "grid"))
        parts.append(svg.text(x, floor + 16, svg.tick_text(value), "middle"))
    says = "contribution to the log-odds of the score"
    parts.append(svg.text(200, floor + 36, says, "middle", "ink"))
    for place, column in enumerate(columns):
        parts.append(svg.text(8, place * ROW + 13, clipped(described(features[column])), "start",
                              "ink"))  # fmt: skip
        across = np.array([frame.at(v, 0)[0] for v in contributions[:, column]])
        parts.append(_swarm(across, vectors[:, column], place * ROW + 32, features[column]))
    names = "; ".join(described(features[column]) for column in columns)
    return svg.scaled(frame.width, frame.height, f"Strongest features first: {names}", *parts)


def _swarm(x: Floats, values: np.ndarray, middle: float, feature: Feature) -> Markup:
    """Dots of one feature, piled up where many stand at the same place."""
    bins = np.round(x / 2.4).astype(np.int64)
    order = np.argsort(bins, kind="stable")
    start = np.concatenate([[True], bins[order][1:] != bins[order][:-1]])
    first = np.maximum.accumulate(np.where(start, np.arange(len(order)), 0))
    nth = np.empty(len(order), dtype=np.int64)
    nth[order] = np.arange(len(order)) - first
    size = np.bincount(bins - bins.min())[bins - bins.min()]
    step = np.minimum(2.0, 22.0 / size)
    y = middle + (nth - (size - 1) / 2) * step
    colour = _colours(values, feature)
    return Markup("").join(
        svg.dots(zip(x[colour == c], y[colour == c], strict=True), f"bee {name}")
        for c, name in [(-1, "none"), *((c, f"c{c}") for c in range(COLOURS))]
        if (colour == c).any()
    )


def _colours(values: np.ndarray, feature: Feature) -> np.ndarray:
    """Which step each value has, by its rank; -1 for a missing one and for categories."""
    colour = np.full(len(values), -1)
    known = ~np.isnan(values)
    if feature.is_position or not known.any():
        return colour
    distinct, place = np.unique(values[known], return_inverse=True)
    rank = np.cumsum(np.bincount(place)) - np.bincount(place) / 2
    colour[known] = np.minimum(COLOURS * rank[place] / known.sum(), COLOURS - 1).astype(int)
    if len(distinct) == 1:
        colour[known] = COLOURS // 2
    return colour


def dependence(feature: Feature, values: np.ndarray, contribution: Floats) -> Markup:
    """Contribution against the feature's value; missing values stand at the left edge."""
    known = ~np.isnan(values)
    rng = np.random.default_rng(0)
    named: list[tuple[float, str]] | None = None
    if feature.is_position:
        x, named = _places(feature, values, rng)
        across = (-0.6, len(named) - 0.4)
    else:
        x = values.astype(np.float64)
        low, high = np.percentile(x[known], [EDGE, 100 - EDGE]) if known.any() else (0.0, 1.0)
        high = high if high > low else low + 1
        room = (high - low) * (0.16 if not known.all() else 0.03)
        across = (float(low - room), float(high + 0.03 * (high - low)))
        named = [(v, svg.tick_text(v)) for v in svg.ticks(float(low), float(high), 4)]
        if not known.all():
            gone = low - 0.11 * (high - low)
            x = np.where(known, x, gone + (high - low) * 0.03 * rng.uniform(-1, 1, len(x)))
            named = [(float(gone), "none"), *(t for t in named if t[0] > low + 0.02 * (high - low))]
    down, up = float(contribution.min()), float(contribution.max())
    pad = 0.05 * (up - down) or 0.1
    frame = Frame(across, (down - pad, up + pad))
    unit = "" if feature.is_position else feature.unit
    parts = [
        frame.axes("share" if unit == "share" else clipped(unit, 40), "contribution, log-odds",
                   x_ticks=named),
        frame.line(across, (0, 0), "ideal"),
        frame.dots(x, contribution, "bee model"),
    ]  # fmt: skip
    return svg.scaled(frame.width, frame.height, f"Dependence: {described(feature)}", *parts)


def _places(
    feature: Feature, values: np.ndarray, rng: np.random.Generator
) -> tuple[Floats, list[tuple[float, str]]]:
    """Levels side by side, the commonest first, with dots spread within their place."""
    code = np.where(np.isnan(values), -1, values).astype(np.int64)
    levels, place, count = np.unique(code, return_inverse=True, return_counts=True)
    rank = np.empty(len(levels), dtype=np.int64)
    rank[np.argsort(-count, kind="stable")] = np.arange(len(levels))
    x = np.minimum(rank[place], MOST_LEVELS - 1) + rng.uniform(-0.3, 0.3, len(values))
    names = {int(rank[i]): "none" if level < 0 else feature.levels[level]
             for i, level in enumerate(levels.tolist())}  # fmt: skip
    if len(levels) > MOST_LEVELS:
        names = {**names, MOST_LEVELS - 1: "others"}
    shown = min(len(levels), MOST_LEVELS)
    letters = 44 // shown
    return x, [(float(i), clipped(names[i], letters)) for i in range(shown)]


def described(feature: Feature) -> str:
    """A feature's description as a heading."""
    words = feature.description
    return words[:1].upper() + words[1:]


def clipped(words: str, most: int = SHORT) -> str:
    """A text of at most so many letters; what tells names apart is often at their end."""
    if len(words) <= most:
        return words
    if most <= 20:
        return words[: most - 1].rstrip() + "…"
    last = words[len(words) - most // 2 :].partition(" ")[2] or words[-most // 2 :]
    begin = words[: most - 2 - len(last)]
    return f"{begin.rpartition(' ')[0] or begin} … {last}"
