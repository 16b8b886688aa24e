"""The feature language: what a feature is, in words that a business can write.

``events("purchase").count(last=days(30))`` is a frozen `Feature`, checked when it is
defined, with a derived name, a sentence, a unit and a meaning of missing. Knows nothing
about arrays: the engines give the numbers.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from features.durations import format_duration, spell_duration

EVENT = "event"
"""The column of the event's own name."""

UNITS = {
    "count": "events",
    "share": "share",
    "trend": "share",
    "recency": "days",
    "tenure": "days",
    "gap_mean": "days",
    "gap_std": "days",
    "gap_max": "days",
    "gap_last": "days",
    "lateness": "ratio",
    "distinct": "different values",
    "days_active": "days",
    "days_until": "days",
    "stated": "days",
    "attribute_days": "days",
}
"""Unit a kind; sums, means and extremes have the unit of their property."""

OF_NUMBER = {"sum", "mean", "min", "max", "last_number"}
OF_CATEGORY = {"distinct", "last_level", "attribute_level"}
OF_TIME = {"days_until", "stated", "attribute_days"}
OF_NOTHING = {
    "count", "share", "trend", "recency", "tenure", "days_active",
    "gap_mean", "gap_std", "gap_max", "gap_last", "lateness",
}  # fmt: skip
OF_ATTRIBUTE = {"attribute_number", "attribute_level", "attribute_days"}
LEVELLED = {"last_level", "attribute_level"}
WINDOWED = {"count", "share", "trend", "sum", "mean", "min", "max", "distinct", "days_active"}
KINDS = OF_NUMBER | OF_CATEGORY | OF_TIME | OF_NOTHING | OF_ATTRIBUTE

MISSING = {
    "count": "never missing: 0 when there was no such event",
    "days_active": "never missing: 0 when there was no such event",
    "sum": "never missing: 0 when there was no such event",
    "distinct": "never missing: 0 when there was no such event",
    "share": "no event of any kind in the window",
    "trend": "no such event in either window",
    "recency": "no such event yet",
    "tenure": "no such event yet",
    "gap_mean": "fewer than two such events",
    "gap_std": "fewer than three such events",
    "gap_max": "fewer than two such events",
    "gap_last": "fewer than two such events",
    "lateness": "fewer than two such events, or all at one time",
    "attribute_number": "the attribute was not known at the cutoff",
    "attribute_days": "the date was not known at the cutoff",
    "attribute_level": "the attribute was not known at the cutoff, or its level is new",
    "last_level": "no such event with the property yet, or its level is new",
    "days_until": "no such date is known at the cutoff",
    "stated": "no such date is known at the cutoff",
}
"""What a missing value means, a kind; the other kinds say "no such event in the window"."""


DESCRIPTIONS = {
    "count": "{events} {window}",
    "days_active": "days with {events} {window}",
    "share": "share of {events} among all events {window}",
    "trend": "share of the last {both}' {events} that fall {window}",
    "sum": "total {of} of {events} {window}",
    "mean": "average {of} of {events} {window}",
    "min": "smallest {of} of {events} {window}",
    "max": "largest {of} of {events} {window}",
    "distinct": "different values of {of} among {events} {window}",
    "recency": "days since the last {event}",
    "tenure": "days since the first {event}",
    "gap_mean": "usual number of days between {events}",
    "gap_std": "irregularity of the days between {events}",
    "gap_max": "longest pause between {events}, in days",
    "gap_last": "days between the last two {events}",
    "lateness": "days since the last {event}, against the usual gap",
    "last_number": "{of} at the last {event}",
    "last_level": "{of} at the last {event}",
    "days_until": "days until {of}",
    "stated": "days since {of} was last stated",
    "attribute_days": "days until the customer's {of}",
    "attribute_number": "the customer's {of}",
    "attribute_level": "the customer's {of}",
}
"""What a feature is, in words that fit into a sentence."""


