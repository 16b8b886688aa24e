"""What a feature is about, so that features that say the same thing speak once.

Takes features; gives topics such as how often somebody buys, or what a purchase is worth, and
whether the business can influence them. Knows nothing about data: which topics say the same in
practice is found in training.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from features.config import Actionable
from features.feature import EVENT, Condition, Feature, Where, spoken
from features.kinds import ATTRIBUTES, EVENTS, KINDS, MOMENT, TIME
from models.spoken import Words, capital, noun

ACTIONABLE, CONTEXT = "actionable", "context"
"""Whether the business can influence what a reason is about."""

RHYTHM, LEVEL, AGE, STAGE, DATE, ATTRIBUTE, CALENDAR = (
    "rhythm", "level", "age", "stage", "date", "attribute", "calendar",
)  # fmt: skip
"""What a topic is about: events as such, a property of theirs, how long ago all began, …"""

NEVER_ACTIONABLE = frozenset({"tenure", "days_until", "stated", "peer_rate", "attribute_peer_rate"})
"""Kinds of which nobody can do anything, whatever events they read."""

TOTALS = frozenset({"sum", "distinct", "changes", "level_changes", "count", "days_active"})
"""Kinds that grow with the number of events, whatever property they read."""


@dataclass(frozen=True)
class Group:
    """Features that speak once."""

    name: str
    """What they are about, for a person."""
    columns: tuple[int, ...]
    """Positions in the contract's features, ascending."""

    def to_json(self, names: Sequence[str]) -> dict[str, Any]:
        """Plain data; `names` are those of the contract's features."""
        return {"name": self.name, "columns": [names[column] for column in self.columns]}


@dataclass(frozen=True)
class Topic:
    """What a feature is about, by its definition alone."""

    about: str
    events: tuple[str, ...] = ()
    """Names of the events that are read; none: of any kind."""
    property: str | None = None
    over: str | None = None


def topic(feature: Feature, main_event: str | None = None) -> Topic:
    """What a feature is about.

    Parameters
    ----------
    main_event
        The event that makes up nearly all of them: events of any kind are then this one.
    """
    if feature.source == ATTRIBUTES:
        return Topic(ATTRIBUTE, property=feature.of)
    if feature.source == MOMENT:
        return Topic(CALENDAR)
    kind = KINDS[feature.kind]
    if kind.reads == TIME:
        return Topic(DATE, property=feature.of)
    if feature.stages:
        return Topic(STAGE, over=feature.over)
    conditions = feature.where.conditions
    names = next((c.levels for c in conditions if c.column == EVENT), ())
    if not names and main_event is not None and feature.over is None:
        names = (main_event,)
    others = [c.column for c in conditions if c.column != EVENT]
    read = feature.of or (" and ".join(others) or None)
    about = AGE if feature.kind == "tenure" else LEVEL if read else RHYTHM
    return Topic(about, tuple(sorted(names)), read, feature.over)


def title(features: Sequence[Feature], words: Words) -> str:
    """A topic's name, from the features that are about it."""
    first = features[0]
    if first.source == ATTRIBUTES:
        names = dict.fromkeys(spoken(feature.of or "") for feature in features)
        return capital(", ".join(names))
    if first.source == MOMENT:
        return "Time of the year"
    if KINDS[first.kind].reads == TIME:
        return f"Date “{spoken(first.of or '')}”"
    if first.stages:
        return "Stage of the journey"
    # Of features that read some events of any kind and some of one, the latter say more.
    chosen = min(features, key=lambda f: (not f.where.conditions, len(f.where.conditions)))
    said = noun(chosen.where, chosen.over, words)
    many = said.many
    if all(feature.kind == "tenure" for feature in features):
        return f"First {said.one}"
    read = next((feature for feature in features if feature.of), None)
    if read is None or any(f.of is None and _by_name(f) for f in features):
        return capital(many)
    return capital(f"{spoken(read.of or '')} of {many}")


def more_telling(features: Sequence[Feature], main_event: str | None) -> dict[int, int]:
    """For columns about events of any kind: the column that says the same of the main event."""
    if main_event is None:
        return {}
    where = Where((Condition(EVENT, (main_event,)),), main_event)
    place = {feature: column for column, feature in enumerate(features)}
    found = {}
    for column, feature in enumerate(features):
        if feature.source == EVENTS and not feature.where.conditions and not feature.stages:
            same = place.get(replace(feature, where=where))
            if same is not None:
                found[column] = same
    return found


def _by_name(feature: Feature) -> bool:
    """Whether a feature reads its events as such, chosen by no more than their name."""
    return all(condition.column == EVENT for condition in feature.where.conditions)


def by_topic(features: Sequence[Feature], main_event: str | None = None) -> list[list[int]]:
    """Columns of each topic, in order of their first column."""
    found: dict[Topic, list[int]] = {}
    for column, feature in enumerate(features):
        found.setdefault(topic(feature, main_event), []).append(column)
    return list(found.values())


def named_groups(
    features: Sequence[Feature], groups: Iterable[Sequence[int]], words: Words
) -> tuple[Group, ...]:
    """Groups of columns with names that differ from each other."""
    found: list[Group] = []
    used: set[str] = set()
    for columns in groups:
        name = base = title([features[column] for column in columns], words)
        number = 2
        while name in used:
            name, number = f"{base} ({number})", number + 1
        used.add(name)
        found.append(Group(name, tuple(sorted(columns))))
    return tuple(found)


def is_actionable(feature: Feature, declared: Actionable, main_event: str | None = None) -> bool:
    """Whether the business can influence what a feature reads.

    Attributes are context unless they are declared; calendar, dates, peers' rates and how long ago
    all began always are. Of events, those that are declared count, and all where none are.
    """
    if feature.kind in NEVER_ACTIONABLE or feature.source == MOMENT:
        return False
    if feature.source == ATTRIBUTES:
        return feature.of in declared.attributes
    about = topic(feature, main_event)
    read = {c.column for c in feature.where.conditions if c.column != EVENT}
    read |= {feature.of} if feature.of else set()
    if declared.properties is not None and not read <= set(declared.properties):
        return False
    if declared.events is None:
        return True
    names = about.events or tuple(name for _, members in feature.stages for name in members)
    return not names or bool(set(names) & set(declared.events))
