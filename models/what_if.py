"""What if: a score with events or attributes that have not come about.

Takes a model, a journey and what is supposed; gives the score with and without it. Only what the
business can influence and what has been seen before is supposed, all else is refused with a
reason. It is an association that the model has learned, not the effect of doing it. Knows
nothing about stores or HTTP.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from features.categorical import Categorical
from features.config import Actionable
from features.cutoffs import Moments, judge, outside, with_windows
from features.durations import DAY, MISSING_TIME, format_moment
from features.engine import Matrix, Rows
from features.errors import MilepostError, nearest
from features.event_log import CATEGORY, NUMBER, EventLog, Ints, build_log
from features.groups import MEMBER
from models.contract import Contract
from models.fitted import FittedModel
from models.seen import Values

MOST_SUPPOSED = 50
"""Events of one question."""

Given = Mapping[str, float | str | int]
"""Properties: numbers, text, and dates in microseconds UTC."""

ASSOCIATION = (
    "What the model has seen of customers with and without it, not what doing it would change."
)


class WhatIfError(MilepostError):
    """What was supposed can't be answered; `code` says why."""

    code = "what_if_refused"

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Supposed:
    """One event that has not come about."""

    event: str
    properties: Given = field(default_factory=dict)
    event_time: int | None = None
    """Microseconds UTC; the moment of the score unless given."""


@dataclass(frozen=True)
class WhatIf:
    """The answer: probabilities, 0 to 1."""

    without: float
    supposing: float
    points: float
    """The difference in percentage points, signed."""
    label: str = ASSOCIATION


def what_if(
    model: FittedModel,
    log: EventLog,
    attributes: EventLog,
    cutoff_time: int,
    known_time: int,
    events: Sequence[Supposed] = (),
    about: Given | None = None,
) -> WhatIf:
    """Score one customer with and without what is supposed.

    Parameters
    ----------
    log, attributes
        One customer's.
    events
        What would have happened, at or after the last known event and up to the cutoff.
    about
        Attributes that would have other values.

    Raises
    ------
    WhatIfError
        When it is not actionable, not plausible, or would leave nothing to ask.
    """
    contract = model.contract
    if not events and not about:
        raise WhatIfError("nothing_supposed", "Nothing is supposed; give events or attributes.")
    if len(events) > MOST_SUPPOSED:
        raise WhatIfError(
            "too_many_supposed", f"{len(events)} events are supposed; at most {MOST_SUPPOSED} may."
        )
    for each in events:
        _check_event(contract, each)
    _check_attributes(contract, about or {})
    _check_times(log, events, cutoff_time, known_time)
    _check_number(contract, log, events, cutoff_time)
    supposed = _with_events(log, events, cutoff_time, known_time)
    new_about = _with_attributes(attributes, about or {}, cutoff_time, known_time)
    before = _vector(model, log, attributes, cutoff_time, known_time)
    after = _vector(model, supposed, new_about, cutoff_time, known_time)
    _check_familiar(model, after, supposed.n_events)
    without, supposing = (float(p) for p in model.probabilities(np.concatenate([before, after])))
    return WhatIf(without, supposing, 100 * (supposing - without))


def _check_event(contract: Contract, each: Supposed) -> None:
    known, declared = contract.seen.events, contract.actionable
    if each.event not in known:
        raise WhatIfError(
            "unknown_event",
            f"The model has never seen an event {each.event!r}.{nearest(each.event, known)}",
        )
    if declared.events is not None and each.event not in declared.events:
        raise WhatIfError(
            "not_actionable",
            f"{each.event!r} is nothing that the business says it can bring about; see "
            f"[actionable] in journey.toml.{nearest(each.event, declared.events)}",
        )
    values = known[each.event].values
    for name, value in each.properties.items():
        if name not in values.names:
            raise WhatIfError(
                "unknown_property",
                f"No {each.event!r} that the model has seen had a property {name!r}."
                f"{nearest(name, values.names)}",
            )
        if declared.properties is not None and name not in declared.properties:
            raise WhatIfError(
                "not_actionable", f"The property {name!r} is not declared under [actionable]."
            )
        _check_value(f"{name} of {each.event}", name, value, values, each.event_time)


