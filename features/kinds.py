"""The kinds of feature: what each reads, whether it has a window, its words.

One table that the language, the plan and the reference page read. Knows nothing about
events or arrays.
"""

from dataclasses import dataclass

NOTHING, NUMBER, CATEGORY, TIME, STAGES = "nothing", "number", "category", "time", "stages"
"""What a kind reads of the chosen events beside their times."""

EVENTS, ATTRIBUTES, MOMENT = "events", "attributes", "moment"
"""Where a kind looks: the journey, the statements about the customer, or the cutoff alone."""

NO_EVENT = "never missing: 0 when there was no such event"
NONE_YET = "no such event yet"
NO_VALUE = "no such event with a value in the window"
FEW = "fewer than two such events"


@dataclass(frozen=True)
class Kind:
    """One way of making a number of a journey."""

    description: str
    """The middle of a sentence; `{events}`, `{event}`, `{of}`, `{window}` and others are filled."""
    missing: str
    """What a missing value means."""
    unit: str = ""
    """Empty: the unit of the property."""
    reads: str = NOTHING
    source: str = EVENTS
    windows: tuple[str, ...] = ()
    """`time` and `events`: the windows that the kind takes; none: it reads from the beginning."""
    levels: str = ""
    """`many`: the value is a position in the levels; `one`: the kind is about one level."""
    family: str = ""
    """The heading under which the reference page lists it."""


BOTH, BY_TIME = ("time", "events"), ("time",)

