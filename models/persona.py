"""Personas: which of a model's segments a customer belongs to, by how its journey goes.

Takes feature vectors in the contract's order and plain numbers: sides of behaviour, and the
centres of the segments. Gives a segment a row, or none where the history is too thin. Knows
nothing about how the segments were found.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.engine import Matrix
from models.loops import nearest, standardise

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

LEAST_EVENTS = 5
"""A side of behaviour with fewer events behind it says nothing about a customer."""

FARTHEST = 3.0
"""Standardised values are cut here, so that one odd number decides nothing."""

NO_PERSONA = -1
"""What a row gets whose history is too thin."""

TOO_THIN = (
    "too_few_events",
    f"fewer than {LEAST_EVENTS} of the events by which personas are told apart",
)
NOT_TOLD_APART = ("no_personas", "the model's customers do not fall into segments that last")
"""Why there is no persona: a stable code and a sentence."""


@dataclass(frozen=True)
class Side:
    """One side of behaviour: a mix of events, or usual amounts.

    Columns are positions in the contract's features. Where `columns` and `counted` are the
    same, the side is a mix: a column's value is its share of their sum. Otherwise the values
    are the columns themselves. A value `v` enters as `(sign(v) √|v| - centre) / scale`, cut to
    ±3; missing enters as 0, the centre. Of counts the square root has the same variance by
    chance whatever their size (Bartlett 1936), and it tames large amounts.
    """

    columns: tuple[int, ...]
    counted: tuple[int, ...]
    """Columns whose sum is the number of events behind the side."""
    centre: tuple[float, ...]
    scale: tuple[float, ...]

    @property
    def is_mix(self) -> bool:
        return self.columns == self.counted

    @cached_property
    def _arrays(self) -> tuple[Codes, Codes]:
        return np.array(self.columns, np.int64), np.array(self.counted, np.int64)

    def evidence(self, vectors: Matrix) -> Floats:
        """Events behind the side, shape `(n_rows,)`."""
        counts = vectors.take(self._arrays[1], axis=1).astype(np.float64)
        return in_turn(np.where(np.isnan(counts), 0.0, counts))

    def values(self, vectors: Matrix) -> Floats:
        """Shares or amounts, shape `(n_rows, n_columns)`; NaN where missing."""
        return self._values(vectors, self.evidence(vectors))

    def _values(self, vectors: Matrix, evidence: Floats) -> Floats:
        values = vectors.take(self._arrays[0], axis=1).astype(np.float64)
        if not self.is_mix:
            return values
        return values / np.where(evidence == 0, np.nan, evidence)[:, None]

    def to_json(self, names: Sequence[str]) -> dict[str, Any]:
        return {
            "columns": [names[column] for column in self.columns],
            "counted": [names[column] for column in self.counted],
            "centre": list(self.centre),
            "scale": list(self.scale),
        }


@dataclass(frozen=True)
class Trait:
    """What is usual in a persona, beside everybody."""

    says: str
    """What is measured, in words."""
    here: float
    everybody: float
    unit: str
    """`share` of 1, or the feature's own."""


@dataclass(frozen=True)
class Facts:
    """What the training part tells of a persona; plain data that no score depends on."""

    customers: int
    rows: int
    """Rows of the training part with a known outcome."""
    rate: float
    """The share of them whose outcome came."""
    low: float
    high: float
    """Between what the rate may lie, at 95 %."""
    traits: tuple[Trait, ...]
    """The most distinguishing first."""
    path: tuple[str, ...] = ()
    """The commonest order in which stages were first reached; empty where none is known."""
    path_share: float | None = None
    """Of the persona's customers who reached any stage."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def facts_from_json(data: Mapping[str, Any]) -> Facts:
    """What `Facts.to_json` wrote."""
    traits = tuple(Trait(**trait) for trait in data["traits"])
    return Facts(**{**data, "traits": traits, "path": tuple(data["path"])})


@dataclass(frozen=True)
class Persona:
    """One segment."""

    name: str
    says: str
    """What distinguishes it, in a sentence."""
    share: float
    """Of the training part's customers who have a persona."""
    centre: tuple[float, ...]
    """Standardised, the sides' columns one after the other."""
    facts: Facts | None = None
    """None where the model is from before they were stored."""

    def to_json(self) -> dict[str, Any]:
        told = {
            "name": self.name,
            "says": self.says,
            "share": self.share,
            "centre": list(self.centre),
        }
        return told if self.facts is None else {**told, "facts": self.facts.to_json()}


