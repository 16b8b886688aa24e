"""How many sources and names of properties a workspace may have: whatever names a new one beyond
that is set aside alone, and all that names known ones goes on.

Takes what rows name and what is known already; gives the rows that are beyond. Knows nothing about
stores or HTTP.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TypeAlias

TOO_MANY_SOURCES, TOO_MANY_NAMES = "too_many_sources", "too_many_property_names"
WHY = {
    TOO_MANY_SOURCES: "names a new source, and the workspace has as many as it may: use one that "
    "it has, or raise MILEPOST_MAX_SOURCES and replay the row",
    TOO_MANY_NAMES: "names a new property, and the workspace has as many as it may: a name that "
    "holds an id or a date belongs into a value; else raise MILEPOST_MAX_PROPERTIES and replay the "
    "row",
}
"""What each reason says to a person."""

Name: TypeAlias = tuple[int, str]
"""A property: of events or of statements, and what it is called."""


@dataclass(frozen=True)
class Bounds:
    """Of one workspace."""

    sources: int = 1_000
    properties: int = 10_000
    """Distinct names of events' and statements' properties together."""


def beyond(
    rows: Iterable[tuple[str, Collection[Name]]],
    sources: Collection[str],
    names: Collection[Name],
    bounds: Bounds,
) -> dict[int, str]:
    """The rows that name more than there is room for, by their place, and why.

    A row that is beyond takes no room from those behind it.

    Parameters
    ----------
    rows
        The source of each, and the properties that it names.
    sources, names
        Those that are known already; they may be more than `bounds`, when these were lowered.
    """
    sources, names = set(sources), set(names)
    over = {}
    for place, (source, named) in enumerate(rows):
        new = set(named) - names
        if source not in sources and len(sources) >= bounds.sources:
            over[place] = TOO_MANY_SOURCES
        elif new and len(names) + len(new) > bounds.properties:
            over[place] = TOO_MANY_NAMES
        else:
            sources.add(source)
            names |= new
    return over
