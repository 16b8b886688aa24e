"""What crosses the HTTP edge about personas and about the model itself.

Knows nothing about how either came about.
"""

from typing import Any, Literal

from pydantic import BaseModel


class TraitTold(BaseModel):
    """What is usual in a persona, beside everybody."""

    says: str
    here: float
    everybody: float
    unit: str
    """`share` of 1, or the unit of what is measured."""
    here_said: str
    everybody_said: str


class InBook(BaseModel):
    """Some customers of today's book."""

    customers: int
    share: float
    """Of all that are counted beside them."""
    mean_score: float | None = None
    value_at_stake: float | None = None
    expected_value: float | None = None


class PersonaTold(BaseModel):
    """One segment of customers."""

    name: str
    says: str
    share: float
    """Of the training part's customers who have a persona."""
    customers: int | None = None
    """Of the training part; null, as all that follows, where the model does not tell."""
    rows: int | None = None
    rate: float | None = None
    """The share of the training rows whose outcome came."""
    rate_low: float | None = None
    rate_high: float | None = None
    """Between what the rate may lie, at 95 %."""
    traits: list[TraitTold] = []
    path: list[str] = []
    """The commonest order in which stages were first reached."""
    path_share: float | None = None
    book: InBook | None
    """Today; null where no book was made yet. Who sees only some customers reads numbers alone."""
    own: InBook | None
    """Of the customers that the asker sees; null for who sees all."""


class PersonasAnswer(BaseModel):
    """Who the customers are."""

    problem: str
    model: str
    model_version: str
    as_of: str | None
    asked: str
    base_rate: float
    none_because: str | None
    """Why there are no personas."""
    personas: list[PersonaTold]
    others: InBook | None
    """Customers whose history is too thin for a persona."""
    own_others: InBook | None


class Beside(BaseModel):
    """A version as the registry tells of it."""

    alias: Literal["champion", "challenger"]
    version: str
    gate: str
    """`passed`, `refused`, or nothing where it was not asked."""
    reasons: str
    forced: str
    """Why a person promoted it all the same."""
    judgement: dict[str, Any] | None
    """What its run found: see docs/pages.md; null where the version does not tell."""


class ModelAnswer(BaseModel):
    """How good the model is that answers, and what waits beside it."""

    problem: str
    model: str
    model_version: str
    since: str
    """When it became champion here."""
    asked: str
    champion: Beside | None
    challenger: Beside | None
    """Null where the newest version is the champion."""
    link: str | None
    """The version's page in MLflow, where an address is set."""
