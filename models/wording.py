"""Sentences: what a feature's value means, as an account manager would say it.

Takes a feature, the customer's value and what is usual among its peers; gives a sentence such
as "Bought on 1 day in the last 8 weeks; customers like this usually on 7". One table has the
words of every kind. Knows nothing about scores or models.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from features.feature import EVENT, Feature
from features.groups import MEMBER
from features.kinds import CATEGORY, KINDS
from models.meaning import NOTHING_SEEN
from models.seen import Seen
from models.spoken import (
    Noun,
    Property,
    Words,
    ago,
    article,
    capital,
    counted,
    days,
    length,
    minutes,
    noun,
    number,
    property_of,
    share,
    thing,
    times,
    when,
    window,
)

Shows = Callable[[float], str]
"""Says a value."""

LIKE = "customers like this usually"
FOR_LIKE = "for customers like this it is usually"
AS_USUAL = ", as is usual for customers like this"

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip


@dataclass(frozen=True)
class Wording:
    """The words of one kind; `{n}` is the value as `shows` says it, the rest is the feature's."""

    says: str
    usually: str
    """What follows the semicolon; `{n}` is the usual value. Empty: it means nothing here."""
    shows: str
    """Which of `Say`'s ways of saying a number."""
    missing: str
    """In place of `says` where there is no value."""
    zero: str = ""
    """In place of `says` at 0."""
    otherwise: str = ""
    """In place of `usually` after `missing` or `zero`."""


NONE, FEW = "No {event} so far", "Fewer than two {few}"
UNKNOWN = "No {of} is known of {these}"
OF_NONE = "the last one of customers like this was usually {n}"

