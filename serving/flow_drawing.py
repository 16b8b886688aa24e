"""The flow of journeys and the intervals of effects, drawn as SVG.

Takes stages, transitions and numbers; gives pictures. Knows nothing about where they come from.

Stages stand from left to right in the order of the journey, each a bar as high as its visits are
many. What leads on is an arc above them, what leads back one below; an arc is as thick as it is
frequent.
"""

from collections.abc import Sequence
from math import sqrt

from markupsafe import Markup

from serving.drawing import line, percent, picture, tag, text
from serving.schemas_map import StageOut, TransitionOut

WIDTH, MIDDLE, HIGHEST = 960, 215, 60
"""Of the picture; where stages stand; and how high the tallest bar is."""
THICKEST, THINNEST = 22.0, 1.2
BELOW = 222
LONGEST_NAME = 14


def sankey(stages: Sequence[StageOut], moves: Sequence[TransitionOut]) -> Markup:
    """The flow between stages."""
    if not stages:
        return Markup("")
    step = WIDTH / len(stages)
    place = {stage.stage: (number + 0.5) * step for number, stage in enumerate(stages)}
    most_visits = max(stage.visits for stage in stages) or 1
    most_moves = max((move.times for move in moves), default=1)
    arcs = [
        _arc(place[move.source], place[move.target], move, most_moves)
        for move in sorted(moves, key=lambda move: -move.times)
    ]
    bars = [_bar(stage, place[stage.stage], most_visits, step) for stage in stages]
    told = "; ".join(f"{move.source} to {move.target} {move.times:,} times" for move in moves)
    return picture(
        "How customers move between stages", f"{told}.", *arcs, *bars,
        viewBox=f"0 0 {WIDTH} {MIDDLE + BELOW}", class_="flow",
    )  # fmt: skip


def _arc(begin: float, end: float, move: TransitionOut, most: int) -> Markup:
    """Above from left to right, below from right to left, the farther the higher."""
    back = end < begin
    thick = max(THICKEST * move.times / most, THINNEST)
    far = abs(end - begin) / WIDTH
    rise = (34 + 150 * sqrt(far)) * (1 if back else -1)
    edge = MIDDLE + (72.0 if back else -HIGHEST / 2 - 6)
    lean = min(14.0, abs(end - begin) / 6) * (-1 if back else 1)
    begin, end = begin + lean, end - lean
    path = (
        f"M{begin:.1f} {edge:.1f}C{begin:.1f} {edge + rise:.1f} {end:.1f} {edge + rise:.1f} "
        f"{end:.1f} {edge:.1f}"
    )
    tip = 5.0 if back else -5.0
    head = f"M{end - 5:.1f} {edge + tip:.1f}L{end:.1f} {edge:.1f}L{end + 5:.1f} {edge + tip:.1f}"
    kind = "back" if back else "on"
    parts = [
        tag(
            "title",
            f"{move.source} to {move.target}: {move.times:,} times by {move.customers:,} customers",
        ),
        tag("path", d=path, class_=f"arc {kind}", stroke_width=round(thick, 1)),
        tag("path", d=head, class_=f"head {kind}"),
    ]
    return tag("g", *parts)


def _bar(stage: StageOut, x: float, most: int, step: float) -> Markup:
    high = max(HIGHEST * stage.visits / most, 2.0)
    wide = min(46.0, step * 0.4)
    name = (
        stage.stage if len(stage.stage) <= LONGEST_NAME else f"{stage.stage[: LONGEST_NAME - 1]}…"
    )
    ground = MIDDLE
    return tag(
        "g",
        tag("title", f"{stage.stage}: {stage.visits:,} visits by {stage.customers:,} customers"),
        tag(
            "rect",
            x=x - wide / 2,
            y=ground - high / 2,
            width=wide,
            height=high,
            rx=3,
            class_="stage",
        ),
        text(x, MIDDLE + HIGHEST / 2 + 20, name, "middle", "lane-name"),
        text(x, MIDDLE + HIGHEST / 2 + 36, f"{stage.customers:,}", "middle"),
    )


def interval(
    effect: float, low: float, high: float, scale: tuple[float, float], hurts: bool
) -> Markup:
    """An effect as a dot with its interval as a whisker, all rows on one scale; the numbers stand
    beside it as text."""
    least, most = scale
    reach = (most - least) * 0.04 or 1.0
    least, most = least - reach, most + reach

    def across(value: float) -> str:
        return percent((value - least) / (most - least))

    kind = "worse" if hurts else "better"
    parts = [
        line(across(0.0), 0, across(0.0), 24, "axis"),
        line(across(low), 12, across(high), 12, f"whisker {kind}"),
        line(across(low), 7, across(low), 17, f"whisker {kind}"),
        line(across(high), 7, across(high), 17, f"whisker {kind}"),
        tag("circle", cx=across(effect), cy=12, r=5, class_=f"dot {kind}"),
    ]
    return tag("svg", *parts, width="100%", height=24, class_="interval", aria_hidden="true")
