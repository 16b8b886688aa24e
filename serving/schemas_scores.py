"""What crosses the edge when scores are asked for: requests, answers and their documentation.

Knows nothing about how a score is made.
"""

from collections.abc import Callable
from math import isfinite
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, WrapValidator, model_validator

from serving.schemas import (
    MOST_EVENTS,
    MOST_NUMBER,
    MOST_PROPERTIES,
    EventIn,
    IntervalOut,
    NoScore,
    PersonaOut,
    ProblemDocument,
    PropertyValue,
    ReasonOut,
    Strict,
    Text,
    Time,
    WeekOut,
)

MOST_FEATURES = 5_000
MOST_CUSTOMERS = 100_000
"""Of one batch."""

Number = Annotated[float, Field(strict=True, ge=-MOST_NUMBER, le=MOST_NUMBER)]
FeatureValue = Number | Annotated[str, Field(strict=True, max_length=300)] | None
PLAIN = frozenset((float, type(None)))
"""What nearly all values of a vector are."""


def _plain_or_checked(value: Any, check: Callable[[Any], Any]) -> Any:
    """The features of a request; those of plain numbers in one look.

    Pydantic takes 60 µs for 200 of them, one by one, which is a twentieth of a request.
    """
    if type(value) is not dict or not PLAIN.issuperset(map(type, value.values())):
        return check(value)
    numbers = [number for number in value.values() if number is not None]
    inside = not numbers or -MOST_NUMBER <= min(numbers) <= max(numbers) <= MOST_NUMBER
    inside &= isfinite(sum(numbers))  # NaN is neither more nor less than anything
    return value if inside and len(value) <= MOST_FEATURES else check(value)


STORED: dict[str, Any] = {"problem": "churn", "customer": "555"}
INLINE: dict[str, Any] = {
    "problem": "churn",
    "as_of": "2017-12-31",
    "events": [
        {"event": "purchase", "event_time": "2017-11-20", "value": 31.4, "lines": 12},
        {"event": "purchase", "event_time": "2017-12-02", "value": 8.2, "lines": 3},
    ],
    "attributes": {"age": "45-54"},
}


class ScoreRequest(Strict):
    """Ask for a score: of a stored customer, of a history in the request, or of a vector."""

    model_config = ConfigDict(json_schema_extra={"examples": [STORED, INLINE]})

    problem: Text
    customer: Text | None = None
    """The id of a stored customer."""
    events: Annotated[list[EventIn], Field(max_length=MOST_EVENTS)] | None = None
    """A history in the request, in any order, instead of a stored customer's."""
    attributes: Annotated[dict[Text, PropertyValue], Field(max_length=MOST_PROPERTIES)] | None = (
        None
    )
    """With `events`: what is known about the customer."""
    features: Annotated[
        Annotated[dict[str, FeatureValue], Field(max_length=MOST_FEATURES)] | bool,
        WrapValidator(_plain_or_checked),
    ] = False
    """The model's features by name, all of them, null where missing, instead of a history. Or
    true: answer with the vector that was computed."""
    as_of: Time | None = None
    """The moment of prediction; where the stored histories end, or now for `events`, if absent."""
    reasons: Annotated[int, Field(ge=0, le=50)] = 5
    """How many reasons to give."""
    touchpoints: bool = False
    """Whether to say which single events moved the score most, of the newest 1,000."""
    changed: bool | Text = False
    """Whether to say what changed since the customer's previous recorded score, of another moment,
    version or history; or the `score_id` of an earlier score of this customer, to say it since."""

    @model_validator(mode="after")
    def _one_history(self) -> Self:
        given = isinstance(self.features, dict)
        if (self.customer is not None) + (self.events is not None) + given != 1:
            raise ValueError("give one of customer, events and features")
        if self.attributes is not None and self.events is None:
            raise ValueError("attributes go with events; a stored customer has its own")
        if self.touchpoints and given:
            raise ValueError("touchpoints are events, and a vector of features has none")
        if self.changed and self.customer is None:
            raise ValueError("changed is about an earlier score, so it needs a stored customer")
        return self


class SupposedEvent(EventIn):
    """An event that has not come about; its time is that of the score unless given."""

    event_time: Time | None = None  # type: ignore[assignment]


class RestingReason(ReasonOut):
    """A reason, and the stored events that it rests on."""

    kind: Literal["actionable", "context"]
    """Whether the business can influence it."""
    peers: str
    """Whose usual value `usual` is."""
    events: list[str]
    """Ids of the newest events that the value rests on, at most 20."""
    n_events: int
    """How many events it rests on."""


class StageOut(BaseModel):
    """Where the journey stands: the stage of the last event that belongs to one."""

    name: str
    since: str


class SourceOut(BaseModel):
    """One source of the stored histories, and how fresh it is."""

    name: str
    rows: int
    """Events or statements that it has brought."""
    first_event: str | None
    last_event: str | None
    last_arrival: str | None
    usual_pause_days: float | None
    """The mean time between its events, at least a day; null before there are two."""
    silent_days: float | None
    """From its last event to `as_of`."""
    status: Literal["fresh", "late", "dead", "empty"]
    """`late` when it has been silent for more than 4 usual pauses (at least 4 days), `dead` for
    more than 14; then events are missing, and the score knows nothing of them."""


