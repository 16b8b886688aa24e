"""Names for personas: what distinguishes each from the rest, in plain words.

Takes the columns that tell personas apart and who belongs to which; gives a unique name and a
sentence each. Knows nothing about how they were found.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from features.engine import Matrix
from features.feature import EVENT, Feature, spoken
from models.persona import Codes, Floats, Side, root
from models.seen import Seen
from models.spoken import Words, capital, carriers, event_noun, is_plural, property_of, share
from models.wording import Phrase, phrase

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

RARER, COMMONER = "rarer", "commoner"
"""Of two levels the rarer one says more: what is not the one is the other."""


@dataclass(frozen=True)
class Mix:
    """One level of a mix, in words."""

    of: str
    """The property that has the level; empty where the events themselves are mixed."""
    level: str
    these: str
    """The events that carry the property."""

    @property
    def verb(self) -> str:
        return "are" if is_plural(self.of.split()[-1]) else "is"

    @property
    def trait(self) -> str:
        """What is measured."""
        if not self.of:
            return f"share of {self.level} among their events"
        return f"share of {self.these} where {self.of} {self.verb} {self.level}"


def mix(feature: Feature, words: Words, seen: Seen) -> Mix:
    """The words of a count of events with one level."""
    condition = feature.where.conditions[0]
    if condition.column == EVENT:
        return Mix("", event_noun(condition.levels[0], words).many, "events")
    these = carriers([condition.column], words, seen)
    return Mix(
        spoken(condition.column), spoken(condition.levels[0]), these.many if these else "events"
    )


def says_the_same(side: Side, vectors: Matrix) -> int | None:
    """Of a mix of two levels the commoner one's column, for what is not the one is the other."""
    if not side.is_mix or len(side.columns) != 2:
        return None
    first, second = np.nanmean(side.values(vectors), axis=0)
    return side.columns[0 if first > second else 1]


@dataclass(frozen=True)
class _Column:
    """One column of a side: its words and its values."""

    feature: Feature
    mix: Mix | None
    """None where it is an amount."""
    phrase: Phrase
    values: Floats
    """Shares or amounts, NaN where missing."""
    roots: Floats
    """Standardised square roots; 0 where missing."""
    of_two: str = ""
    """Of a mix of two levels: whether it is the `RARER` one or the `COMMONER`."""

    def difference(self, mine: Codes) -> float:
        """How far the persona's mean lies from that of the rest, in standard deviations."""
        return float(self.roots[mine].mean() - self.roots[~mine].mean())

    def is_most(self, mine: Codes) -> bool:
        """Whether the level is most of what the persona does, and of the rest it is not."""
        here, there = (float(np.nanmean(self.values[rows])) for rows in (mine, ~mine))
        return self.mix is not None and here >= MOSTLY > there

    def repeats(self, other: "_Column") -> bool:
        """Whether it says what another one said."""
        if self.of_two and self.column == other.column:
            return True
        return abs(float(np.corrcoef(self.roots, other.roots)[0, 1])) >= SAME

    @property
    def column(self) -> str:
        """The property by which a mix chooses its events."""
        return self.feature.where.conditions[0].column

    def word(self, mine: Codes, words: Words, after: "_Column | None" = None) -> str:
        """What is so, in two or three words; the property is not said again `after` itself."""
        more = self.difference(mine) > 0
        hardly = not more and float(np.nanmean(self.values[mine])) < HARDLY
        if self.mix is None:
            of = self.feature.of
            if self.feature.kind == "gap_mean" or of is None:
                many = event_noun(self.feature.where.conditions[0].levels[0], words).many
                return f"{'rare' if more else 'frequent'} {many}"
            return f"{'high' if more else 'low'} {property_of(of, words).name}"
        level = self.mix.level
        if not self.mix.of:
            how = "mostly" if self.is_most(mine) else "more" if more else "fewer"
            return f"{'hardly any' if hardly else how} {level}"
        said = f"{level} {'more' if more else 'less'} often"
        if self.is_most(mine) or hardly:
            said = f"{'hardly ever' if hardly else 'mostly'} {level}"
        if after is not None and after.mix is not None and after.mix.of == self.mix.of:
            return said
        return f"{self.mix.of} {self.mix.verb} {said}"

    def figure(self, mine: Codes) -> str:
        """What tells two personas apart that have the same words."""
        here = float(np.nanmean(self.values[mine]))
        return f"in {share(here)}" if self.mix else self.phrase.short(here)

    def sentence(self, mine: Codes) -> str:
        """The figures behind the words."""
        here, there = (float(np.nanmean(self.values[rows])) for rows in (mine, ~mine))
        if self.mix is None:
            return f"{self.phrase.statement(here, None)}, others {self.phrase.short(there)}"
        level, property_ = self.mix.level, self.mix.of
        if not property_:
            return f"{share(here)} of their events are {level}, of others' {share(there)}"
        return (
            f"{capital(property_)} {self.mix.verb} {level} in {share(here)} of their "
            f"{self.mix.these}, in {share(there)} of others'"
        )


