"""The levels that a plan names, as codes that hold for every small log.

A log has levels of its own, and tables for them take longer to make than the features of one
customer. Takes a column of a small log; gives the same column in the codes of the plan: a level
that the plan names has its place, any other gets a place behind them, where it only has to
differ from its like. Knows nothing about features or tables.
"""

from collections.abc import Collection

import numpy as np

from features.categorical import ABSENT, Categorical

BEHIND = tuple(f"\U0010ffff{i:03}" for i in range(64))
"""Stand for levels that the plan does not name; they sort behind all text that means anything."""


class Vocabulary:
    """What a plan names of one column."""

    def __init__(self, named: Collection[str]) -> None:
        names = sorted(named)
        self.place = {level: code for code, level in enumerate(names)}
        self.levels = (*names, *BEHIND)

    def recoded(self, column: Categorical) -> Categorical | None:
        """The same column in the plan's codes; None where too many levels are not named."""
        codes, place = [], len(self.place)
        for level in column.levels:
            code = self.place.get(level)
            if code is None:
                code = place
                place += 1
            codes.append(code)
        if place > len(self.levels):
            return None
        codes.append(ABSENT)  # what the code -1 finds
        return Categorical(np.array(codes, np.int32)[column.codes], self.levels)
