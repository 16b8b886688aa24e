"""How events, properties, windows and numbers are said.

Takes names as sources write them, such as `campaign_received` or `wait_hours`, and the words
that a business gave; gives nouns in one and many, verbs, amounts with their unit, lengths as
people say them. Knows nothing about features' kinds or scores.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from features.durations import DAY, spell_duration
from features.feature import EVENT, Condition, Feature, spoken
from models.seen import Seen

PARTICIPLES = frozenset((
    "begun", "bought", "built", "done", "drawn", "fallen", "given", "gone", "grown", "heard",
    "held", "kept", "known", "left", "lost", "made", "met", "paid", "put", "read", "run", "seen",
    "sent", "shown", "sold", "spent", "taken", "told", "won", "written",
))  # fmt: skip
"""Past participles that do not end in -ed, so that `email_sent` is an e-mail that was sent."""

SYMBOLS = "$€£¥₹₩₽₺₫฿"
"""Units that stand before the number."""

NOISE = 1e-9
"""Below it a number is the last bits of sums."""

MEASURES = ("seconds", "minutes", "hours", "days", "weeks", "months", "years")
"""Units that a property's own name may end in: `wait_hours` is a wait in hours."""

LENGTHS = {
    28: "4 weeks", 56: "8 weeks", 84: "12 weeks", 90: "3 months", 91: "3 months", 92: "3 months",
    180: "6 months", 182: "6 months", 183: "6 months", 364: "year", 365: "year", 366: "year",
    730: "2 years", 731: "2 years", 1: "24 hours",
}  # fmt: skip
"""Windows in days that people call by another unit."""


@dataclass(frozen=True)
class Words:
    """What a business calls things; see `[words]` and `[units]` of its journey.toml."""

    events: Mapping[str, str] = field(default_factory=dict)
    """What a customer did, in the past: `{"purchase": "bought"}`."""
    units: Mapping[str, str] = field(default_factory=dict)
    """The unit of a property: `{"value": "$"}`."""


@dataclass(frozen=True)
class Noun:
    """Chosen events, in words."""

    one: str
    many: str
    did: str | None = None
    """What the customer did, in the past, where that can be said."""


def noun(feature: Feature, words: Words, seen: Seen) -> Noun:
    """Say which events a feature reads: `purchases`, `tickets that mention “refund”`.

    Where few kinds of event carry a property that is read, it is one of these.
    """
    where, over = feature.where, feature.over
    first = [c for c in where.conditions if c.column == EVENT][:1]
    read = [feature.of or "", *(c.column for c in where.conditions)]
    if first:
        said = _of_names(first[0].levels, where.label, words)
    else:
        anything = Noun("event", "events", None if where.conditions else "active")
        said = carriers(read, words, seen) or anything
    for condition in where.conditions:
        if condition not in first:
            one, many = _narrowed(condition)
            said = Noun(said.one + one, said.many + many)
    if over is None:
        return said
    whole = f" of the whole {spoken(over)}"
    return Noun(said.one + whole, said.many + whole)


def carriers(properties: Iterable[str], words: Words, seen: Seen) -> Noun | None:
    """Events that carry one of the properties, where they are of few kinds."""
    names = next((seen.carriers[of] for of in properties if of in seen.carriers), None)
    return None if names is None else _of_names(names, "", words)


def _of_names(names: tuple[str, ...], label: str, words: Words) -> Noun:
    if len(names) == 1:
        return event_noun(names[0], words)
    if label.endswith(" stage"):
        return Noun(f"event of the {spoken(label)}", f"events of the {spoken(label)}")
    nouns = [event_noun(name, words) for name in names]
    did = [each.did for each in nouns if each.did]
    return Noun(
        _either([each.one for each in nouns]),
        _either([each.many for each in nouns]),
        _either(did) if len(did) == len(nouns) else None,
    )