def named(
    features: Sequence[Feature],
    sides: Sequence[Side],
    vectors: Matrix,
    label: Codes,
    words: Words,
    seen: Seen,
) -> list[tuple[str, str]]:
    """A name and a sentence for each persona, in the order of their positions.

    Parameters
    ----------
    vectors, label
        Rows that have a persona, and its position, shape `(n_rows,)`.
    """
    columns = [c for side in sides for c in _columns(features, side, vectors, words, seen)]
    names: list[str] = []
    figures, says = [], []
    for persona in range(int(label.max()) + 1):
        mine = label == persona
        telling = _telling(columns, mine)
        told = [telling[0].word(mine, words)]
        told += [c.word(mine, words, after) for after, c in pairwise(telling)]
        if abs(telling[0].difference(mine)) < TELLING:
            told.insert(0, IN_THE_MIDDLE)
        names.append(_name(told, names))
        figures.append(telling[0].figure(mine))
        says.append(" ".join(f"{column.sentence(mine)}." for column in telling[:MOST_SAID]))
    return list(zip(_unique(names, figures), says, strict=True))


def _columns(
    features: Sequence[Feature], side: Side, vectors: Matrix, words: Words, seen: Seen
) -> list[_Column]:
    found = []
    same = says_the_same(side, vectors)
    for column, values in zip(side.columns, side.values(vectors).T, strict=True):
        roots = root(values)
        roots = np.nan_to_num((roots - np.nanmean(roots)) / np.nanstd(roots))
        feature = features[column]
        of = mix(feature, words, seen) if side.is_mix else None
        said = phrase(feature, words, seen)
        of_two = "" if same is None else COMMONER if column == same else RARER
        found.append(_Column(feature, of, said, values, roots, of_two))
    return found


def _telling(columns: Sequence[_Column], mine: Codes) -> list[_Column]:
    """What distinguishes a persona most, the greatest difference first; of columns that say the
    same, one. What is most of a mix comes before all else."""
    order = sorted(columns, key=lambda c: -abs(c.difference(mine)))
    order.sort(key=lambda c: (not c.is_most(mine), c.of_two == COMMONER))
    chosen: list[_Column] = []
    for column in order:
        if chosen and not _adds(column, chosen[0], mine):
            continue
        if not any(column.repeats(each) for each in chosen):
            chosen.append(column)
    return chosen


def _adds(column: _Column, first: _Column, mine: Codes) -> bool:
    """Whether a column says something beside the first: where most is one thing, it goes without
    saying that the rest is less."""
    difference = column.difference(mine)
    if first.is_most(mine):
        return difference >= TELLING
    return abs(difference) >= TELLING


def _name(words: Sequence[str], taken: Sequence[str]) -> str:
    """The first two of the words, more where the name is taken."""
    for n in range(min(MOST_WORDS, len(words)), len(words) + 1):
        name = capital(", ".join(words[:n]))
        if name not in taken:
            break
    return name


def _unique(names: Sequence[str], figures: Sequence[str]) -> list[str]:
    """Names that differ: by the figure where the words are the same, at last by a number."""
    often = Counter(names)
    told = [
        f"{name}, {figure}" if often[name] > 1 else name
        for name, figure in zip(names, figures, strict=True)
    ]
    return [
        f"{name} ({told[:place].count(name) + 1})" if name in told[:place] else name
        for place, name in enumerate(told)
    ]