WORDING: dict[str, Wording] = {
    "count": Wording(
        "{n} {window}", f"{LIKE} have {{n}}", "events", NONE, "No {event} {window}"),
    "days_active": Wording(
        "{Events} on {n} {window}", f"{LIKE} on {{n}}", "day_count", NONE, "No {event} {window}",
        f"{LIKE} have some on {{n}}"),
    "share": Wording(
        "{Events} make up {n} of {all}", f"{LIKE} have {{n}}", "share", "No event at all {window}"),
    "trend": Wording(
        "Of the {events} in the last {longer}, {n} came in the later half", f"{LIKE} {{n}}",
        "share", "No {event} in the last {longer}", otherwise=f"{LIKE} have some"),
    "recency": Wording(
        "The last {event} was {n}", f"{LIKE} {{n}}", "ago", NONE, otherwise=OF_NONE),
    "tenure": Wording(
        "The first {event} was {n}", f"{LIKE} {{n}}", "ago", NONE,
        otherwise="the first one of customers like this was usually {n}"),
    "lateness": Wording(
        "Since the last {event} it has been {n} the customer's usual pause", f"{LIKE} {{n}}",
        "multiple", "Fewer than two {few} so far"),
    "gap_mean": Wording(
        "On average {n} between {these}", f"{LIKE} {{n}}", "days", FEW,
        otherwise=f"{LIKE} have one every {{n}}"),
    "gap_std": Wording(
        "The time between {events} varies by {n}", f"{LIKE} by {{n}}", "days",
        "Fewer than three {few}", otherwise="that of customers like this usually varies by {n}"),
    "gap_max": Wording(
        "The longest pause between {events} was {n}", f"{LIKE} have {{n}}", "days", FEW,
        otherwise="the longest pause of customers like this was usually {n}"),
    "gap_last": Wording(
        "{n} between the last two {events}", f"{LIKE} have {{n}}", "days", FEW,
        "The last two {events} came at the same time",
        f"{LIKE} have {{n}} between the last two"),
    "burstiness": Wording(
        "{Events} {n}", "those of customers like this usually {n}", "rhythm",
        "Fewer than three {few}"),
    "busiest_day": Wording(
        "At most {n} on one day", f"{LIKE} {{n}}", "events", NONE, "No {event} so far",
        f"{LIKE} have at most {{n}} on one day"),
    "sessions": Wording(
        "{n} with {events} {window}", f"{LIKE} have {{n}}", "sessions", NONE,
        "No session with {events} {window}"),
    "session_events": Wording(
        "{n} a session {window}", f"{LIKE} {{n}}", "events", "No {event} {window}",
        otherwise=f"{LIKE} have {{n}} a session"),
    "session_minutes": Wording(
        "A session with {events} took {n} on average {window}", f"{LIKE} {{n}}", "minutes",
        "No {event} {window}", otherwise="a session of customers like this usually takes {n}"),
    "sum": Wording(
        "{These} add up to {n}", f"{LIKE} have {{n}}", "amount", UNKNOWN,
        "No {of} in {these}"),
    "mean": Wording(
        "{These} have {n} on average", f"{LIKE} have {{n}}", "amount", UNKNOWN),
    "std": Wording(
        "The {of} of {these} varies by {n}", f"{LIKE} by {{n}}", "short",
        "Fewer than two {few} with a known {of}",
        otherwise="that of customers like this usually varies by {n}"),
    "min": Wording("The lowest {of} of {these} is {n}", f"{LIKE} have {{n}}", "short", UNKNOWN),
    "max": Wording("The highest {of} of {these} is {n}", f"{LIKE} have {{n}}", "short", UNKNOWN),
    "slope": Wording(
        "The {of} of {these} {n}", "for customers like this it usually {n}", "slope",
        "Fewer than two {few} with a known {of}"),
    "zero_share": Wording(
        "{n} of {these} have {a_of} of 0", f"{LIKE} {{n}}", "share", UNKNOWN),
    "last_number": Wording("The last {event} had {n}", f"{LIKE} have {{n}}", "amount", UNKNOWN),
    "last_change": Wording(
        "Between the last two {events} the {of} {n}", "for customers like this it usually {n}",
        "step", "Fewer than two {few} with a known {of}"),
    "changes": Wording(
        "The {of} changed {n} from one {event} to the next {window}", f"{LIKE} {{n}}", "times",
        NONE, "The {of} never changed from one {event} to the next {window}"),
    "distinct": Wording(
        "{n} among {these}", f"{LIKE} have {{n}}", "different", NONE, "No {of} in {these}"),
    "last_level": Wording(
        "The {of} of the last {event} was {n}", FOR_LIKE + " {n}", "level",
        "The {of} of the last {event} is not known or new"),
    "level_share": Wording(
        "The {of} was {level} in {n} of {these}", f"{LIKE} in {{n}}", "share", UNKNOWN),
    "level_changes": Wording(
        "The {of} changed {n} from one {event} to the next {window}", f"{LIKE} {{n}}", "times",
        NONE, "The {of} never changed from one {event} to the next {window}"),
    "peer_rate": Wording(
        "Of earlier customers with the same {of} at the last {event}, {n} had this outcome",
        FOR_LIKE + " {n}", "share",
        "The {of} of the last {event} is not known or new"),
    "days_until": Wording(
        "The date “{of}” {n}", "for customers like this it usually {n}", "when",
        "The date “{of}” is not known"),
    "stated": Wording(
        "The date “{of}” was last given {n}", "for customers like this usually {n}", "ago",
        "The date “{of}” is not known"),
    "stage_now": Wording(
        "Now in the stage {n}", f"{LIKE} in {{n}}", "level", "No stage reached so far"),
    "stage_days": Wording(
        "In the present stage for {n}", f"{LIKE} for {{n}}", "days", "No stage reached so far"),
    "stage_changes": Wording(
        "Moved from one stage to another {n} {window}", f"{LIKE} {{n}}", "times",
        "No stage reached so far", "Never moved from one stage to another {window}"),
    "stage_jumps": Wording(
        "Skipped a stage {n} {window}", f"{LIKE} {{n}}", "times", "No stage reached so far",
        "Never skipped a stage {window}"),
    "stage_regressions": Wording(
        "Went back to an earlier stage {n} {window}", f"{LIKE} {{n}}", "times",
        "No stage reached so far", "Never went back to an earlier stage {window}"),
    "stage_furthest": Wording(
        "The furthest stage reached is {n}", FOR_LIKE + " {n}", "furthest",
        "No stage reached so far"),
    "attribute_number": Wording(
        "The customer's {of} is {n}", FOR_LIKE + " {n}", "short",
        "The customer's {of} is not known"),
    "attribute_level": Wording(
        "The customer's {of} is {n}", FOR_LIKE + " {n}", "level",
        "The customer's {of} is not known or new"),
    "attribute_days": Wording(
        "The customer's date “{of}” {n}", "for customers like this it usually {n}", "when",
        "The customer's date “{of}” is not known"),
    "attribute_peer_rate": Wording(
        "Of earlier customers with the same {of}, {n} had this outcome", FOR_LIKE + " {n}", "share",
        "The customer's {of} is not known or new"),
    "weekday": Wording("The score was asked for on a {n}", "", "weekday", "The day is not known"),
    "day_of_month": Wording(
        "The score was asked for on day {n} of the month", "", "short", "The day is not known"),
    "month": Wording("The score was asked for in {n}", "", "month", "The month is not known"),
}  # fmt: skip
"""The words of every kind, where events are said as things."""

