"""Moments, shares and values as a person reads them on a page.

Takes numbers and ISO text; gives words beside what is exact. What is missing is a dash with a
word, never an empty place. Knows nothing about which page says them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from features.durations import DAY, HOUR, format_moment, parse_moment
from models.spoken import Words, number, property_of

LONGEST_TEXT = 400
"""Characters of a property that a page shows."""

NAMED = 2
"""Of many silent sources so many are named in a sentence."""

SMALL = 0.1
"""Percentage points below which a second decimal is shown."""


@dataclass(frozen=True)
class When:
    """A moment three times: exact for machines, as a date, and from where the reader stands."""

    exact: str
    """ISO 8601 in UTC."""
    date: str
    """`13 Nov 2017`, with the time of day where it has one."""
    words: str
    """`3 days ago`."""


def when(moment: int | str, here: int) -> When:
    """A moment, told from another one; microseconds UTC or ISO text."""
    at = parse_moment(moment) if isinstance(moment, str) else moment
    return When(format_moment(at), date(at), distance(at - here, at % DAY == 0))


def maybe(moment: str | None, here: int) -> When | None:
    """The same of what may be missing."""
    return None if moment is None else when(moment, here)


def date(moment: int) -> str:
    """`13 Nov 2017`, and the time of day unless it is midnight."""
    day, rest = moment // DAY * DAY, moment % DAY
    told = _day(day)
    return told if not rest else f"{told}, {rest // HOUR:02d}:{rest % HOUR // (HOUR // 60):02d} UTC"


def _day(moment: int) -> str:
    """`13 Nov 2017`; the months do not depend on the machine's language."""
    year, month, day = format_moment(moment)[:10].split("-")
    return f"{int(day)} {MONTHS[int(month) - 1]} {year}"


MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def distance(length: int, whole_day: bool = False) -> str:
    """How far a moment lies from here: `3 days ago`, `in 4 months`, `5 hours ago`."""
    size = abs(length)
    if size < DAY:
        if whole_day and length > -DAY and length <= 0:
            return "today"
        hours = size // HOUR
        if not hours:
            return "less than an hour ago" if length <= 0 else "within the hour"
        return _told(hours, "hour", length)
    days = size // DAY
    if days < 60:
        return "yesterday" if length < 0 and days == 1 else _told(days, "day", length)
    if days < 731:
        return _told(round(days / 30.44), "month", length)
    return _told(round(days / 365.25), "year", length)


def _told(many: int, unit: str, length: int) -> str:
    said = f"{many} {unit}{'' if many == 1 else 's'}"
    return f"{said} ago" if length < 0 else f"in {said}"


def lasting(days: float) -> str:
    """A length in days: `3 days`, `less than a day`."""
    return "less than a day" if days < 1 else f"{number(round(days))} day{'s' * (round(days) != 1)}"


def share(value: float) -> str:
    """A probability as a whole per cent, and never 0% or 100%."""
    if value < 0.005:
        return "under 1%"
    return "over 99%" if value > 0.995 else f"{100 * value:.0f}%"


def percentage(points: float) -> str:
    """A probability in points with one decimal."""
    return f"{points:.1f}%"


def signed(points: float) -> str:
    """Percentage points with their sign: `+2.5`, `−0.3`, `+0.04`, `0.0`."""
    said = f"{points:+.1f}" if abs(points) >= SMALL else f"{points:+.2f}"
    return "0.0" if said in ("+0.00", "-0.00") else said.replace("-", "−")


def amount(value: float, of: str, words: Words) -> str:
    """A value of a property in its unit: `$13.34`, `12 hours`."""
    return property_of(of, words).short(value)


def properties(given: Mapping[str, Any], words: Words) -> list[tuple[str, str]]:
    """Name and value of each property that has one, in words."""
    return [
        (property_name(name, words), property_value(name, value, words))
        for name, value in sorted(given.items())
        if value is not None and value != ""
    ]


def property_name(name: str, words: Words) -> str:
    """A property's name in words: `main department`, `lines`, `wait` of `wait_hours`."""
    return property_of(name, words).name.removeprefix("number of ") or name


def property_value(name: str, value: Any, words: Words) -> str:
    """A property's value in words; text as it is, shortened."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return amount(float(value), name, words)
    said = str(value)
    return said if len(said) <= LONGEST_TEXT else f"{said[:LONGEST_TEXT]}…"


def silence(sources: Sequence[Mapping[str, Any]], *states: str) -> str:
    """One sentence that names the sources in these states, the longest silent first; "" of none."""
    still = [each for each in sources if each["status"] in states and each["last_event"]]
    if not still:
        return ""
    still.sort(key=lambda each: str(each["last_event"]))
    names = [str(each["name"]) for each in still]
    if len(names) > NAMED + 1:
        names = [*names[:NAMED], f"{len(names) - NAMED} more"]
    since = date(parse_moment(str(still[-1]["last_event"])) // DAY * DAY)
    if not names[1:]:
        return f"The source {names[0]} brings nothing any more since {since}."
    listed = f"{', '.join(names[:-1])} and {names[-1]}"
    return f"The sources {listed} bring nothing any more since {since} or longer."
