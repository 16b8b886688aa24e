"""What crosses the edge of the ledger of actions: bodies, answers and their documentation.

Knows nothing about how actions are kept.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from serving.schemas import Strict, Text, Time

MOST_COST = 1e9
LONGEST_NOTE, LONGEST_NAME = 2_000, 100

Kind = Literal["call", "email", "offer", "training", "discount"]
Outcome = Literal[
    "open", "not reached", "reached", "accepted", "declined", "done", "logged by mistake"
]
Id = Annotated[str, Field(strict=True, pattern=r"^[A-Za-z0-9._-]{1,64}$")]
Note = Annotated[str, Field(strict=True, max_length=LONGEST_NOTE)]
Written = Annotated[str, Field(strict=True, min_length=1, max_length=LONGEST_NOTE)]
Who = Annotated[str, Field(strict=True, min_length=1, max_length=LONGEST_NAME)]
Says = Literal["yes", "no"]
Cost = Annotated[float, Field(strict=True, ge=0, le=MOST_COST, allow_inf_nan=False)]


class LogAction(Strict):
    """Something that was done about a customer."""

    customer: Text
    kind: Kind
    outcome: Outcome = "open"
    """What is known to have come of it; it can be said later."""
    at: Time | None = None
    """When it was done, from the year 2000 on; now if absent."""
    cost: Cost | None = None
    """What it took, in the unit of the problem's value."""
    note: Note = ""
    who: Who | None = None
    """Who did it, where a system says so; a person writes down their own."""
    id: Id | None = None
    """The sender's id. The same action sent again is kept once."""


class LogOutcome(Strict):
    """What came of an action."""

    outcome: Outcome
    note: Note = ""
    id: Id | None = None
    """The sender's id of this word. The same sent again is kept once."""


class WriteNote(Strict):
    """A note on a customer."""

    customer: Text
    text: Written
    who: Who | None = None
    """Who wrote it, where a system says so; a person writes their own."""
    id: Id | None = None
    """The sender's id. The same note sent again is kept once."""


class GiveOpinion(Strict):
    """What a person thinks will become of a customer."""

    customer: Text
    problem: Text | None = None
    """About which problem; the first one if absent."""
    says: Says
    """Whether the problem's outcome will come true."""
    because: Written
    who: Who | None = None
    """Whose opinion it is, where a system says so; a person gives their own."""
    id: Id | None = None
    """The sender's id. The same opinion sent again is kept once."""


class FollowUpOut(BaseModel):
    """What was said later of an action."""

    at: str
    who: str
    outcome: Outcome
    note: str


class ActionOut(BaseModel):
    """An action."""

    id: str
    customer: str
    kind: Kind
    at: str
    recorded: str
    """When it was written down."""
    who: str
    cost: float | None
    outcome: Outcome
    """The newest word on what came of it."""
    first_outcome: Outcome
    note: str
    follow_ups: list[FollowUpOut]
    """What was said later, the newest first."""


class ActionsOut(BaseModel):
    """A part of the list, the newest first."""

    actions: list[ActionOut]
    next: str | None
    """The cursor of the next part. It may come with a short list: there may be more."""


class NoteOut(BaseModel):
    """A note as it is kept."""

    id: str
    customer: str
    at: str
    who: str
    text: str


class OpinionOut(BaseModel):
    """A second opinion beside the score of its moment."""

    id: str
    customer: str
    problem: str
    at: str
    who: str
    says: Says
    expects: str
    """The same in the problem's words."""
    because: str
    as_of: str
    """The moment that the score is as of."""
    closes: str | None
    """When the outcome window is over; null where the business brings its own labels, or no model
    answered."""
    probability: float | None
    """What the model said; null where it gave no score."""
    band: str | None
    value_at_stake: float | None
    model: str
    model_version: str
    score_id: str
    disagrees: bool
    """Whether the person says one thing and the model another."""
    came: bool | None
    """What became of the customer; null while it is not known."""


class TallyOut(BaseModel):
    """How person and model did, of opinions of which the truth is known."""

    known: int
    person_right: int
    model_right: int
    person_brier: float | None
    model_brier: float | None
    """Mean squares of what was said less what came; null where nothing is known yet."""


class DisagreementsOut(BaseModel):
    """Where person and model say different things of customers whose outcome is open."""

    problem: str
    waiting: int
    """How many there are."""
    disagreements: list[OpinionOut]
    """The most at stake first."""
    tally: TallyOut
    """Of all opinions, also those that agreed with the model."""