DID: dict[str, Wording] = {
    "count": Wording(
        "{Did} {n} {window}", f"{LIKE} {{n}}", "times", "Never {did}", "Never {did} {window}"),
    "days_active": Wording(
        "{Did} on {n} {window}", f"{LIKE} on {{n}}", "day_count", "Never {did}",
        "Never {did} {window}"),
    "recency": Wording(
        "Last {did} {n}", f"{LIKE} {{n}}", "ago", "Never {did} so far", otherwise=OF_NONE),
    "tenure": Wording(
        "First {did} {n}", f"{LIKE} {{n}}", "ago", "Never {did} so far",
        otherwise="the first time of customers like this was usually {n}"),
}  # fmt: skip
"""The words of a few kinds, where a business said what the customer does."""

ONCE: dict[str, Wording] = {
    "last_level": Wording(
        "The {of} of the {event} was {n}", FOR_LIKE + " {n}", "level",
        "The {of} of the {event} is not known or new"),
    "level_share": Wording(
        "The {of} of the {event} was {n}", "for customers like this it usually was {n}", "whether",
        UNKNOWN),
}  # fmt: skip
"""The words of a few kinds, where events come once a customer: a share of one thing is odd."""

ANYTHING = ("days_active", "recency", "tenure")
"""Of events of any kind, only these are said by what the customer does: it was active."""


@dataclass(frozen=True)
class Phrase:
    """One feature's words, filled but for the values."""

    shows: Shows
    short: Shows
    """How the usual value is said after the customer's own."""
    says: str
    zero: str
    missing: str
    usually: str
    otherwise: str
    said_of_peers: dict[float, tuple[str, str, str]] = field(default_factory=dict, compare=False)
    """Remembered, for there are few usual values."""

    def statement(self, value: float, usual: float | None) -> str:
        """What is so, and what is usual; NaN where the customer has no value."""
        shown = ""
        if value != value:
            said, ordinary = self.missing, False
        else:
            shown, ordinary = self.shows(value), value != 0 or not self.zero
            said = self.says.replace("{n}", shown) if ordinary else self.zero
        if not said[0].isupper():
            said = capital(said)
        if usual is None or not self.usually:
            return said
        known, after, otherwise = self._peers(usual)
        if shown == known:
            return said + AS_USUAL
        return said + (after if ordinary else otherwise)

    def _peers(self, usual: float) -> tuple[str, str, str]:
        """The usual value, and what is said of it after a value and after none."""
        found = self.said_of_peers.get(usual)
        if found is None:
            known = self.shows(usual)
            after = self.usually.replace("{n}", self.short(usual))
            otherwise = self.otherwise.replace("{n}", known)
            found = self.said_of_peers[usual] = (known, f"; {after}", f"; {otherwise}")
        return found


def phrase(feature: Feature, words: Words, seen: Seen = NOTHING_SEEN) -> Phrase:
    """A feature's words; make them once a model."""
    said = noun(feature, words, seen)
    anything = not feature.where.conditions and not feature.over
    wording = WORDING[feature.kind]
    if feature.kind in ONCE and _comes_once(feature, seen):
        wording = ONCE[feature.kind]
    if feature.kind in DID and said.did and (not anything or feature.kind in ANYTHING):
        wording = DID[feature.kind]
    about = _property(feature, words)
    filled = _filled(feature, said, about)
    shows, short = _shows(wording.shows, feature, said, about)

    def fill(text: str) -> str:
        for key, phrase_ in filled.items():
            text = text.replace(key, phrase_)
        return text.removesuffix(" ")

    return Phrase(
        shows, short, fill(wording.says), fill(wording.zero), fill(wording.missing),
        fill(wording.usually), fill(wording.otherwise or wording.usually),
    )  # fmt: skip


