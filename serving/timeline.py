"""A journey as a picture: a lane for each stage, a dot for each event, time from left to right.

Takes the moments and names of events, the business's stages, which events are marked, and what
people did; gives SVG that is as wide as its page while its text keeps its size, so it can be read
on a phone. Knows nothing about scores or stores.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from markupsafe import Markup

from features.durations import DAY, format_moment, parse_moment
from serving.drawing import line, percent, picture, tag, text
from serving.page_words import MONTHS, date

SLOTS = 500
"""Places along a lane; events at the same place are one dot."""
NEAR = 0.06
"""Share of the width within which marks would touch on a phone; the later one stands higher."""
LEFT, RIGHT = 0.02, 0.97
"""Where time begins and ends, so that marks at the ends are whole."""

TITLE, LEVEL, DOTS, GAP = 20, 22, 16, 10
"""Heights in pixels: of a lane's name, a row of marks, the dots, and what is below them."""
AXIS = 24

ELSEWHERE = "in no stage"
ACTIONS = "what people did"

AFTER, NEAR_ENOUGH = 0.15, 0.33
"""Actions may come long after the histories end: then they stand in this share of their length
behind it, in their order; up to the other share, time goes on to the last of them."""
DIAMOND = "M0 -7 L7 0 L0 7 L-7 0 Z"


@dataclass(frozen=True)
class Mark:
    """An event that is singled out."""

    number: int
    """As it stands in the list beside the picture."""
    moment: int
    event: str
    raises: bool | None
    """Whether it raises the score; None where there would be none without it."""
    says: str


@dataclass
class Lane:
    """One stage's events."""

    name: str
    moments: list[int] = field(default_factory=list)
    spells: list[tuple[int, int]] = field(default_factory=list)
    """When the journey stood in this stage: from its event to the next event of another."""
    marks: list[tuple[Mark, int]] = field(default_factory=list)
    """Each with its row, 0 the lowest."""

    @property
    def height(self) -> int:
        rows = max((row for _, row in self.marks), default=-1) + 1
        return TITLE + rows * LEVEL + DOTS + GAP


def timeline(
    events: Sequence[tuple[int, str]],
    stages: Mapping[str, Sequence[str]],
    marks: Sequence[Mark],
    until: int,
    actions: Sequence[tuple[int, str]] = (),
) -> Markup:
    """A journey up to a moment.

    Parameters
    ----------
    events
        Moment and name of each, in any order.
    stages
        The events of each stage; a lane each, in this order.
    actions
        What people did: moment and words of each, in any order; they may come after the end.
    """
    ordered, acts = sorted(events), sorted(actions)
    until = max(until, ordered[-1][0] if ordered else until)
    first = min([*(moment for moment, _ in (*ordered[:1], *acts[:1])), until])
    since = min(first, until - DAY)
    lanes = _lanes(ordered, stages, until)
    placed, right = _behind(acts, since, until)
    _place(lanes, marks, stages, since, right)
    height = sum(lane.height for lane in lanes) + (TITLE + DOTS + GAP) * bool(acts) + AXIS
    parts, top = [_axis(since, until, right, height)], 0
    for lane in lanes:
        parts.append(_drawn(lane, top, since, right))
        top += lane.height
    if acts:
        parts.append(_acts(placed, top, since, right))
    title = f"The journey from {date(since)} to {date(until)}"
    says = _says(lanes, marks, len(acts))
    return picture(title, says, *parts, width="100%", height=height, class_="lanes")


