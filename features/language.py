"""The feature language: features in words that a business can write.

``events("purchase").count(last=days(30))`` is a `Feature`;
``events("chat").having("outcome", "error").over("account").recency()`` is another. Takes
names and windows; gives features. Knows nothing about arrays or logs.
"""

from dataclasses import dataclass, replace

from features.feature import EVENT, TEXT, Condition, Feature, Rates, Where


@dataclass(frozen=True)
class Events:
    """A choice of events, from which features are made."""

    where: Where
    group: str | None = None

    def having(self, column: str, *levels: str) -> "Events":
        """Those whose text property is one of the levels: ``.having("outcome", "error")``."""
        return self._and(Condition(column, levels), " or ".join(levels), column)

    def containing(self, *words: str, column: str = TEXT) -> "Events":
        """Those whose text holds one of the words, in whatever case."""
        lower = tuple(word.lower() for word in words)
        return self._and(Condition(column, lower, contains=True), " or ".join(lower), column)

    def over(self, group: str) -> "Events":
        """The events of everybody in the customer's group, such as ``.over("account")``."""
        return replace(self, group=group)

    def _and(self, condition: Condition, levels: str, column: str) -> "Events":
        label = f"{self.where.label} {levels} {column}".strip()
        return replace(self, where=Where((*self.where.conditions, condition), label))

    def _make(
        self,
        kind: str,
        of: str | None = None,
        last: int | None = None,
        events: int | None = None,
        levels: tuple[str, ...] = (),
    ) -> Feature:
        return Feature(kind, self.where, of, last, events, levels, over=self.group)

    def count(self, last: int | None = None) -> Feature:
        return self._make("count", last=last)

    def days_active(self, last: int | None = None) -> Feature:
        """Days (of 24 hours, in UTC) with at least one such event."""
        return self._make("days_active", last=last)

    def share(self, last: int | None = None, events: int | None = None) -> Feature:
        """Such events among all events in the window (or the last `events` of all), 0 to 1."""
        return self._make("share", last=last, events=events)

    def trend(self, last: int) -> Feature:
        """Such events in the window among those of the window and the one before, 0 to 1."""
        return self._make("trend", last=last)

    def recency(self) -> Feature:
        return self._make("recency")

    def tenure(self) -> Feature:
        return self._make("tenure")

    def lateness(self) -> Feature:
        """Days since the last such event divided by the mean gap."""
        return self._make("lateness")

    def gap_mean(self, last: int | None = None, events: int | None = None) -> Feature:
        """Mean of the days between one such event and the next, both in the window."""
        return self._make("gap_mean", last=last, events=events)

    def gap_std(self) -> Feature:
        """Sample standard deviation of the days between one such event and the next."""
        return self._make("gap_std")

    def gap_max(self) -> Feature:
        return self._make("gap_max")

    def gap_last(self) -> Feature:
        return self._make("gap_last")

    def burstiness(self) -> Feature:
        """(σ - μ) / (σ + μ) of the gaps (Goh and Barabási, 2008): -1 regular, near 1 in bursts."""
        return self._make("burstiness")

    def busiest_day(self) -> Feature:
        """The most such events on one day (of 24 hours, in UTC)."""
        return self._make("busiest_day")

    def sessions(self, last: int | None = None) -> Feature:
        """Runs of such events in the window, each at most 30 minutes after the one before."""
        return self._make("sessions", last=last)

    def session_events(self, last: int | None = None) -> Feature:
        """Such events a session."""
        return self._make("session_events", last=last)

    def session_minutes(self, last: int | None = None) -> Feature:
        """Mean minutes from a session's first event in the window to its last."""
        return self._make("session_minutes", last=last)

    def sum(self, of: str, last: int | None = None, events: int | None = None) -> Feature:
        return self._make("sum", of, last, events)

    def mean(self, of: str, last: int | None = None, events: int | None = None) -> Feature:
        return self._make("mean", of, last, events)

    def std(self, of: str, last: int | None = None, events: int | None = None) -> Feature:
        """Sample standard deviation."""
        return self._make("std", of, last, events)

    def min(self, of: str, last: int | None = None, events: int | None = None) -> Feature:
        return self._make("min", of, last, events)

    def max(self, of: str, last: int | None = None, events: int | None = None) -> Feature:
        return self._make("max", of, last, events)

    def slope(self, of: str, last: int | None = None, events: int | None = None) -> Feature:
        """Least-squares slope of the property against time, a day."""
        return self._make("slope", of, last, events)

    def zero_share(self, of: str, last: int | None = None, events: int | None = None) -> Feature:
        """Share of zeros among the values that are not missing."""
        return self._make("zero_share", of, last, events)

    def last_number(self, of: str) -> Feature:
        """The property at the last such event that has it."""
        return self._make("last_number", of)

    def last_change(self, of: str) -> Feature:
        """The property at the last such event that has it, less that at the one before."""
        return self._make("last_change", of)

    def changes(self, of: str, last: int | None = None) -> Feature:
        """Events in the window whose property differs from that of the last one before it."""
        return self._make("changes", of, last)

    def level_changes(self, of: str, last: int | None = None) -> Feature:
        """The same of a text property."""
        return self._make("level_changes", of, last)

    def distinct(self, of: str, last: int | None = None, events: int | None = None) -> Feature:
        """Different levels of a text property."""
        return self._make("distinct", of, last, events)

    def last_level(self, of: str, levels: tuple[str, ...]) -> Feature:
        """The position in `levels` of the property at the last such event that has it."""
        return self._make("last_level", of, levels=levels)

    def level_share(
        self, of: str, level: str, last: int | None = None, events: int | None = None
    ) -> Feature:
        """Share of a level among the events of the window that have the property."""
        return self._make("level_share", of, last, events, (level,))

    def peer_rate(self, of: str, rates: tuple[Rates, ...]) -> Feature:
        """What became of earlier customers with the level at the last such event."""
        return Feature("peer_rate", self.where, of, over=self.group, rates=rates)

    def days_until(self, of: str) -> Feature:
        """Days from the cutoff to the last known value of a date property; negative if past."""
        return self._make("days_until", of)

    def stated(self, of: str) -> Feature:
        """Days since the event that last gave the date property."""
        return self._make("stated", of)


