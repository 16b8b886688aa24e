"""What crosses the HTTP edge about decisions on customers of the list.

Knows nothing about who may decide.
"""

from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from features.durations import SECOND
from serving.schemas import Strict

EXAMPLE: dict[str, Any] = {
    "problem": "churn", "customers": ["555"], "do": "snooze", "until": "2026-12-14",
}  # fmt: skip

Name = Annotated[str, Field(min_length=1, max_length=300)]
Day = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]


class DecisionIn(Strict):
    """What is decided about whom."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    problem: Annotated[str, Field(max_length=64)]
    customers: Annotated[list[Name], Field(min_length=1, max_length=500)]
    do: Literal["snooze", "wake", "plan", "unplan", "assign", "take_back"]
    until: Day | None = None
    """The day on which the customers of `snooze` are shown again."""
    kind: Literal["call", "email", "offer", "training", "discount"] | None = None
    """What is planned."""
    due: Day | None = None
    """By which day."""
    owner: Annotated[str, Field(max_length=200)] | None = None
    """Who looks after the customers of `assign`."""


class Decided(BaseModel):
    """About how many customers it is."""

    customers: int


def begin_of(day: str | None) -> int | None:
    """The beginning of a day in UTC, in microseconds; None of None and of what is no day."""
    try:
        found = date.fromisoformat(day or "")
    except ValueError:
        return None
    return int(datetime(found.year, found.month, found.day, tzinfo=UTC).timestamp()) * SECOND