@dataclass(frozen=True)
class Where:
    """Which events a feature reads: those whose `column` has one of the `levels`."""

    column: str | None = None
    """`event`, `channel` or another text property; None reads every event."""
    levels: tuple[str, ...] = ()
    label: str = ""
    """The word for the chosen events in names and sentences."""

    def __post_init__(self) -> None:
        if self.column is not None and not self.levels:
            raise ValueError(f"a choice by {self.column!r} needs at least one level")
        if self.column is not None and not self.label:
            raise ValueError("a choice of events needs a label")

    @property
    def name(self) -> str:
        return _word(self.label) if self.column is not None else "event"

    @property
    def one(self) -> str:
        """One such event, in a sentence."""
        return f"{spoken(self.label)} event" if self.column is not None else "event of any kind"

    @property
    def many(self) -> str:
        """Such events, in a sentence."""
        return f"{spoken(self.label)} events" if self.column is not None else "events of any kind"


@dataclass(frozen=True)
class Feature:
    """One column of a training set: a number computed from a journey up to a cutoff.

    Windows are half-open, `(cutoff - last, cutoff]`; `last=None` reads from the beginning.
    """

    kind: str
    where: Where = Where()
    of: str | None = None
    """The property or attribute that is read, where the kind reads one."""
    last: int | None = None
    """Length of the window in microseconds."""
    levels: tuple[str, ...] = ()
    """For categories: the known levels; the value is the position in this list."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown kind of feature {self.kind!r}")
        if (self.of is None) != (self.kind in OF_NOTHING):
            raise ValueError(f"{self.kind} {'needs' if self.of is None else 'takes no'} property")
        if self.last is not None and (self.kind not in WINDOWED or self.last <= 0):
            raise ValueError(f"{self.kind} takes no window of {self.last}")
        if self.kind == "trend" and self.last is None:
            raise ValueError("a trend compares two windows; give last=")
        if (self.kind in LEVELLED) != bool(self.levels):
            raise ValueError(
                f"{self.kind} {'needs' if self.kind in LEVELLED else 'takes no'} levels"
            )

    @property
    def name(self) -> str:
        """Derived from what is computed: ``purchase_count_30d``."""
        if self.kind in OF_ATTRIBUTE:
            return f"customer_{_word(self.of or '')}"
        parts = [self.where.name]
        if self.of is not None:
            parts.append(_word(self.of))
        parts.append("last" if self.kind in ("last_number", "last_level") else self.kind)
        if self.last is not None:
            parts.append(format_duration(self.last))
        return "_".join(parts)

    @property
    def description(self) -> str:
        """What it counts or measures, as the middle of a sentence."""
        return DESCRIPTIONS[self.kind].format(
            events=self.where.many,
            event=self.where.one,
            of=spoken(self.of or ""),
            window=f"in the last {spell_duration(self.last)}" if self.last else "so far",
            both=spell_duration(2 * (self.last or 0)),
        )

    @property
    def unit(self) -> str:
        if self.kind in LEVELLED:
            return "level"
        return UNITS.get(self.kind, f"units of {self.of}")

    @property
    def missing(self) -> str:
        """What a missing value means."""
        return MISSING.get(self.kind, "no such event with a value in the window")

    @property
    def group(self) -> str:
        """Features that say the same thing in other words share a group."""
        if self.kind in OF_ATTRIBUTE:
            return f"attribute {self.of}"
        if self.kind in OF_TIME:
            return f"date {self.of}"
        if self.of is not None:
            return f"{self.of} of {self.where.many}"
        if self.kind == "tenure":
            return f"tenure of {self.where.many}"
        return f"how often {self.where.many}"

    def to_json(self) -> dict[str, Any]:
        """Plain data from which `feature_from_json` makes the same feature."""
        return {key: value for key, value in asdict(self).items() if value not in (None, ())}


def feature_from_json(data: Mapping[str, Any]) -> Feature:
    """The feature that `Feature.to_json` wrote."""
    known = {field.name for field in fields(Feature)}
    if unknown := set(data) - known:
        raise ValueError(f"unknown feature keys {sorted(unknown)}")
    where = data.get("where", {})
    return Feature(
        kind=data["kind"],
        where=Where(where.get("column"), tuple(where.get("levels", ())), where.get("label", "")),
        of=data.get("of"),
        last=data.get("last"),
        levels=tuple(data.get("levels", ())),
    )


@dataclass(frozen=True)
class Events:
    """A choice of events, from which features are made."""

    where: Where

    def count(self, last: int | None = None) -> Feature:
        return Feature("count", self.where, last=last)

    def days_active(self, last: int | None = None) -> Feature:
        """Days (of 24 hours, in UTC) with at least one such event."""
        return Feature("days_active", self.where, last=last)

    def share(self, last: int | None = None) -> Feature:
        """Such events among all events in the window, 0 to 1."""
        return Feature("share", self.where, last=last)

    def trend(self, last: int) -> Feature:
        """Such events in the window among those of the window and the one before, 0 to 1."""
        return Feature("trend", self.where, last=last)

    def sum(self, of: str, last: int | None = None) -> Feature:
        return Feature("sum", self.where, of, last)

    def mean(self, of: str, last: int | None = None) -> Feature:
        return Feature("mean", self.where, of, last)

    def min(self, of: str, last: int | None = None) -> Feature:
        return Feature("min", self.where, of, last)

    def max(self, of: str, last: int | None = None) -> Feature:
        return Feature("max", self.where, of, last)

    def distinct(self, of: str, last: int | None = None) -> Feature:
        """Different levels of a text property."""
        return Feature("distinct", self.where, of, last)

    def last_number(self, of: str) -> Feature:
        """The property at the last such event that has it."""
        return Feature("last_number", self.where, of)

    def last_level(self, of: str, levels: tuple[str, ...]) -> Feature:
        """The position in `levels` of the property at the last such event that has it."""
        return Feature("last_level", self.where, of, levels=levels)

    def days_until(self, of: str) -> Feature:
        """Days from the cutoff to the last known value of a date property; negative if past."""
        return Feature("days_until", self.where, of)

    def stated(self, of: str) -> Feature:
        """Days since the event that last gave the date property."""
        return Feature("stated", self.where, of)

    def recency(self) -> Feature:
        return Feature("recency", self.where)

    def tenure(self) -> Feature:
        return Feature("tenure", self.where)

    def gap_mean(self) -> Feature:
        """Mean of the days between one such event and the next."""
        return Feature("gap_mean", self.where)

    def gap_std(self) -> Feature:
        """Sample standard deviation of the days between one such event and the next."""
        return Feature("gap_std", self.where)

    def gap_max(self) -> Feature:
        return Feature("gap_max", self.where)

    def gap_last(self) -> Feature:
        return Feature("gap_last", self.where)

    def lateness(self) -> Feature:
        """Days since the last such event divided by the mean gap."""
        return Feature("lateness", self.where)


def events(*names: str) -> Events:
    """Events of these names; every event when none is named."""
    if not names:
        return Events(Where())
    return Events(Where(EVENT, names, " or ".join(names)))


def stage(name: str, names: tuple[str, ...]) -> Events:
    """Events that belong to a stage."""
    return Events(Where(EVENT, names, f"{name} stage"))


def having(column: str, level: str) -> Events:
    """Events whose text property has this level, such as ``having("channel", "email")``."""
    return Events(Where(column, (level,), f"{level} {column}"))


def attribute_number(of: str) -> Feature:
    """A numeric attribute of the customer as valid at the cutoff."""
    return Feature("attribute_number", of=of)


def attribute_level(of: str, levels: tuple[str, ...]) -> Feature:
    """A text attribute of the customer as valid at the cutoff, as a position in `levels`."""
    return Feature("attribute_level", of=of, levels=levels)


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


def attribute_days(of: str) -> Feature:
    """Days from the cutoff to a date attribute of the customer; negative when it is past."""
    return Feature("attribute_days", of=of)


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
