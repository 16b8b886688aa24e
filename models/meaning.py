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
from models.seen import Seen
from models.spoken import Noun, Words, capital, noun, thing

ACTIONABLE, CONTEXT = "actionable", "context"
"""Whether the business can influence what a reason is about."""

RHYTHM, LEVEL, AGE, STAGE, DATE, ATTRIBUTE, CALENDAR = (
    "rhythm", "level", "age", "stage", "date", "attribute", "calendar",
)  # fmt: skip
"""What a topic is about: events as such, a property of theirs, how long ago all began, …"""

NEVER_ACTIONABLE = frozenset({"tenure", "days_until", "stated", "peer_rate", "attribute_peer_rate"})
"""Kinds of which nobody can do anything, whatever events they read."""

NOTHING_SEEN = Seen()

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


def topic(feature: Feature, seen: Seen = NOTHING_SEEN) -> Topic:
    """What a feature is about.

    Parameters
    ----------
    seen
        What the histories held. Where one event makes up nearly all, events of any kind are this
        one; where one event alone carries a property, so are all that are chosen by it.
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
    others = [c.column for c in conditions if c.column != EVENT]
    read = feature.of or (" and ".join(others) or None)
    if not names and feature.over is None:
        main = () if seen.main_event is None else (seen.main_event,)
        carriers = next((seen.carriers[of] for of in _read(feature) if of in seen.carriers), main)
        names = main if main and set(main) <= set(carriers) else carriers
    about = AGE if feature.kind == "tenure" else LEVEL if read else RHYTHM
    return Topic(about, tuple(sorted(names)), read, feature.over)


def title(features: Sequence[Feature], words: Words, seen: Seen = NOTHING_SEEN) -> str:
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
    topics = [topic(feature, seen) for feature in features]
    lead = next((place for place, about in enumerate(topics) if about.about == RHYTHM), 0)
    said = _events(features[lead], topics[lead], words)
    if topics[lead].about == AGE:
        return f"First {said.one}"
    if topics[lead].about == RHYTHM:
        return capital(said.many)
    return capital(f"{thing(topics[lead].property or '')} of {said.many}")


def _events(feature: Feature, about: Topic, words: Words) -> Noun:
    """The events of a topic, whatever else they are chosen by."""
    where = feature.where  # a stage's own label says more than the names of its events
    if not where.conditions or not _by_name(feature):
        named = (Condition(EVENT, about.events),) if about.events else ()
        where = Where(named, " or ".join(about.events))
    return noun(Feature("count", where, over=feature.over), words, NOTHING_SEEN)


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


def _read(feature: Feature) -> list[str]:
    """The properties that a feature reads, but for the event's name."""
    chosen_by = [c.column for c in feature.where.conditions if c.column != EVENT]
    return [*([feature.of] if feature.of else []), *chosen_by]


def _by_name(feature: Feature) -> bool:
    """Whether a feature chooses its events by no more than their name."""
    return all(condition.column == EVENT for condition in feature.where.conditions)


def by_topic(features: Sequence[Feature], seen: Seen = NOTHING_SEEN) -> list[list[int]]:
    """Columns of each topic, in order of their first column."""
    found: dict[Topic, list[int]] = {}
    for column, feature in enumerate(features):
        found.setdefault(topic(feature, seen), []).append(column)
    return list(found.values())


def named_groups(
    features: Sequence[Feature],
    groups: Iterable[Sequence[int]],
    words: Words,
    seen: Seen = NOTHING_SEEN,
) -> tuple[Group, ...]:
    """Groups of columns with names that differ from each other."""
    found: list[Group] = []
    used: set[str] = set()
    for columns in groups:
        name = base = title([features[column] for column in columns], words, seen)
        number = 2
        while name in used:
            name, number = f"{base} ({number})", number + 1
        used.add(name)
        found.append(Group(name, tuple(sorted(columns))))
    return tuple(found)


def is_actionable(feature: Feature, declared: Actionable, seen: Seen = NOTHING_SEEN) -> bool:
    """Whether the business can influence what a feature reads.

    Attributes are context unless they are declared; calendar, dates, peers' rates and how long ago
    all began always are. Of events, those that are declared count, and all where none are.
    """
    if feature.kind in NEVER_ACTIONABLE or feature.source == MOMENT:
        return False
    if feature.source == ATTRIBUTES:
        return feature.of in declared.attributes
    about = topic(feature, seen)
    read = set(_read(feature))
    if declared.properties is not None and not read <= set(declared.properties):
        return False
    if declared.events is None:
        return True
    names = about.events or tuple(name for _, members in feature.stages for name in members)
    return not names or bool(set(names) & set(declared.events))
