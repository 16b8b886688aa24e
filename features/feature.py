"""What a feature is: a frozen definition, checked when it is made.

Takes a kind, a choice of events and a window; gives a derived name, a sentence, a unit, a
meaning of missing, and itself as plain data. Knows nothing about arrays: the engines give
the numbers.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from features.durations import LONGEST, format_duration, spell_duration
from features.kinds import ATTRIBUTES, EVENTS, KINDS, MOMENT, NOTHING, STAGES, TIME, Kind

EVENT = "event"
"""The column of the event's own name."""

TEXT = "text"
"""The column of what people wrote; it is read by its words."""


@dataclass(frozen=True)
class Condition:
    """What one text property of an event must be."""

    column: str
    """`event`, `channel` or another text property."""
    levels: tuple[str, ...]
    """The property is one of these."""
    contains: bool = False
    """The property holds one of the levels as a word, in whatever case."""

    def __post_init__(self) -> None:
        if not self.levels:
            raise ValueError(f"a choice by {self.column!r} needs at least one level")


@dataclass(frozen=True)
class Where:
    """Which events a feature reads: those that fulfil every condition."""

    conditions: tuple[Condition, ...] = ()
    """None: every event is read."""
    label: str = ""
    """The word for the chosen events in names and sentences."""

    def __post_init__(self) -> None:
        if self.conditions and not self.label:
            raise ValueError("a choice of events needs a label")

    @property
    def name(self) -> str:
        return _word(self.label) if self.conditions else "event"

    @property
    def one(self) -> str:
        """One such event, in a sentence."""
        return f"{spoken(self.label)} event" if self.conditions else "event of any kind"

    @property
    def many(self) -> str:
        """Such events, in a sentence."""
        return f"{spoken(self.label)} events" if self.conditions else "events of any kind"


@dataclass(frozen=True)
class Rates:
    """How often the outcome came true among the customers of one level, as it became known."""

    level: str | None
    """None: all customers, whatever their level."""
    known_time: tuple[int, ...]
    """Ascending; from each of these moments on the counts beside it hold, microseconds UTC."""
    n: tuple[int, ...]
    """Rows whose outcome was known."""
    positive: tuple[int, ...]
    """Those for whom it was true."""


