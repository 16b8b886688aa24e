"""What crosses the HTTP edge about the journey map.

Knows nothing about how a map is drawn.
"""

from typing import Literal

from pydantic import BaseModel

By = Literal["all", "persona", "channel", "period"]


class DaysIn(BaseModel):
    """How long visits to a stage lasted, in days: quartiles of those that were left."""

    low: float
    median: float
    high: float


class StageOut(BaseModel):
    """A stage of the journey."""

    stage: str
    visits: int
    """Unbroken runs of events of the stage."""
    customers: int
    starts: int
    """Visits with which a journey begins."""
    ends: int
    """Visits that nothing followed yet."""
    days: DaysIn | None
    """Null where no visit was left."""


class TransitionOut(BaseModel):
    """From one visit to the customer's next one."""

    source: str
    target: str
    kind: Literal["step", "jump", "return"]
    """To the next stage, farther on, or back."""
    times: int
    customers: int


class LeakOut(BaseModel):
    """Customers whose last stage this was, before the outcome or the end of its window."""

    stage: str | None
    """Null for those who had not been in any."""
    lost: int
    kept: int


class PathOut(BaseModel):
    """An order in which customers first reached the stages."""

    path: list[str]
    customers: int
    outcomes: int
    rate: float | None


class OtherPaths(BaseModel):
    """All that are rarer."""

    different: int
    customers: int
    outcomes: int
    rate: float | None


class TouchpointOut(BaseModel):
    """A kind of event, or what came of one, and what became of those who met it."""

    rank: int
    """1 where harm is largest, as far as it is sure."""
    says: str
    event: str
    channel: str | None
    property: str | None
    level: str | None
    least: float | None
    most: float | None
    customers: int
    """Who met it while the problem asked about them, and whose outcome is known."""
    share: float
    effect: float | None
    """What meeting it goes along with, among those who did, as a difference of probabilities of
    the outcome; adjusted. Null where too few can be compared."""
    low: float | None
    """Of the 90 % interval."""
    high: float | None
    surely: bool
    """Whether it differs from none even for who looked at all touchpoints."""
    hurts: bool
    """Whether the effect is against what the business wants."""
    unadjusted: float | None
    """The plain difference between customers who had met it and those who had not."""
    unadjusted_rank: int
    customers_at_stake: float
    """Harm × customers who met it; 0 where there is none."""
    value_at_stake: float | None


class MapChoices(BaseModel):
    """What the map can be asked for."""

    personas: list[str]
    channels: list[str]
    periods: list[str]


class JourneyMapOut(BaseModel):
    """The journey map that the champion carries, of all customers or of some."""

    problem: str
    model: str
    model_version: str
    outcome: str
    wanted: bool
    """Whether the business is glad of the outcome."""
    since: str
    until: str
    stages_are: Literal["stages", "events"]
    """What stages stand for: those of the business, or its commonest events."""
    compared: Literal["moments", "rows"]
    """What effects were found from; see the documentation."""
    label: str
    by: By
    value: str | None
    choices: MapChoices
    customers: int
    rate: float
    stages: list[StageOut]
    transitions: list[TransitionOut]
    leaks: list[LeakOut]
    paths: list[PathOut]
    other_paths: OtherPaths
    touchpoints: list[TouchpointOut]