def _check_attributes(contract: Contract, about: Given) -> None:
    declared: Actionable = contract.actionable
    for name, value in about.items():
        if name not in contract.seen.attributes.names:
            raise WhatIfError(
                "unknown_attribute",
                f"The model has never seen an attribute {name!r}."
                f"{nearest(name, contract.seen.attributes.names)}",
            )
        if name not in declared.attributes:
            raise WhatIfError(
                "not_actionable",
                f"The attribute {name!r} is nothing that the business says it can change; see "
                f"[actionable] in journey.toml.{nearest(name, declared.attributes)}",
            )
        _check_value(f"The attribute {name}", name, value, contract.seen.attributes, None)


def _check_value(
    what: str, name: str, value: float | str | int, values: Values, event_time: int | None
) -> None:
    """Refuse a value of another kind than was seen, or outside what was seen."""
    if name in values.levels:
        known = values.levels[name]
        if not isinstance(value, str):
            raise WhatIfError("wrong_kind", f"{what} is {value!r}; it is text.")
        if known is not None and value not in known:
            raise WhatIfError(
                "value_never_seen", f"{what} has never been {value!r}.{nearest(value, known)}"
            )
        return
    if isinstance(value, bool | str) or value != value:
        raise WhatIfError("wrong_kind", f"{what} is {value!r}; it is a number or a date.")
    low, high = values.numbers.get(name) or values.times[name]
    if name in values.times:
        if event_time is None:
            return
        value = (value - event_time) / DAY
    if not low <= value <= high:
        unit = " days after the event" if name in values.times else ""
        raise WhatIfError(
            "value_never_seen",
            f"{what} would be {value:g}{unit}; it has been between {low:g} and {high:g}.",
        )


def _check_times(
    log: EventLog, events: Sequence[Supposed], cutoff_time: int, known_time: int
) -> None:
    seen = (log.event_time <= cutoff_time) & (log.recorded_time <= known_time)
    last = int(log.event_time[seen].max()) if seen.any() else None
    for each in events:
        moment = cutoff_time if each.event_time is None else each.event_time
        if last is not None and moment < last:
            raise WhatIfError(
                "in_the_past",
                f"{each.event!r} is supposed before the last known event, which was at "
                f"{format_moment(last)}; what has happened can't be changed.",
            )
        if moment > cutoff_time:
            raise WhatIfError(
                "after_the_score",
                f"{each.event!r} is supposed after the moment of the score, "
                f"{format_moment(cutoff_time)}; a score reads nothing later.",
            )