def _behind(
    acts: Sequence[tuple[int, str]], since: int, until: int
) -> tuple[list[tuple[int, str]], int]:
    """Where each action is drawn, and the moment at which the picture ends."""
    later = [act for act in acts if act[0] > until]
    if not later or later[-1][0] - until <= NEAR_ENOUGH * (until - since):
        return list(acts), max(until, acts[-1][0]) if acts else until
    room = int(AFTER * (until - since))
    steps = [until + room * (place + 1) // len(later) for place in range(len(later))]
    behind = [(step, says) for step, (_, says) in zip(steps, later, strict=True)]
    return [*acts[: len(acts) - len(later)], *behind], until + room


def _acts(acts: Sequence[tuple[int, str]], top: int, since: int, right: int) -> Markup:
    """The lane of what people did: a diamond each, or one for those at the same place."""
    ground, many = top + TITLE + DOTS / 2, len(acts)
    at: dict[float, list[str]] = {}
    for moment, says in acts:
        at.setdefault(_slot(moment, since, right), []).append(says)
    parts = [
        text("0", top + 14, ACTIONS, class_="lane-name"),
        text("100%", top + 14, f"{many:,} action{'s' * (many != 1)}", "end"),
        line("0", ground, "100%", ground, "grid"),
    ]
    for place, told in at.items():
        shape = tag("path", tag("title", "; ".join(told)), d=DIAMOND, class_="act")
        parts.append(tag("svg", shape, x=percent(place), y=ground))
    return Markup("").join(parts)


def _lanes(events: Sequence[tuple[int, str]], stages: Mapping[str, Sequence[str]], until: int) -> list[Lane]:  # fmt: skip  # noqa: E501
    lanes = {name: Lane(name) for name in stages}
    rest = Lane(ELSEWHERE if stages else "events")
    stage_of = {event: stage for stage, names in stages.items() for event in names}
    entered: list[tuple[int, str]] = []
    for moment, event in events:
        stage = stage_of.get(event)
        (rest if stage is None else lanes[stage]).moments.append(moment)
        if stage is not None and (not entered or entered[-1][1] != stage):
            entered.append((moment, stage))
    for (begin, stage), (end, _) in pairwise([*entered, (until, "")]):
        lanes[stage].spells.append((begin, end))
    return [*lanes.values(), *([rest] if rest.moments or not stages else [])]


def _place(
    lanes: Sequence[Lane],
    marks: Sequence[Mark],
    stages: Mapping[str, Sequence[str]],
    since: int,
    until: int,
) -> None:
    """Put each mark into its lane, in the lowest row where it touches no other one."""
    by_name = {lane.name: lane for lane in lanes}
    for mark in sorted(marks, key=lambda each: each.moment):
        stage = next((s for s, names in stages.items() if mark.event in names), lanes[-1].name)
        lane, here = by_name[stage], _across(mark.moment, since, until)
        taken = {
            row
            for other, row in lane.marks
            if abs(_across(other.moment, since, until) - here) < NEAR
        }
        lane.marks.append((mark, next(row for row in range(len(marks)) if row not in taken)))


def _across(moment: int, since: int, until: int) -> float:
    """Where a moment lies, as a share of the width."""
    return LEFT + (RIGHT - LEFT) * (moment - since) / (until - since)


def _drawn(lane: Lane, top: int, since: int, until: int) -> Markup:
    ground = top + lane.height - GAP - DOTS / 2
    many = len(lane.moments)
    counted = "no event" if not many else f"{many:,} event{'s' * (many != 1)}"
    parts = [
        text("0", top + 14, lane.name, class_="lane-name"),
        text("100%", top + 14, counted, "end"),
        line("0", ground, "100%", ground, "grid"),
    ]
    parts += [
        line(percent(begin), ground, percent(end), ground, "spell")
        for begin, end in _merged(lane.spells, since, until)
    ]
    parts += [
        tag("circle", cx=percent(place), cy=ground, r=3.5, class_="event")
        for place in sorted({_slot(moment, since, until) for moment in lane.moments})
    ]
    parts += [
        _marked(mark, percent(_across(mark.moment, since, until)), ground, row)
        for mark, row in sorted(lane.marks, key=lambda each: -each[1])  # no stem over a mark
    ]
    return Markup("").join(parts)


def _slot(moment: int, since: int, until: int) -> float:
    return round(_across(moment, since, until) * SLOTS) / SLOTS


def _merged(spells: Sequence[tuple[int, int]], since: int, until: int) -> list[tuple[float, float]]:
    """Spells as shares of the width; those that would touch are one."""
    found: list[tuple[float, float]] = []
    for begin, end in spells:
        left, right = (_slot(moment, since, until) for moment in (begin, end))
        if found and left - found[-1][1] <= 1 / SLOTS:
            found[-1] = (found[-1][0], right)
        else:
            found.append((left, right))
    return found


def _marked(mark: Mark, x: str, ground: float, row: int) -> Markup:
    y = ground - DOTS / 2 - 10 - row * LEVEL
    kind = "last" if mark.raises is None else "raises" if mark.raises else "lowers"
    return tag(
        "g",
        tag("title", mark.says),
        line(x, ground, x, y, "stem"),
        *_edge(mark, x, y),
        tag("text", mark.number, x=x, y=y + 4, text_anchor="middle", class_="number"),
        class_=f"mark {kind}",
    )


def _edge(mark: Mark, x: str, y: float) -> list[Markup]:
    """Round what raises the score, square what lowers it: colour alone tells it not to all."""
    if mark.raises is False:
        box = tag("rect", x=-9, y=-9, width=18, height=18, rx=3, class_="disc")
        return [tag("svg", box, x=x, y=y)]
    rings = [9] if mark.raises else [10, 7]
    return [tag("circle", cx=x, cy=y, r=r, class_="disc") for r in rings]


def _axis(since: int, until: int, right: int, height: int) -> Markup:
    """Times up to where the histories end, and a line there if the picture goes on."""
    parts = []
    if right > until:
        end = percent(_across(until, since, right))
        parts.append(line(end, 0, end, height - AXIS, "end"))
    for moment, name in ticks_of_time(since, until):
        place = _across(moment, since, right)
        x = percent(place)
        parts.append(line(x, 0, x, height - AXIS, "grid"))
        anchor = "start" if place < 0.1 else "end" if place > 0.9 else "middle"
        parts.append(text(x, height - 6, name, anchor))
    return Markup("").join(parts)


MONTHS_APART = (1, 2, 3, 6, 12, 24, 60, 120, 240, 600, 1200, 6000, 100_000)


def ticks_of_time(since: int, until: int, most: int = 5) -> list[tuple[int, str]]:
    """At most so many moments between two, at beginnings of days, months or years, with names."""
    days = (until - since) / DAY
    if days <= 60:
        step = next(n for n in (1, 2, 7, 14, 28) if days / n < most or n == 28)
        first = -(-since // DAY)
        return [(day * DAY, date(day * DAY)[:-5]) for day in range(first, until // DAY + 1, step)]
    months = next(n for n in MONTHS_APART if days / 30.4 / n < most)
    year, month = int(format_moment(since)[:4]), 1
    year = max(year - year % max(months // 12, 1), 1)
    found: list[tuple[int, str]] = []
    while year <= 9999:
        moment = parse_moment(f"{year:04d}-{month:02d}-01")
        if moment > until:
            break
        if moment >= since:
            found.append((moment, f"{MONTHS[month - 1]} {year}"))
        year, month = year + (month - 1 + months) // 12, (month - 1 + months) % 12 + 1
    return found


def _says(lanes: Sequence[Lane], marks: Sequence[Mark], n_actions: int) -> str:
    """The picture for who can't see it."""
    told = "; ".join(f"{lane.name}: {len(lane.moments)} events" for lane in lanes)
    if n_actions:
        told += f"; {ACTIONS}: {n_actions}"
    if not marks:
        return f"{told}."
    return f"{told}. Marked are {len(marks)} events that moved the score most, listed below."