def events(*names: str) -> Events:
    """Events of these names; every event when none is named."""
    if not names:
        return Events(Where())
    return Events(Where((Condition(EVENT, names),), " or ".join(names)))


def stage(name: str, names: tuple[str, ...]) -> Events:
    """Events that belong to a stage."""
    return Events(Where((Condition(EVENT, names),), f"{name} stage"))


def having(column: str, level: str) -> Events:
    """Events whose text property has this level, such as ``having("channel", "email")``."""
    return events().having(column, level)


def containing(*words: str) -> Events:
    """Events in whose text one of the words stands."""
    return events().containing(*words)


def stage_feature(
    kind: str, stages: tuple[tuple[str, tuple[str, ...]], ...], last: int | None = None
) -> Feature:
    """Where a journey stands among the stages: one of the kinds `stage_…`."""
    levels = tuple(name for name, _ in stages) if kind == "stage_now" else ()
    return Feature(kind, last=last, levels=levels, stages=stages)


def attribute_number(of: str) -> Feature:
    """A numeric attribute of the customer as valid at the cutoff."""
    return Feature("attribute_number", of=of)


def attribute_level(of: str, levels: tuple[str, ...]) -> Feature:
    """A text attribute of the customer as valid at the cutoff, as a position in `levels`."""
    return Feature("attribute_level", of=of, levels=levels)


def attribute_days(of: str) -> Feature:
    """Days from the cutoff to a date attribute of the customer; negative when it is past."""
    return Feature("attribute_days", of=of)


def attribute_peer_rate(of: str, rates: tuple[Rates, ...]) -> Feature:
    """What became of earlier customers with the same level of an attribute."""
    return Feature("attribute_peer_rate", of=of, rates=rates)


def calendar(kind: str) -> Feature:
    """`weekday`, `day_of_month` or `month` of the cutoff, in UTC."""
    return Feature(kind)