def _check_number(
    contract: Contract, log: EventLog, events: Sequence[Supposed], cutoff_time: int
) -> None:
    """Refuse more events on one day than any customer had."""
    for name in dict.fromkeys(each.event for each in events):
        moments = [
            cutoff_time if each.event_time is None else each.event_time
            for each in events
            if each.event == name
        ]
        there = log.event_time[log.event.codes == log.event.code(name)]
        for day in {moment // DAY for moment in moments}:
            n = sum(moment // DAY == day for moment in moments) + int((there // DAY == day).sum())
            most = contract.seen.events[name].busiest_day
            if n > most:
                raise WhatIfError(
                    "more_than_seen",
                    f"There would be {n} events {name!r} on one day; no customer had more than "
                    f"{most}.",
                )


def _check_familiar(model: FittedModel, vector: Matrix, n_events: int) -> None:
    found = model.contract.familiarity.refused(vector, np.array([n_events]))[0]
    if found is not None:
        told = "; ".join(model.explainer.unfamiliar(vector[0]))
        raise WhatIfError(
            "unfamiliar", f"With it {found[1]}, so there is no score to compare. {told}".strip()
        )


def _vector(
    model: FittedModel, log: EventLog, attributes: EventLog, cutoff_time: int, known_time: int
) -> Matrix:
    rows = Rows(np.zeros(1, np.int64), np.array([cutoff_time]), np.array([known_time]))
    problem = model.contract.problem
    moments: Moments = with_windows(problem, rows, log, attributes)
    verdict = int(judge(problem, log, attributes, moments)[0])
    refused = outside(problem, verdict)
    if refused is not None:
        code, why = refused
        raise WhatIfError(code, f"There is no score to compare: {why}.")
    return model.vectors(log, attributes, rows)


def _with_events(
    log: EventLog, events: Sequence[Supposed], cutoff_time: int, known_time: int
) -> EventLog:
    """The journey with the supposed events, known in time; they count for its groups too."""
    if not events:
        return log
    n, who = len(events), log.customers[0]
    moments = [cutoff_time if e.event_time is None else e.event_time for e in events]
    more = _Rows(np.array(moments, np.int64), [e.event for e in events], known_time)
    groups = {over: _last_level(log, over) for over in log.groups}
    member = {over: name for over, name in groups.items() if name is not None}
    given = [{**member, **e.properties} for e in events]
    made = _joined(log, [who] * n, more, given)
    joined = {
        over: group
        if over not in member
        else _joined(group, [member[over]] * n, more, [{**each, MEMBER: who} for each in given])
        for over, group in log.groups.items()
    }
    return replace(made, groups=joined)


def _with_attributes(
    attributes: EventLog, about: Given, cutoff_time: int, known_time: int
) -> EventLog:
    """The attributes with one more statement, of what is supposed."""
    if not about:
        return attributes
    name = attributes.event.levels[0] if attributes.event.levels else ""
    more = _Rows(np.array([cutoff_time]), [name], known_time)
    return _joined(attributes, [attributes.customers[0]], more, [about])


@dataclass(frozen=True)
class _Rows:
    """Rows that a log gets."""

    moments: Ints
    events: list[str]
    known_time: int


def _joined(log: EventLog, whose: list[str], more: _Rows, given: Sequence[Given]) -> EventLog:
    """A log with some more rows of its customers, sorted as every log is."""
    kinds = log.kinds
    for properties in given:
        for name, value in properties.items():
            kinds.setdefault(name, CATEGORY if isinstance(value, str) else NUMBER)
    numbers, categories, times = {}, {}, {}
    for name, kind in kinds.items():
        new = [properties.get(name) for properties in given]
        if kind == NUMBER:
            old = log.numbers.get(name, np.full(log.n_events, np.nan))
            numbers[name] = np.append(old, [np.nan if v is None else float(v) for v in new])
        elif kind == CATEGORY:
            old_texts = _texts(log.categories.get(name), log.n_events)
            categories[name] = old_texts + [None if v is None else str(v) for v in new]
        else:
            column = [MISSING_TIME if v is None else int(v) for v in new]
            times[name] = np.append(log.times[name], np.array(column, np.int64))
    owners = np.repeat(np.arange(log.n_customers), np.diff(log.offsets)).tolist()
    made = build_log(
        [*(log.customers[place] for place in owners), *whose],
        np.append(log.event_time, more.moments),
        [*(log.event.levels[code] for code in log.event.codes.tolist()), *more.events],
        np.append(log.recorded_time, np.full(len(whose), more.known_time, np.int64)),
        numbers,
        categories,
        times,
    )
    return made.aligned(log.customers)


def _last_level(log: EventLog, name: str) -> str | None:
    column = log.categories.get(name)
    given = [] if column is None else column.codes[column.codes >= 0].tolist()
    return column.levels[given[-1]] if column is not None and given else None


def _texts(column: Categorical | None, n: int) -> list[str | None]:
    if column is None:
        return [None] * n
    return [None if code < 0 else column.levels[code] for code in column.codes.tolist()]