def _either(phrases: list[str]) -> str:
    return phrases[0] if len(phrases) == 1 else f"{', '.join(phrases[:-1])} or {phrases[-1]}"


def _narrowed(condition: Condition) -> tuple[str, str]:
    """What a further condition adds to a noun in one and in many."""
    if condition.contains:
        quoted = _either([f"“{level}”" for level in condition.levels])
        return f" that mentions {quoted}", f" that mention {quoted}"
    with_ = f" with {spoken(condition.column)} {_either(list(condition.levels))}"
    return with_, with_


def event_noun(name: str, words: Words) -> Noun:
    """An event by its name: `campaign_received` is a campaign received, campaigns received."""
    parts = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", spoken(name).replace("-", " ")).lower().split()
    if not parts or not (parts[-1].isascii() and parts[-1].isalpha()):
        said = f"“{spoken(name)}” event"
        return Noun(said, f"{said}s", words.events.get(name))
    told, *rest = reversed(parts)
    if _is_participle(told):
        if not rest:
            return Noun(f"“{told}” event", f"“{told}” events", words.events.get(name, told))
        before = " ".join(reversed(rest[1:]))
        one, many = (f"{before} {form(rest[0])} {told}".strip() for form in (singular, plural))
        return Noun(one, many, words.events.get(name))
    if told.endswith("ing"):
        said = f"{' '.join(parts)} event"
        return Noun(said, f"{said}s", words.events.get(name))
    before = " ".join(parts[:-1])
    one, many = (f"{before} {form(told)}".strip() for form in (singular, plural))
    return Noun(one, many, words.events.get(name))


def _is_participle(word: str) -> bool:
    return (word.endswith("ed") and len(word) > 3 and not word.endswith("eed")) or (
        word in PARTICIPLES
    )


def thing(name: str) -> str:
    """A property as a noun: `main department`, but `mark “failed”`, for "the failed" is none."""
    said = spoken(name)
    first, *rest = said.lower().split() or [""]
    adjective = first in ("is", "has", "was") if rest else _is_participle(first)
    return f"mark “{said}”" if adjective else said


def is_plural(word: str) -> bool:
    """Whether an English noun seems to be in the plural: `lines`, but not `status`."""
    return len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is", "ews"))


def singular(word: str) -> str:
    """One of a noun."""
    if not is_plural(word):
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    return word[:-2] if word.endswith(("sses", "xes", "ches", "shes")) else word[:-1]


def plural(word: str) -> str:
    """Several of a noun."""
    if is_plural(word):
        return word
    if word.endswith("y") and word[-2:-1] not in set("aeiou"):
        return word[:-1] + "ies"
    return word + ("es" if word.endswith(("s", "x", "z", "ch", "sh")) else "s")


@dataclass(frozen=True)
class Property:
    """A property in words."""

    name: str
    """`value`, `number of departments`, `wait`."""
    one: str = ""
    many: str = ""
    """What is counted or measured, after a number; empty where the number stands alone."""
    symbol: str = ""
    """What stands before a number."""

    def short(self, value: float) -> str:
        """An amount that was named before: `$13.34`, `19`, `3 hours`."""
        if self.symbol:
            return money(value, self.symbol)
        counted = self.name.startswith("number of ")
        return number(value) if counted or not self.many else self._with_unit(value)

    def whole(self, value: float) -> str:
        """An amount on its own: `a value of $13.34`, `19 departments`, `a wait of 3 hours`."""
        if self.name.startswith("number of "):
            return self._with_unit(value)
        return f"{article(self.name)} {self.name} of {self.short(value)}"

    def _with_unit(self, value: float) -> str:
        said = number(value)
        return f"{said} {self.one if said == '1' else self.many}"


