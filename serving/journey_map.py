"""The journey map of a champion, as the API gives it and as a page tells it.

Takes a model's stored map; gives a document, and what a page shows of it. Knows nothing about
HTTP.
"""

from collections.abc import Mapping
from typing import Any

from features.durations import DAY, HOUR, MINUTE, parse_moment
from models.journey_map import ALL, CHANNEL, PERIOD, PERSONA, Map, part_of
from serving.champions import Loaded
from serving.flow_drawing import interval, sankey
from serving.page_words import date, share
from serving.refusals import NotFoundError
from serving.schemas_map import JourneyMapOut, MapChoices, StageOut, TouchpointOut

ASSOCIATION = (
    "An association, found by comparing customers in the same situation; what nobody recorded "
    "can still be behind it, so try a change on some customers before relying on it. A page that "
    "customers choose themselves may stand here because it is where they turn back."
)
"""Said wherever an effect is shown."""

CUTS = (PERSONA, CHANNEL, PERIOD)
MOST_ARROWS = 14
"""Transitions that are drawn and listed first; the others stand in the table below them."""
SHOWN = 12
"""Touchpoints that a page shows before the reader asks for all."""


def map_answer(problem: str, loaded: Loaded, chosen: Mapping[str, str | None]) -> JourneyMapOut:
    """The part of a champion's map that is asked for.

    Parameters
    ----------
    chosen
        At most one persona, channel or period; without one, all customers.

    Raises
    ------
    NotFoundError
        When the model carries no map, or none of these customers.
    """
    found: Map | None = loaded.model.journey_map
    if found is None:
        raise NotFoundError(
            "journey_map_unknown",
            "The champion was trained before there was a journey map. Train it again.",
        )
    given = [(by, value) for by, value in chosen.items() if value]
    if len(given) > 1:
        raise NotFoundError(
            "part_unknown", "The map is cut one way at a time: by persona, channel or period."
        )
    by, value = given[0] if given else (ALL, None)
    part = part_of(found, by, value)
    if part is None:
        raise NotFoundError("part_unknown", f"The map has no such {by}.")
    return JourneyMapOut(
        problem=problem, model=loaded.name, model_version=loaded.version,
        outcome=found["outcome"], wanted=found["wanted"], since=found["from"],
        until=found["until"], stages_are=found["stages_are"], compared=found["compared"],
        label=ASSOCIATION, choices=MapChoices(**{f"{cut}s": _values(found, cut) for cut in CUTS}),
        **part,
    )  # fmt: skip


def _values(found: Map, by: str) -> list[str]:
    return [part["value"] for part in found["parts"] if part["by"] == by]


def map_view(shown: JourneyMapOut) -> dict[str, Any]:
    """What the page shows, in words and pictures."""
    counted = [one for one in shown.touchpoints if one.effect is not None]
    ends = [0.0, *(end for one in counted for end in (one.low or 0.0, one.high or 0.0))]
    scale = (min(ends), max(ends))
    lost = sum(one.lost for one in shown.leaks)
    return {
        "shown": shown,
        "since": date(parse_moment(shown.since) // DAY * DAY),
        "until": date(parse_moment(shown.until) // DAY * DAY),
        "drawn": sankey(shown.stages, shown.transitions[:MOST_ARROWS]),
        "arrows": shown.transitions[:MOST_ARROWS],
        "more_arrows": shown.transitions[MOST_ARROWS:],
        "times": [_time(stage) for stage in shown.stages],
        "lost": lost,
        "kept": sum(one.kept for one in shown.leaks),
        "worst": max(shown.leaks, key=lambda one: one.lost, default=None) if lost else None,
        "friction": [_row(one, scale) for one in shown.touchpoints if one.surely and one.hurts],
        "others": [_row(one, scale) for one in shown.touchpoints if not (one.surely and one.hurts)],
        "fooled": _fooled(shown),
        "rate": share(shown.rate),
    }


def _row(one: TouchpointOut, scale: tuple[float, float]) -> Mapping[str, Any]:
    drawn = None
    if one.effect is not None and one.low is not None and one.high is not None:
        drawn = interval(one.effect, one.low, one.high, scale, one.hurts)
    return {"one": one, "drawn": drawn}


def _time(stage: StageOut) -> Mapping[str, Any]:
    days = stage.days
    told = None if days is None else {n: spell(getattr(days, n)) for n in ("low", "median", "high")}
    return {"stage": stage.stage, "visits": stage.visits, **(told or {"median": None})}


def _fooled(shown: JourneyMapOut) -> TouchpointOut | None:
    """The touchpoint that a plain comparison would have blamed first, if the map does not."""
    first = min(shown.touchpoints, key=lambda one: one.unadjusted_rank, default=None)
    if first is None or first.unadjusted is None or first.surely:
        return None
    harm = -first.unadjusted if shown.wanted else first.unadjusted
    return first if harm > 0 else None


def spell(days: float) -> str:
    """How long something lasted: `5 minutes`, `3.2 hours`, `12 days`."""
    length = days * DAY
    for unit, name in ((DAY, "day"), (HOUR, "hour"), (MINUTE, "minute")):
        if length >= unit:
            many = length / unit
            said = f"{many:.0f}" if many >= 10 else f"{many:.2g}"
            return f"{said} {name}{'' if said == '1' else 's'}"
    return "no time" if length == 0 else "under a minute"
