"""Lengths of time and moments, as the whole project writes them.

Takes text such as ``"28d"`` or ``"2018-01-01"``; gives whole microseconds. A moment is an
``int`` of microseconds since 1970-01-01 UTC, a length is an ``int`` of microseconds.
Knows nothing about events, files or models.
"""

import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from time import time

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
WEEK = 7 * DAY

LONGEST = 36_525 * DAY
"""A hundred years: no window or horizon is longer, and sums of moments can't overflow."""

UNITS = {"s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY, "w": WEEK}

BEGINNING = -(2**62)
"""A moment before every event: what holds "always" is valid from here."""

MISSING_TIME = -(2**63)
"""Marks an absent moment in an ``int64`` column."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def this_moment() -> int:
    """The moment at which it is called, by this machine's clock."""
    return int(time() * SECOND)


def parse_duration(text: str) -> int:
    """Read a length such as ``"28d"``, ``"12h"``, ``"30m"``, ``"45s"`` or ``"8w"``.

    Returns
    -------
    int
        Microseconds, zero or more.

    Raises
    ------
    ValueError
        When the text is not a whole number followed by one of the units, or is longer than
        a hundred years.
    """
    match = re.fullmatch(r"\s*(\d{1,9})\s*([smhdw])\s*", text)
    if match is None:
        raise ValueError(
            f"{text!r} is not a length of time; write a whole number and one of "
            's, m, h, d, w, such as "28d"'
        )
    length = int(match[1]) * UNITS[match[2]]
    if length > LONGEST:
        raise ValueError(f"{text!r} is longer than a hundred years")
    return length


def days(count: float) -> int:
    """Microseconds in `count` days."""
    return round(count * DAY)


def format_duration(length: int) -> str:
    """Write a length with the largest unit that divides it: ``days(30)`` is ``"30d"``."""
    for unit in ("d", "h", "m", "s"):
        if length % UNITS[unit] == 0:
            return f"{length // UNITS[unit]}{unit}"
    return f"{length}us"


def spell_duration(length: int) -> str:
    """Write a length as a person says it: ``days(30)`` is ``"30 days"``."""
    names = {"d": "day", "h": "hour", "m": "minute", "s": "second"}
    text = format_duration(length)
    if text.endswith("us"):
        return f"{length / SECOND:g} seconds"
    count, name = text[:-1], names[text[-1]]
    return f"{count} {name}" if count == "1" else f"{count} {name}s"


def parse_moment(value: str | date | datetime) -> int:
    """Read a moment; a time without a zone is UTC, a date is its midnight.

    Returns
    -------
    int
        Microseconds since 1970-01-01 UTC.

    Raises
    ------
    ValueError
        When the text is not an ISO 8601 date or time between the years 1 and 9999.
    """
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    if value.tzinfo is None:
        value = value.replace(tzinfo=UTC)
    return (value - EPOCH) // timedelta(microseconds=1)


@lru_cache(8192)  # answers name the same few moments again and again
def format_moment(moment: int) -> str:
    """Write a moment as ISO 8601 in UTC: ``"2018-01-01T00:00:00Z"``."""
    text = (EPOCH + timedelta(microseconds=int(moment))).isoformat()
    return text.replace("+00:00", "Z")


def format_day(moment: int) -> str:
    """Write the day of a moment: ``"2018-01-01"``."""
    return (EPOCH + timedelta(microseconds=int(moment))).date().isoformat()
