"""What crosses the HTTP edge: requests, answers and their documentation.

Numbers are finite, text is bounded and valid Unicode, times are ISO 8601 text; nothing is
coerced. Knows nothing about how a score is made.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)

from features.durations import parse_moment

EARLIEST, LATEST = parse_moment("1000-01-01"), parse_moment("9000-01-01")
MOST_EVENTS = 20_000
MOST_PROPERTIES = 200
MOST_TEXT = 10_000
MOST_NUMBER = 1e15
"""Larger numbers are no measurement, and their sums would overflow."""


def _read_time(value: object) -> int:
    if not isinstance(value, str) or len(value) > 40:
        raise ValueError("must be a date or a time in ISO 8601, as text")
    try:
        moment = parse_moment(value)
    except (ValueError, OverflowError) as error:
        raise ValueError("must be a date or a time in ISO 8601") from error
    if not EARLIEST <= moment <= LATEST:
        raise ValueError("must lie between the years 1000 and 9000")
    return moment


def _unicode(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError("must be valid Unicode") from error
    return value


Time = Annotated[
    int,
    BeforeValidator(_read_time),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2017-12-31T00:00:00Z"]}),
]
"""Microseconds since 1970 UTC; a time without a zone is UTC."""

Text = Annotated[str, Field(min_length=1, max_length=300, strict=True), AfterValidator(_unicode)]


def _read_property(value: object) -> object:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float) and abs(value) <= MOST_NUMBER:  # false for NaN
        return value
    if isinstance(value, str) and len(value) <= MOST_TEXT:
        return _unicode(value)
    raise ValueError(
        f"must be text of at most {MOST_TEXT:,} characters, a number within ±1e15, true, false or "
        "null"
    )


PROPERTY_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"type": "string", "maxLength": MOST_TEXT},
        {"type": "number", "minimum": -MOST_NUMBER, "maximum": MOST_NUMBER},
        {"type": "boolean"},
        {"type": "null"},
    ]
}

PropertyValue = Annotated[Any, BeforeValidator(_read_property), WithJsonSchema(PROPERTY_SCHEMA)]
"""A value of an event's property or of an attribute."""


class Strict(BaseModel):
    """Unknown keys are refused and nothing is coerced."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class EventIn(BaseModel):
    """One event; further keys are its properties (text, a finite number, true, false, null)."""

    model_config = ConfigDict(
        extra="allow",
        frozen=True,
        strict=True,
        json_schema_extra={"additionalProperties": PROPERTY_SCHEMA},
    )
    __pydantic_extra__: dict[str, PropertyValue] = Field(init=False)

    event: Text
    event_time: Time
    recorded_time: Time | None = None

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if len(self.__pydantic_extra__) > MOST_PROPERTIES:
            raise ValueError(f"an event has at most {MOST_PROPERTIES} properties")
        return self


class ScoreRequest(Strict):
    """Ask for a score: of a stored customer, or of a history in the request."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"problem": "churn", "customer": "1"},
                {
                    "problem": "churn",
                    "as_of": "2017-12-31",
                    "events": [
                        {
                            "event": "purchase",
                            "event_time": "2017-11-20",
                            "value": 31.4,
                            "lines": 12,
                        },
                        {"event": "purchase", "event_time": "2017-12-02", "value": 8.2, "lines": 3},
                    ],
                    "attributes": {"age": "45-54"},
                },
            ]
        }
    )

    problem: Text
    customer: Text | None = None
    """The id of a stored customer."""
    events: Annotated[list[EventIn], Field(max_length=MOST_EVENTS)] | None = None
    """A history in the request, in any order, instead of a stored customer's."""
    attributes: Annotated[dict[Text, PropertyValue], Field(max_length=MOST_PROPERTIES)] | None = (
        None
    )
    """With `events`: what is known about the customer."""
    as_of: Time | None = None
    """The moment of prediction; where the stored histories end, or now for `events`, if absent."""
    reasons: Annotated[int, Field(ge=0, le=50)] = 5
    """How many reasons to give."""
    features: bool = False
    """Whether to answer with the feature vector too."""

    @model_validator(mode="after")
    def _one_history(self) -> Self:
        if (self.customer is None) == (self.events is None):
            raise ValueError("give either customer or events")
        if self.attributes is not None and self.events is None:
            raise ValueError("attributes go with events; a stored customer has its own")
        return self


class ReasonOut(BaseModel):
    """One thing that moved the score."""

    feature: str
    group: str
    """Features of one group say the same in other words; the group speaks once."""
    value: float | str | None
    """What this customer has; null when missing."""
    usual: float | str | None
    """The median, or the commonest level, of the customers the model was trained on."""
    unit: str
    points: float
    """Percentage points that the group adds to the probability, signed."""
    direction: Literal["raises", "lowers"]
    statement: str
    """What is so, in words."""
    sentence: str
    """The statement and what it does to the score."""


class IntervalOut(BaseModel):
    """How sure the score is: where the rate among customers with such a score lies."""

    low: float
    high: float
    level: float
    """In this share of samples of customers the interval holds the true rate at the score. It says
    nothing about how far one customer differs from others with the same score."""


class WeekOut(BaseModel):
    """The chance by the end of one week of the outcome window."""

    until: str
    """When the week ends; the last one ends with the window."""
    probability: float
    """That the outcome's event has happened by then; where the outcome is that something does not
    happen, that it has not happened until then. The last week's is the score."""


class NoScore(BaseModel):
    """Why there is no score, or no persona."""

    code: str
    detail: str


class PersonaOut(BaseModel):
    """The segment of customers whose journeys go alike."""

    name: str
    says: str
    """What distinguishes it from the others, in figures."""


class ScoreAnswer(BaseModel):
    """A score with its reasons, or no score and why."""

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
    reasons: list[ReasonOut]
    weekly_risk: list[WeekOut]
    """How the score comes about week by week; empty where the model does not know when."""
    value_at_stake: float | None
    as_of: str
    valid_until: str | None
    model: str
    model_version: str
    no_score: NoScore | None
    persona: PersonaOut | None
    no_persona: NoScore | None
    """Why a score has no persona."""
    unread: list[str]
    """Events and properties in the request that the model was not trained on."""
    features: dict[str, float | None] | None = None


class Live(BaseModel):
    status: Literal["live"]


class Ready(BaseModel):
    """How the process is; with a key, how its workspace is, of which a stranger learns nothing."""

    status: Literal["ready", "degraded"]
    reason: str = ""
    """Why it is degraded, in a sentence; empty while it is ready."""
    models: dict[str, str]
    """Which version answers each problem of the caller's workspace."""
    degraded: list[str] = []
    """All that is wrong in the caller's workspace while the process answers all the same."""
    as_of: str | None = None
    sources: list[dict[str, Any]] = []
    """Those of the caller's workspace with the most rows, a hundred at most."""
    broken_off: list[str] = []
    """What there is to say where events lie beyond the end of the histories."""


class ProblemDocument(BaseModel):
    """An error, as RFC 9457 says."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    """Stable; meant for machines."""
    errors: list[dict[str, str]] | None = None
    """For a request that does not fit the schema: where and why."""
