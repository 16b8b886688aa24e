"""Names for personas: what distinguishes each from the rest, in plain words.

Takes the columns that tell personas apart and who belongs to which; gives a unique name and a
sentence each. Knows nothing about how they were found.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from features.engine import Matrix
from features.feature import EVENT, Feature, spoken
from models.persona import Codes, Floats, Side, root

TELLING = 0.5
"""A column speaks for a persona when its mean lies so many standard deviations from that of the
rest."""

MOST_WORDS, MOST_SAID = 2, 3
"""Columns that a name, and a sentence, speak of."""

SAME = 0.8
"""Columns that correlate more than this say the same."""

IN_THE_MIDDLE = "average"
"""What comes first in the name of a persona for which no column speaks."""

MOSTLY, HARDLY = 0.5, 0.02
"""From this share on a level is most of a mix; below that one it hardly occurs."""


@dataclass(frozen=True)
class _Column:
    """One column of a side: its words and its values."""

    feature: Feature
    is_mix: bool
    values: Floats
    """Shares or amounts, NaN where missing."""
    roots: Floats
    """Standardised square roots; 0 where missing."""

    def difference(self, mine: Codes) -> float:
        """How far the persona's mean lies from that of the rest, in standard deviations."""
        return float(self.roots[mine].mean() - self.roots[~mine].mean())

    def is_most(self, mine: Codes) -> bool:
        """Whether the level is most of what the persona does, and of the rest it is not."""
        here, there = (float(np.nanmean(self.values[rows])) for rows in (mine, ~mine))
        return self.is_mix and here >= MOSTLY > there

    def word(self, mine: Codes) -> str:
        """What is so, in two or three words."""
        more, about = self.difference(mine) > 0, self.feature.where.conditions[0].levels[0]
        if self.is_mix:
            if self.is_most(mine):
                return f"mostly {spoken(about)}"
            hardly = not more and float(np.nanmean(self.values[mine])) < HARDLY
            return f"{'hardly any' if hardly else 'more' if more else 'less'} {spoken(about)}"
        if self.feature.kind == "gap_mean":
            return f"{'rare' if more else 'frequent'} {spoken(about)}"
        return f"{'high' if more else 'low'} {spoken(self.feature.of or '')}"

    def sentence(self, mine: Codes) -> str:
        """The figures behind the words."""
        here, there = (float(np.nanmean(self.values[rows])) for rows in (mine, ~mine))
        if not self.is_mix:
            return f"{self.feature.description}: {here:.3g}, others {there:.3g}"
        condition = self.feature.where.conditions[0]
        by = "" if condition.column == EVENT else f" by {spoken(condition.column)}"
        return (
            f"{here:.0%} of their events{by} are {spoken(condition.levels[0])}, others' {there:.0%}"
        )


def named(
    features: Sequence[Feature], sides: Sequence[Side], vectors: Matrix, label: Codes
) -> list[tuple[str, str]]:
    """A name and a sentence for each persona, in the order of their positions.

    Parameters
    ----------
    vectors, label
        Rows that have a persona, and its position, shape `(n_rows,)`.
    """
    columns = [column for side in sides for column in _columns(features, side, vectors)]
    names: list[tuple[str, str]] = []
    for persona in range(int(label.max()) + 1):
        mine = label == persona
        telling = _telling(columns, mine)
        words = [column.word(mine) for column in telling]
        if abs(telling[0].difference(mine)) < TELLING:
            words.insert(0, IN_THE_MIDDLE)
        name = _unique(words, {taken for taken, _ in names})
        says = "; ".join(column.sentence(mine) for column in telling[:MOST_SAID])
        names.append((name, _capital(says) + "."))
    return names


def _columns(features: Sequence[Feature], side: Side, vectors: Matrix) -> list[_Column]:
    found = []
    for column, values in zip(side.columns, side.values(vectors).T, strict=True):
        roots = root(values)
        roots = (roots - np.nanmean(roots)) / np.nanstd(roots)
        found.append(_Column(features[column], side.is_mix, values, np.nan_to_num(roots)))
    return found


def _telling(columns: Sequence[_Column], mine: Codes) -> list[_Column]:
    """What distinguishes a persona most, the greatest difference first; of columns that say the
    same, one. What is most of a mix comes before all else."""
    order = sorted(columns, key=lambda c: -abs(c.difference(mine)))
    order.sort(key=lambda c: not c.is_most(mine))
    chosen: list[_Column] = []
    for column in order:
        if chosen and not _adds(column, chosen[0], mine):
            continue
        if all(abs(float(np.corrcoef(column.roots, c.roots)[0, 1])) < SAME for c in chosen):
            chosen.append(column)
    return chosen


def _adds(column: _Column, first: _Column, mine: Codes) -> bool:
    """Whether a column says something beside the first: where most is one thing, it goes without
    saying that the rest is less."""
    difference = column.difference(mine)
    if first.is_most(mine):
        return difference >= TELLING
    return abs(difference) >= TELLING


def _unique(words: Sequence[str], taken: set[str]) -> str:
    """The first two of the words, more where the name is taken, at last a number."""
    for n in range(min(MOST_WORDS, len(words)), len(words) + 1):
        name = _capital(", ".join(words[:n]))
        if name not in taken:
            return name
    first, number = _capital(", ".join(words)), 2
    while f"{first} ({number})" in taken:
        number += 1
    return f"{first} ({number})"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