def _comes_once(feature: Feature, seen: Seen) -> bool:
    """Whether the events that a feature reads come once a customer."""
    if feature.over is not None:
        return False
    named = next((c.levels for c in feature.where.conditions if c.column == EVENT), None)
    names = seen.carriers.get(feature.of or "", ()) if named is None else named
    known = [seen.events[name] for name in names if name in seen.events]
    return len(names) == len(known) == 1 and known[0].comes_once


def _property(feature: Feature, words: Words) -> Property:
    if feature.of is None:
        return Property("")
    if KINDS[feature.kind].reads == CATEGORY or feature.levels:
        return Property("customer" if feature.of == MEMBER else thing(feature.of))
    return property_of(feature.of, words)


def _filled(feature: Feature, said: Noun, about: Property) -> dict[str, str]:
    """What stands for each name in the table."""
    time = window(feature.last)
    these, every = f"{said.many} {time}", f"all events {time}"
    few = these if feature.last else said.many
    if feature.events is not None:
        these, every = f"the last {feature.events} {said.many}", f"the last {feature.events} events"
    did = said.did or ""
    return {
        "{event}": said.one,
        "{events}": said.many,
        "{Events}": capital(said.many),
        "{these}": these,
        "{These}": capital(these),
        "{all}": every,
        "{few}": few,
        "{window}": time,
        "{longer}": length(2 * feature.last) if feature.last else "",
        "{a_of}": f"{article(about.name)} {about.name}",
        "{of}": about.name,
        "{level}": feature.levels[0] if feature.levels else "",
        "{did}": did,
        "{Did}": capital(did),
    }


def _shows(how: str, feature: Feature, said: Noun, about: Property) -> tuple[Shows, Shows]:
    """How a value is said the first time, and how the usual one is beside it."""
    plain: dict[str, Shows] = {
        "share": share, "ago": ago, "days": days, "times": times, "minutes": minutes, "when": when,
        "multiple": lambda value: f"{value:.1f} times", "rhythm": _rhythm,
        "short": about.short, "level": partial(_level, feature.levels),
        "whether": partial(_whether, "".join(feature.levels[:1])),
        "furthest": partial(_furthest, tuple(name for name, _ in feature.stages)),
        "slope": partial(_slope, about), "step": partial(_step, about),
        "weekday": lambda value: WEEKDAYS[int(value)],
        "month": lambda value: MONTHS[int(value) - 1],
    }  # fmt: skip
    if how in plain:
        return plain[how], plain[how]
    if how == "amount":
        return about.whole, about.short
    many = about.name if about.name.endswith("s") else f"{about.name}s"
    several = {
        "events": counted(said.one, said.many),
        "day_count": counted("day", "days"),
        "sessions": counted("session", "sessions"),
        "different": counted(about.name, f"different {many}"),
    }
    return several[how], number


def _level(levels: tuple[str, ...], value: float) -> str:
    return levels[int(value)]


def _whether(level: str, value: float) -> str:
    if value in (0, 1):
        return level if value else f"not {level}"
    return f"{level} in {share(value)} of them"


def _furthest(stages: tuple[str, ...], value: float) -> str:
    return f"{stages[int(value) - 1]} (stage {value:.0f} of {len(stages)})"


def _rhythm(value: float) -> str:
    how = "come in bursts" if value > 0.3 else "come at no fixed rhythm"
    shown = round(value, 1) + 0.0  # without the sign of a zero
    return f"{'come regularly' if value < -0.3 else how} ({shown:.1f} from -1, a clock, to 1)"


def _slope(about: Property, value: float) -> str:
    """Which way a property goes, by day or by year where that is too little to say."""
    a_day, per = abs(value), "day"
    if 0 < a_day < 0.1:
        a_day, per = a_day * 30, "month"
    shown = about.short(a_day)
    if round(a_day, 2) == 0:
        return "stays level"
    return f"{'rises' if value > 0 else 'falls'} by {shown} a {per}"


def _step(about: Property, value: float) -> str:
    if value == 0:
        return "did not change"
    return f"{'rose' if value > 0 else 'fell'} by {about.short(abs(value))}"
