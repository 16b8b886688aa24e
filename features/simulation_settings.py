"""What may be asked of the simulator: how many customers, when, and which faults.

Takes numbers and names; gives frozen, checked settings. Knows nothing about how customers
behave.
"""

from dataclasses import dataclass

from features.durations import DAY, format_day, parse_moment
from features.errors import SimulationError, nearest

SOURCES = ("web", "marketing", "product", "support", "billing", "crm")
"""The systems that deliver events."""

FAULTS = {
    "outage": ("product", 14),
    "unit_change": ("billing", None),
    "duplicate_feed": ("product", 30),
    "clock_skew": ("web", None),
    "mix_shift": (None, None),
}
"""Each fault's usual source, and for how many days it lasts (None: to the end)."""

SHORTEST = 120
"""Days below which no trial, contract and outcome would fit."""

FIRST_FAULT = 0.75
"""Where faults begin unless told: this share of the simulated time is clean."""


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong from one day to another.

    `outage`: the source delivers nothing. `unit_change`: the source states `value` and
    `price` in cents. `duplicate_feed`: the source delivers everything twice, under new ids.
    `clock_skew`: the source's `event_time` runs five hours ahead. `mix_shift`: other customers
    arrive. The first four are faults of the feed: the customers, and the true probabilities,
    stay the same.
    """

    kind: str
    begins: int
    """Microseconds UTC; the fault holds for `begins <= event_time < ends`."""
    ends: int
    source: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in FAULTS:
            raise SimulationError(f"There is no fault {self.kind!r}.{nearest(self.kind, FAULTS)}")
        if self.source is not None and self.source not in SOURCES:
            raise SimulationError(
                f"There is no source {self.source!r}.{nearest(self.source, SOURCES)}"
            )
        if self.source is None and self.kind != "mix_shift":
            raise SimulationError(f"The fault {self.kind!r} needs a source, such as 'product'.")


@dataclass(frozen=True)
class Settings:
    """What is simulated; the same settings give the same bytes."""

    n_customers: int = 8_000
    start: int = parse_moment("2022-01-01")
    """Midnight UTC, microseconds; the first customers arrive here."""
    end: int = parse_moment("2025-01-01")
    """Midnight UTC, microseconds; the day after the last one. Nothing recorded later is
    delivered."""
    seed: int = 7
    late_share: float = 0.05
    """Share of the web's and marketing's events that are recorded hours to days after they
    happened. No driver comes from these two, so what a cutoff knows still tells the truth."""
    duplicate_share: float = 0.01
    """Share of events that are delivered a second time with the same `event_id`, minutes later."""
    activity: float = 1.0
    """Multiplies the log-ins, page views and adverts, which move nothing."""
    shuffled: bool = False
    """Whether events are delivered in random order rather than by event time."""
    faults: tuple[Fault, ...] = ()

    def __post_init__(self) -> None:
        if self.n_customers < 1:
            raise SimulationError(f"Simulate at least one customer, not {self.n_customers}.")
        if self.start % DAY or self.end % DAY:
            raise SimulationError("The simulation starts and ends at midnight UTC; give dates.")
        if self.n_days < SHORTEST:
            raise SimulationError(
                f"From {format_day(self.start)} to {format_day(self.end)} there are "
                f"{self.n_days} days; a trial and a contract need {SHORTEST}. Give a later end."
            )
        for name in ("late_share", "duplicate_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise SimulationError(f"{name} is {getattr(self, name)}; it is a share, 0 to 1.")
        if self.activity < 0:
            raise SimulationError(f"activity is {self.activity}; it can't be negative.")

    @property
    def n_days(self) -> int:
        return (self.end - self.start) // DAY

    def fault(self, kind: str, begins: int | None = None, ends: int | None = None) -> Fault:
        """A fault with its usual source and length, in the last quarter unless told."""
        source, length = FAULTS.get(kind, (None, None))
        first = self.start + int(FIRST_FAULT * self.n_days) * DAY if begins is None else begins
        last = self.end if length is None else first + length * DAY
        return Fault(kind, first, last if ends is None else ends, source)