@dataclass(frozen=True)
class Feature:
    """One column of a training set: a number computed from a journey up to a cutoff.

    Windows are half-open, `(cutoff - last, cutoff]`, or the last `events` such events;
    without either a feature reads from the beginning.
    """

    kind: str
    where: Where = Where()
    of: str | None = None
    """The property or attribute that is read, where the kind reads one."""
    last: int | None = None
    """Length of the window in microseconds."""
    events: int | None = None
    """Length of the window in such events."""
    levels: tuple[str, ...] = ()
    """For categories: the known levels; the value is the position in this list."""
    stages: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """For stages: each stage and its events, in the business's order."""
    over: str | None = None
    """The group, such as `account`, all of whose events are read instead of the customer's own."""
    rates: tuple[Rates, ...] = ()
    """For peer rates: what was known when, a level each."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown kind of feature {self.kind!r}")
        self._check_reading(self._kind)
        self._check_window(self._kind)

    def _check_reading(self, kind: Kind) -> None:
        if (self.of is None) != (kind.reads in (NOTHING, STAGES)):
            raise ValueError(f"{self.kind} {'needs' if self.of is None else 'takes no'} property")
        if kind.levels != "one" and (kind.levels == "many") != bool(self.levels):
            verb = "needs" if kind.levels else "takes no"
            raise ValueError(f"{self.kind} {verb} levels")
        if kind.levels == "one" and len(self.levels) != 1:
            raise ValueError(f"{self.kind} is about one level, not about {self.levels}")
        if (kind.levels == "rates") != bool(self.rates):
            raise ValueError(f"{self.kind} {'needs' if not self.rates else 'takes no'} rates")
        if self.rates and not any(rates.level is None for rates in self.rates):
            raise ValueError(f"{self.kind} needs the rates of all customers too, of level None")
        if (kind.reads == STAGES) != bool(self.stages):
            raise ValueError(f"{self.kind} {'needs' if not self.stages else 'takes no'} stages")
        if self.over is not None and kind.source != EVENTS:
            raise ValueError(f"{self.kind} reads no events, so none of a group's")
        if self.where.conditions and (kind.source != EVENTS or self.stages):
            raise ValueError(f"{self.kind} takes no choice of events")

    def _check_window(self, kind: Kind) -> None:
        for unit, length in (("time", self.last), ("events", self.events)):
            if length is not None and (unit not in kind.windows or length <= 0):
                raise ValueError(f"{self.kind} takes no window of {length} ({unit})")
        if self.last is not None and self.last > LONGEST:
            raise ValueError(f"{self.kind} takes no window longer than a hundred years")
        if self.last is not None and self.events is not None:
            raise ValueError(f"{self.kind} has one window: give last or events, not both")
        if self.kind == "trend" and self.last is None:
            raise ValueError("a trend compares two windows; give last=")

    @property
    def _kind(self) -> Kind:
        return KINDS[self.kind]

    @property
    def source(self) -> str:
        """Where it looks: `events`, `attributes`, or the `moment` of the cutoff alone."""
        return self._kind.source

    @property
    def is_position(self) -> bool:
        """Whether the value is a position in `levels`, a category and no quantity."""
        return self._kind.levels == "many"

    @property
    def name(self) -> str:
        """Derived from what is computed: ``purchase_count_30d``."""
        parts = [] if self.over is None else [_word(self.over)]
        if self.source == ATTRIBUTES:
            parts += ["customer", _word(self.of or ""), *(["peer_rate"] if self.rates else [])]
            return "_".join(parts)
        if self.source == MOMENT:
            return f"cutoff_{self.kind}"
        if not self.stages:
            parts.append(self.where.name)
        if self.of is not None:
            parts.append(_word(self.of))
        if self._kind.levels == "one":
            parts.append(_word(self.levels[0]))
        parts.append("last" if self.kind in ("last_number", "last_level") else self.kind)
        if self.last is not None:
            parts.append(format_duration(self.last))
        if self.events is not None:
            parts.append(f"last{self.events}")
        return "_".join(parts)

    @property
    def description(self) -> str:
        """What it counts or measures, as the middle of a sentence."""
        window = "so far"
        if self.last is not None:
            window = f"in the last {spell_duration(self.last)}"
        elif self.events is not None:
            window = f"among the last {self.events}"
        sentence = self._kind.description.format(
            events=self.where.many,
            event=self.where.one,
            of=spoken(self.of or ""),
            level=repr(self.levels[0]) if self.levels else "",
            window=window,
            both=spell_duration(2 * (self.last or 0)),
        )
        return sentence if self.over is None else f"{sentence}, of the whole {spoken(self.over)}"

    @property
    def unit(self) -> str:
        return self._kind.unit or (
            f"units of {self.of} a day" if self.kind == "slope" else f"units of {self.of}"
        )

    @property
    def missing(self) -> str:
        """What a missing value means."""
        if self.over is None:
            return self._kind.missing
        return f"{self._kind.missing.removeprefix('never missing: ')}; the {self.over} is not known"

    @property
    def group(self) -> str:
        """Features that say the same thing in other words share a group."""
        if self.source == ATTRIBUTES:
            return f"attribute {self.of}"
        if self.source == MOMENT:
            return "calendar"
        if self._kind.reads == TIME:
            meaning = f"date {self.of}"
        elif self.of is not None:
            meaning = f"{self.of} of {self.where.many}"
        elif self.stages:
            meaning = "stages"
        elif self.kind == "tenure":
            meaning = f"tenure of {self.where.many}"
        else:
            meaning = f"how often {self.where.many}"
        return meaning if self.over is None else f"{meaning} of the {self.over}"

    def to_json(self) -> dict[str, Any]:
        """Plain data from which `feature_from_json` makes the same feature."""
        data = {key: value for key, value in asdict(self).items() if value not in (None, ())}
        if not self.where.conditions:
            del data["where"]
        return data


def feature_from_json(data: Mapping[str, Any]) -> Feature:
    """The feature that `Feature.to_json` wrote."""
    known = {field.name for field in fields(Feature)}
    if unknown := set(data) - known:
        raise ValueError(f"unknown feature keys {sorted(unknown)}")
    where = data.get("where", {})
    conditions = tuple(
        Condition(c["column"], tuple(c["levels"]), c["contains"])
        for c in where.get("conditions", ())
    )
    return Feature(
        kind=data["kind"],
        where=Where(conditions, where.get("label", "")),
        of=data.get("of"),
        last=data.get("last"),
        events=data.get("events"),
        levels=tuple(data.get("levels", ())),
        stages=tuple((name, tuple(members)) for name, members in data.get("stages", ())),
        over=data.get("over"),
        rates=tuple(
            Rates(r["level"], tuple(r["known_time"]), tuple(r["n"]), tuple(r["positive"]))
            for r in data.get("rates", ())
        ),
    )


def feature_names(features: Iterable[Feature]) -> tuple[str, ...]:
    """The names of a list of features, made unique.

    Two events such as "e-mail" and "e mail" lead to one name; the second is numbered.
    """
    used: Counter[str] = Counter()
    names = []
    for feature in features:
        used[feature.name] += 1
        count = used[feature.name]
        names.append(feature.name if count == 1 else f"{feature.name}__{count}")
    return tuple(names)


def words(text: str) -> set[str]:
    """The words of a text: runs of letters and digits, in lower case."""
    return set(re.findall(r"[^\W_]+", text.lower()))


def spoken(text: str) -> str:
    """A name as a person says it."""
    return text.replace("_", " ")


def _word(text: str) -> str:
    """Text as part of a name: lower-case ASCII words joined by underscores.

    LightGBM refuses other letters in a column's name; they become their code point.
    """
    plain = unicodedata.normalize("NFKD", text.lower())
    kept = "".join(c for c in plain if not unicodedata.combining(c))
    ascii_only = "".join(c if c.isascii() else f"u{ord(c):x}" for c in kept)
    return re.sub(r"[^a-z0-9]+", "_", ascii_only).strip("_") or "_"