@dataclass(frozen=True)
class Personas:
    """A model's segments."""

    sides: tuple[Side, ...]
    personas: tuple[Persona, ...]
    trust: Mapping[str, float]
    """How clearly the segments were told apart in training: see `training.personas`."""

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(persona.name for persona in self.personas)

    def assign(self, vectors: Matrix) -> Codes:
        """The position of each row's persona, shape `(n_rows,)`; -1 where the history is too thin.

        The nearest centre; of two that are equally near, the larger segment. A row gets the
        same answer alone and among a million.
        """
        points, thick = self._measured(vectors)
        found = np.empty(len(points), np.int64)
        nearest(points, self._centres, found)
        return found if thick.all() else np.where(thick, found, NO_PERSONA)

    def thick(self, vectors: Matrix) -> NDArray[np.bool_]:
        """Whether each row has enough events behind every side, shape `(n_rows,)`."""
        return self._measured(vectors)[1]

    def points(self, vectors: Matrix) -> Floats:
        """What distances are measured on, shape `(n_rows, n_columns of all sides)`."""
        return self._measured(vectors)[0]

    @cached_property
    def _centres(self) -> Floats:
        centres = [persona.centre for persona in self.personas]
        return np.array(centres, np.float64).reshape(len(centres), -1)

    @cached_property
    def _sides(self) -> tuple[NDArray[np.bool_], Codes, Codes, Codes, Codes, Floats, Floats]:
        """Which sides are mixes; all one after the other, and where each one's columns begin."""
        mixes = np.array([side.is_mix for side in self.sides], np.bool_)
        columns, counted = (
            [getattr(side, name) for side in self.sides] for name in ("columns", "counted")
        )
        centre, scale = (
            np.array([number for side in self.sides for number in getattr(side, name)], np.float64)
            for name in ("centre", "scale")
        )
        return mixes, *_chained(columns), *_chained(counted), centre, scale

    def _measured(self, vectors: Matrix) -> tuple[Floats, NDArray[np.bool_]]:
        """What distances are measured on, and whether there is enough behind every side."""
        n = len(vectors)
        points, least = np.empty((n, len(self._sides[1]))), np.empty(n)
        some = np.ascontiguousarray(vectors, np.float32)
        standardise(some, *self._sides, FARTHEST, points, least)
        return points, least >= LEAST_EVENTS

    def of(self, code: int) -> Persona | None:
        """The persona that `assign` meant."""
        return None if code == NO_PERSONA else self.personas[code]

    def to_json(self, names: Sequence[str]) -> dict[str, Any]:
        """Plain data; `names` are those of the contract's features."""
        return {
            "sides": [side.to_json(names) for side in self.sides],
            "personas": [persona.to_json() for persona in self.personas],
            "trust": dict(self.trust),
        }


def personas_from_json(data: Mapping[str, Any], names: Sequence[str]) -> Personas:
    """What `Personas.to_json` wrote.

    Raises
    ------
    KeyError
        When it names a column that is none of the contract's features.
    """
    place = {name: column for column, name in enumerate(names)}

    def places(columns: Iterable[str]) -> tuple[int, ...]:
        return tuple(place[name] for name in columns)

    return Personas(
        tuple(
            Side(
                places(side["columns"]),
                places(side["counted"]),
                tuple(side["centre"]),
                tuple(side["scale"]),
            )
            for side in data["sides"]
        ),
        tuple(
            Persona(
                item["name"],
                item["says"],
                item["share"],
                tuple(item["centre"]),
                facts_from_json(item["facts"]) if "facts" in item else None,
            )
            for item in data["personas"]
        ),
        data["trust"],
    )


def _chained(lists: Sequence[tuple[int, ...]]) -> tuple[Codes, Codes]:
    """Lists one after the other, and where each begins and ends."""
    edges = np.cumsum([0, *map(len, lists)], dtype=np.int64)
    return np.array(list(chain.from_iterable(lists)), np.int64), edges


def in_turn(values: Floats) -> Floats:
    """The sum of each row, added up from left to right whatever the number of rows."""
    if not values.shape[1]:
        return np.zeros(len(values))
    return np.asarray(np.add.accumulate(values, axis=1)[:, -1])


def root(values: Floats) -> Floats:
    """The square root, with the sign of the value."""
    return np.asarray(np.copysign(np.sqrt(np.abs(values)), values))
