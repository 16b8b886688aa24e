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
    who: Annotated[str, Field(strict=True, min_length=1, max_length=LONGEST_NAME)] | None = None
    """Who did it, where a system says so; a person writes down their own."""
    id: Id | None = None
    """The sender's id. The same action sent again is kept once."""


class LogOutcome(Strict):
    """What came of an action."""

    outcome: Outcome
    note: Note = ""
    id: Id | None = None
    """The sender's id of this word. The same sent again is kept once."""


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