class TriedOut(BaseModel):
    """Among how many events touchpoints were looked for."""

    tried: int
    """Events that were taken out in turn: the newest, 1,000 at most."""
    events: int
    """Events that the score read. Where they are more, the older ones were not tried."""


class ScoreAnswer(BaseModel):
    """A score with its reasons, or no score and why."""

    score_id: str
    """Names this answer in the ledger: `GET /v1/scores/{score_id}`."""
    problem: str
    customer: str | None
    status: Literal["scored", "no_score"]
    probability: float | None
    """Calibrated probability that the outcome happens within the horizon, 0 to 1."""
    interval: IntervalOut | None
    percentile: float | None
    """Where the score stands among the customers that the model was judged on, 0 to 100."""
    band: Literal["low", "medium", "high", "very high"] | None
    base_points: float | None
    """The score of a typical customer (at the mean log-odds of the training rows), in percentage
    points; the reasons move it from here."""
    rest_points: float | None
    """What all that is not among the reasons adds, so that base, reasons and rest are the score."""
    reasons: list[RestingReason]
    weekly_risk: list[WeekOut]
    """How the score comes about week by week; empty where the model does not know when."""
    value_at_stake: float | None
    stage: StageOut | None
    as_of: str
    known_time: str
    """Nothing that was recorded later played a part. It is `as_of` where that was asked for, else
    the newest arrival: what is told late of the time before `as_of` counts at once."""
    valid_until: str | None
    model: str
    model_version: str
    no_score: NoScore | None
    persona: PersonaOut | None
    no_persona: NoScore | None
    """Why a score has no persona."""
    sources: list[SourceOut]
    """Freshness and coverage of what is stored; empty for a history in the request."""
    unread: list[str]
    """Events and properties of the history that the model was not trained on, or whose values are
    of another kind than in training."""
    features: dict[str, float | None] | None = None
    touchpoints: list[dict[str, Any]] | None = None
    touchpoints_among: TriedOut | None = None
    """Of how many events `touchpoints` are the strongest; null without a score."""
    changed: dict[str, Any] | None = None


class Supposition(Strict):
    """Events and attributes that have not come about."""

    events: Annotated[list[SupposedEvent], Field(max_length=50)] = Field([])
    attributes: Annotated[dict[Text, PropertyValue], Field(max_length=MOST_PROPERTIES)] = Field({})


class WhatIfRequest(ScoreRequest):
    """Ask what the score would be with events or attributes that have not come about."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{**STORED, "suppose": {"events": [{"event": "campaign_received"}]}}]
        }
    )

    suppose: Supposition

    @model_validator(mode="after")
    def _a_journey(self) -> Self:
        if isinstance(self.features, dict):
            raise ValueError("give customer or events; a vector has no journey to suppose more of")
        return self


class WhatIfAnswer(BaseModel):
    """A score with and without what is supposed."""

    problem: str
    customer: str | None
    status: Literal["answered", "no_score"]
    as_of: str
    probability: float | None
    """The score as it is."""
    supposing: float | None
    """The score with what is supposed."""
    points: float | None
    """The difference in percentage points."""
    label: str | None
    """What the difference is: an association, no effect."""
    no_score: NoScore | None
    model: str
    model_version: str


class BatchRequest(Strict):
    """Ask for many scores at once, answered in the same order; or one request a line as NDJSON."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"requests": [STORED, INLINE]}]})

    requests: Annotated[list[ScoreRequest], Field(max_length=MOST_CUSTOMERS)]


class LooseBatch(Strict):
    """The same before each request is looked at, so that a bad one is refused alone."""

    requests: Annotated[list[Any], Field(max_length=MOST_CUSTOMERS)]


class BatchLine(BaseModel):
    """One line of the answer to a batch: a score or what was wrong."""

    index: int
    """Of the request, from 0."""
    score: ScoreAnswer | None = None
    error: ProblemDocument | None = None


class ProblemOut(BaseModel):
    """A question that this workspace answers."""

    problem: str
    question: str
    """What a score answers, in words."""
    asked_of: str
    horizon_days: float | None
    model: str | None
    """Null where no model answers now."""
    model_version: str | None
    features: list[str]
    """What a vector in a request has to name."""
    why_not: str | None
    """Why no model answers."""


class Problems(BaseModel):
    problems: list[ProblemOut]


class JourneyEvent(BaseModel):
    """One stored event."""

    event_id: str | None
    event: str
    event_time: str | None
    """Null of an attribute that holds from the beginning."""
    recorded_time: str | None
    properties: dict[str, Any]


class RecordedScore(BaseModel):
    """A score that was given."""

    score_id: str
    problem: str
    as_of: str
    probability: float | None
    percentile: float | None
    band: str | None
    no_score: str | None
    model: str
    model_version: str


class CustomerOut(BaseModel):
    """A customer's journey, attributes and scores."""

    customer: str
    n_events: int
    """All events that are stored, of which 10,000 are counted at most."""
    uncounted: bool
    """Whether there are more than were counted."""
    events: list[JourneyEvent]
    """Newest first, `limit` of them."""
    next: str | None
    """`cursor` of the next page; null on the last one."""
    attributes: list[JourneyEvent]
    """What was stated, newest first, `limit` of them."""
    attributes_next: str | None
    """`attributes_cursor` of the next page; null on the last one."""
    scores: list[RecordedScore]
    """Newest first, `scores_limit` of them."""
    scores_next: str | None
    """`scores_cursor` of the next page; null on the last one."""