def property_of(name: str, words: Words) -> Property:
    """A property by its name, and its unit where one was given or the name ends in one."""
    unit, said = words.units.get(name, ""), spoken(name)
    if unit and unit[0] in SYMBOLS:
        return Property(said, symbol=unit)
    if unit:
        return Property(said, singular(unit) if len(unit) > 3 else unit, unit)
    *before, last = said.split() or [said]
    if last in MEASURES and before:
        return Property(" ".join(before), singular(last), last)
    if is_plural(last):
        start = "".join(f"{word} " for word in before)
        return Property(f"number of {said}", start + singular(last), said)
    return Property(said)


def article(phrase: str) -> str:
    """`a` or `an`, by the first letter."""
    return "an" if phrase[:1].lower() in set("aeiou") else "a"


def window(last: int | None) -> str:
    """A window of time: `in the last 8 weeks`, `so far`."""
    return "so far" if last is None else f"in the last {length(last)}"


def length(last: int) -> str:
    """A length of time as people say it: `8 weeks`, `3 months`, `year`."""
    days, rest = divmod(last, DAY)
    if not rest and days in LENGTHS:
        return LENGTHS[days]
    if not rest and days % 7 == 0 and 14 <= days < 84:
        return f"{days // 7} weeks"
    return spell_duration(last)


def plain(value: float) -> float:
    """A sum or a product without the noise of floats: 59.7 and not 59.699999999999996.

    It keeps 12 significant digits, which no amount needs more of.
    """
    return float(f"{value:.12g}")


def number(value: float) -> str:
    """A number with as many digits as a person wants; what is less than a billionth is 0."""
    if abs(value) < NOISE:
        return "0"
    if value == round(value) or abs(value) >= 100:
        return f"{value:,.0f}" if value else "0"
    if abs(value) >= 1:
        return f"{value:.1f}".removesuffix(".0")
    return np.format_float_positional(value, precision=2, fractional=False, trim="-")


def money(value: float, symbol: str) -> str:
    """An amount of money: `$13.34`, `-€1,200`."""
    size = abs(value)
    digits = f"{size:,.0f}" if size >= 1000 or size == round(size) else f"{size:,.2f}"
    return f"{'-' if value < 0 else ''}{symbol}{digits}"


def share(value: float) -> str:
    """A share in per cent, never 0% or 100% where it is neither."""
    if 0 < value < 0.005:
        return "less than 1%"
    return "more than 99%" if 0.995 < value < 1 else f"{value:.0%}"


def times(value: float) -> str:
    """How often: `once`, `twice`, `3 times`."""
    return {0.0: "never", 1.0: "once", 2.0: "twice"}.get(value) or f"{number(value)} times"


def days(value: float) -> str:
    """A length in days, in hours where it is shorter than one: `1 day`, `7 hours`."""
    size = abs(value)
    if 0 < size < 1:
        return hours(size * 24)
    said = number(size if size < 10 else round(size))
    return f"{said} {'day' if said == '1' else 'days'}"


def hours(value: float) -> str:
    whole = round(value)
    return "less than an hour" if whole < 1 else f"{whole} {'hour' if whole == 1 else 'hours'}"


def minutes(value: float) -> str:
    """A length in minutes."""
    said = number(value if value < 10 else round(value))
    return f"{said} {'minute' if said == '1' else 'minutes'}"


def ago(value: float) -> str:
    """How long ago: `today`, `48 days ago`."""
    return "today" if value == 0 else f"{days(value)} ago"


def when(value: float) -> str:
    """Where a date lies from here: `is in 30 days`, `was 3 days ago`, `is today`."""
    if value == 0:
        return "is today"
    return f"is in {days(value)}" if value > 0 else f"was {days(value)} ago"


def counted(one: str, many: str) -> Callable[[float], str]:
    """Says so many of a thing: `1 purchase`, `3 purchases`."""
    return partial(_counted, one, many)


def _counted(one: str, many: str, value: float) -> str:
    return f"{number(value)} {one if value == 1 else many}"


def capital(sentence: str) -> str:
    """The sentence with a capital letter."""
    return sentence[:1].upper() + sentence[1:]
