"""What is usual among a customer's own kind: its persona, its stage, or the time left.

Takes a vector and the persona; gives the segment of peers and their usual values. Knows
nothing about how the segments' values were found.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

PERSONA, STAGE, LEAD = "persona", "stage", "lead"
"""What tells peers apart."""

EVERYBODY = "all customers"

Usual = tuple[float | None, ...]
"""A usual value a feature; None where most of the peers lack it."""


@dataclass(frozen=True)
class Peers:
    """Segments of peers, and what is usual in each."""

    by: str = ""
    """`persona`, `stage`, `lead`, or nothing: everybody is a peer."""
    column: int = -1
    """The feature that the segment is read from, where it is a stage or a lead."""
    at: tuple[float, ...] = ()
    """The feature's value in each segment; the nearest one is a row's."""
    usual: Mapping[str, Usual] = field(default_factory=dict)
    """By the segment's name; a segment with few rows is left out."""
    names: tuple[str, ...] = ()
    """Of the segments, in the order of `at`."""

    def segment(self, vector: NDArray[np.floating[Any]], persona: str | None) -> str | None:
        """The segment that a row belongs to; None where everybody is its peer."""
        if not self.by:
            return None
        if self.by == PERSONA:
            return persona if persona in self.usual else None
        value = float(vector[self.column])
        if value != value:
            return None
        nearest = min(range(len(self.at)), key=lambda place: abs(self.at[place] - value))
        name = self.names[nearest]
        return name if name in self.usual else None

    def to_json(self, names: Sequence[str]) -> dict[str, Any]:
        """Plain data; `names` are those of the contract's features."""
        return {
            "by": self.by,
            "column": names[self.column] if self.column >= 0 else None,
            "at": list(self.at),
            "names": list(self.names),
            "usual": {name: list(values) for name, values in self.usual.items()},
        }


def peers_from_json(data: Mapping[str, Any], names: Sequence[str]) -> Peers:
    """What `Peers.to_json` wrote."""
    column = -1 if data["column"] is None else names.index(data["column"])
    usual = {name: tuple(values) for name, values in data["usual"].items()}
    return Peers(data["by"], column, tuple(data["at"]), usual, tuple(data["names"]))