KINDS: dict[str, Kind] = {
    "count": Kind("{events} {window}", NO_EVENT, "events", windows=BY_TIME, family="How often"),
    "days_active": Kind(
        "days with {events} {window}", NO_EVENT, "days", windows=BY_TIME, family="How often"
    ),
    "share": Kind(
        "share of {events} among all events {window}", "no event of any kind in the window",
        "share", windows=BOTH, family="How often",
    ),
    "trend": Kind(
        "share of the last {both}' {events} that fall {window}",
        "no such event in either window", "share", windows=BY_TIME, family="How often",
    ),
    "recency": Kind("days since the last {event}", NONE_YET, "days", family="How recently"),
    "tenure": Kind("days since the first {event}", NONE_YET, "days", family="How recently"),
    "lateness": Kind(
        "days since the last {event}, against the usual gap",
        "fewer than two such events, or all at one time", "ratio", family="How recently",
    ),
    "gap_mean": Kind(
        "usual number of days between {events} {window}", FEW + " in the window", "days",
        windows=BOTH, family="Rhythm",
    ),
    "gap_std": Kind(
        "irregularity of the days between {events}", "fewer than three such events", "days",
        family="Rhythm",
    ),
    "gap_max": Kind("longest pause between {events}, in days", FEW, "days", family="Rhythm"),
    "gap_last": Kind("days between the last two {events}", FEW, "days", family="Rhythm"),
    "burstiness": Kind(
        "burstiness of {events}: −1 like a clock, 0 by chance, 1 in bursts",
        "fewer than three such events, or all at one time", "ratio", family="Rhythm",
    ),
    "busiest_day": Kind(
        "most {events} on one day", NO_EVENT, "events", family="Rhythm"
    ),
    "sessions": Kind(
        "sessions of {events} {window}", NO_EVENT, "sessions", windows=BY_TIME, family="Sessions"
    ),
    "session_events": Kind(
        "{events} a session {window}", "no such event in the window", "events", windows=BY_TIME,
        family="Sessions",
    ),
    "session_minutes": Kind(
        "usual length of a session of {events} {window}, in minutes",
        "no such event in the window", "minutes", windows=BY_TIME, family="Sessions",
    ),
    "sum": Kind(
        "total {of} of {events} {window}", NO_EVENT, reads=NUMBER, windows=BOTH,
        family="Numbers",
    ),
    "mean": Kind(
        "average {of} of {events} {window}", NO_VALUE, reads=NUMBER, windows=BOTH,
        family="Numbers",
    ),
    "std": Kind(
        "spread of {of} of {events} {window}", "fewer than two such events with a value",
        reads=NUMBER, windows=BOTH, family="Numbers",
    ),
    "min": Kind(
        "smallest {of} of {events} {window}", NO_VALUE, reads=NUMBER, windows=BOTH,
        family="Numbers",
    ),
    "max": Kind(
        "largest {of} of {events} {window}", NO_VALUE, reads=NUMBER, windows=BOTH,
        family="Numbers",
    ),
    "slope": Kind(
        "change of {of} of {events} a day {window}",
        "fewer than two such events with a value, or all at one time", reads=NUMBER,
        windows=BOTH, family="Numbers",
    ),
    "zero_share": Kind(
        "share of {events} with {of} 0 {window}", NO_VALUE, "share", reads=NUMBER,
        windows=BOTH, family="Numbers",
    ),
    "last_number": Kind(
        "{of} at the last {event}", "no such event with a value yet", reads=NUMBER,
        family="Numbers",
    ),
    "last_change": Kind(
        "step of {of} between the last two {events}",
        "fewer than two such events with a value", reads=NUMBER, family="Numbers",
    ),
    "changes": Kind(
        "changes of {of} from one of the {events} to the next {window}", NO_EVENT, "changes",
        reads=NUMBER, windows=BY_TIME, family="Numbers",
    ),
    "distinct": Kind(
        "different values of {of} among {events} {window}", NO_EVENT, "different values",
        reads=CATEGORY, windows=BOTH, family="Categories",
    ),
    "last_level": Kind(
        "{of} at the last {event}", "no such event with the property yet, or its level is new",
        "level", reads=CATEGORY, levels="many", family="Categories",
    ),
    "level_share": Kind(
        "share of {events} with {of} {level} {window}",
        "no such event with the property in the window", "share", reads=CATEGORY,
        windows=BOTH, levels="one", family="Categories",
    ),
    "level_changes": Kind(
        "changes of {of} from one of the {events} to the next {window}", NO_EVENT, "changes",
        reads=CATEGORY, windows=BY_TIME, family="Categories",
    ),
    "peer_rate": Kind(
        "share of earlier customers with the same {of} for whom it came true",
        "nothing is known yet of customers with this level", "share", reads=CATEGORY,
        levels="rates", family="Peers",
    ),
    "days_until": Kind(
        "days until {of}", "no such date is known at the cutoff", "days", reads=TIME,
        family="Dates",
    ),
    "stated": Kind(
        "days since {of} was last stated", "no such date is known at the cutoff", "days",
        reads=TIME, family="Dates",
    ),
    "stage_now": Kind(
        "stage of the last event", "no event of a stage yet", "level", reads=STAGES,
        levels="many", family="Stages",
    ),
    "stage_days": Kind(
        "days in the present stage", "no event of a stage yet", "days", reads=STAGES,
        family="Stages",
    ),
    "stage_changes": Kind(
        "moves from one stage to another {window}", NO_EVENT, "moves", reads=STAGES,
        windows=BY_TIME, family="Stages",
    ),
    "stage_jumps": Kind(
        "moves that skip a stage {window}", NO_EVENT, "moves", reads=STAGES, windows=BY_TIME,
        family="Stages",
    ),
    "stage_regressions": Kind(
        "moves back to an earlier stage {window}", NO_EVENT, "moves", reads=STAGES,
        windows=BY_TIME, family="Stages",
    ),
    "stage_furthest": Kind(
        "furthest stage reached, counted from 1", "no event of a stage yet", "stage",
        reads=STAGES, family="Stages",
    ),
    "attribute_number": Kind(
        "the customer's {of}", "the attribute was not known at the cutoff", reads=NUMBER,
        source=ATTRIBUTES, family="Attributes",
    ),
    "attribute_level": Kind(
        "the customer's {of}", "the attribute was not known at the cutoff, or its level is new",
        "level", reads=CATEGORY, source=ATTRIBUTES, levels="many", family="Attributes",
    ),
    "attribute_days": Kind(
        "days until the customer's {of}", "the date was not known at the cutoff", "days",
        reads=TIME, source=ATTRIBUTES, family="Attributes",
    ),
    "attribute_peer_rate": Kind(
        "share of earlier customers with the same {of} for whom it came true",
        "nothing is known yet of customers with this level", "share", reads=CATEGORY,
        source=ATTRIBUTES, levels="rates", family="Peers",
    ),
    "weekday": Kind(
        "day of the week, 0 for Monday", "never missing", "day", source=MOMENT, family="Calendar"
    ),
    "day_of_month": Kind(
        "day of the month", "never missing", "day", source=MOMENT, family="Calendar"
    ),
    "month": Kind("month of the year", "never missing", "month", source=MOMENT, family="Calendar"),
}  # fmt: skip
"""Every kind by name."""
