"""What crosses the HTTP edge about lists and exports of the book.

Knows nothing about how a list is made.
"""

from typing import Literal

from pydantic import BaseModel

Band = Literal["low", "medium", "high", "very high"]
Rank = Literal["probability", "expected_value", "value_at_stake", "due", "risen"]
Snoozed = Literal["awake", "asleep", "all"]


class ListedReason(BaseModel):
    """One of the strongest reasons of a score."""

    feature: str
    kind: Literal["actionable", "context"]
    statement: str
    points: float
    """Percentage points of the score, signed."""


class Bounds(BaseModel):
    """Where the rate among customers with such a score lies."""

    low: float
    high: float


class LastEvent(BaseModel):
    """What happened last in a journey, as of the book."""

    event: str
    event_time: str


class LastAction(BaseModel):
    """What somebody did about a customer last."""

    kind: str
    at: str
    who: str
    outcome: str


class NextStep(BaseModel):
    """What was planned to be done next."""

    kind: str
    due: str | None
    """A day."""
    planned_by: str


class ListedCustomer(BaseModel):
    """A customer in the list."""

    score_id: str
    """Names the score: `GET /v1/scores/{score_id}`, while this book or the next one is current."""
    customer: str
    probability: float
    interval: Bounds | None
    percentile: float
    band: Band
    band_before: Band | None
    """In the last book before this one that the customer was in; null where there is none."""
    week_ago: float | None
    """The probability as of a week before, by the same model and what was known then."""
    value_at_stake: float | None
    expected_value: float | None
    """Probability × value at stake."""
    stage: str | None
    persona: str | None
    owner: str | None
    """Who looks after the customer: who was assigned, or whom the histories name."""
    last_event: LastEvent | None
    last_action: LastAction | None
    next_step: NextStep | None
    snoozed_until: str | None
    """A day until which the list leaves the customer out."""
    date_due: str | None
    """The date that the problem is about, such as that of a renewal."""
    days_to_date: float | None
    as_of: str
    valid_until: str | None
    base_points: float
    reasons: list[ListedReason]


class BookScore(BaseModel):
    """A score that a list, an export or a webhook gave, as the book or the ledger keeps it."""

    score_id: str
    problem: str
    customer: str
    status: Literal["scored"]
    probability: float
    interval: Bounds | None
    percentile: float
    band: Band
    base_points: float
    reasons: list[ListedReason]
    """The strongest."""
    value_at_stake: float | None
    stage: str | None
    persona: str | None
    as_of: str
    known_time: str
    valid_until: str | None
    model: str
    model_version: str
    vector_hash: str | None
    """SHA-256 of the features."""


class ListTotals(BaseModel):
    """Of all customers that the filters let through, on whatever page."""

    customers: int
    value_at_stake: float
    expected_value: float


class Choice(BaseModel):
    """A value that can be filtered by, and how many customers of the book have it."""

    value: str
    customers: int


class AtRisk(BaseModel):
    """A page of the list."""

    problem: str
    by: Rank
    model: str
    model_version: str
    as_of: str
    """The moment the book was scored as of."""
    cohort: int
    """How many customers were scored, of those that the caller sees."""
    unscored: dict[str, int]
    """How many were not, by the code of the reason; empty for who doesn't see everybody."""
    snoozed: int
    """How many of the cohort the list leaves out for now."""
    totals: ListTotals
    customers: list[ListedCustomer]
    next: str | None
    """The cursor of the next page; null at the end."""
    bands: list[Choice]
    stages: list[Choice]
    personas: list[Choice]
    owners: list[Choice]


class PredictiveScore(BaseModel):
    """A score as Dynamics 365 keeps it."""

    entity_id: str
    score: int
    """0 to 100."""
    grade: Literal["A", "B", "C", "D"]
    trend: Literal["improving", "steady", "declining", "not enough information"]
    reasons: list[str]
    scored_on: str
    score_id: str


class PredictiveScores(BaseModel):
    value: list[PredictiveScore]
