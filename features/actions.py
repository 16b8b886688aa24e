"""Actions: what people of the business did about a customer, as events of the journey.

Gives the names of such events and the rule that a model does not read them unless the business
says so (`[features] actions = true`). An action follows the score: a call is made because the
customer looked lost. A model that learned from calls would find that calls precede leaving, and
would score a customer higher for having been called. So actions are no event of a cohort, a
count, a pause or a stage, in training and in serving alike. Nor do they say how far histories
reach: an action is written down now, while the sources may end long before. Knows nothing about
who writes actions down or where they are kept.
"""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

KINDS = ("call", "email", "offer", "training", "discount")
"""What can be done."""

FOLLOW_UP = "action_outcome"
"""The event that says what came of an action later."""

ACTION_EVENTS = frozenset((*(f"action_{kind}" for kind in KINDS), FOLLOW_UP))


def event_of(kind: str) -> str:
    """The event of a kind of action: `action_call`."""
    return f"action_{kind}"


def is_action(event: str) -> bool:
    """Whether an event of this name is an action."""
    return event in ACTION_EVENTS


def without_actions(tables: Sequence[pa.Table]) -> list[pa.Table]:
    """Tables of events, with a column `event`, without the rows that are actions.

    Nor is there a table of which nothing is left, or its columns would be properties of events.
    """
    names = pa.array(sorted(ACTION_EVENTS))
    kept = [table.filter(pc.invert(pc.is_in(table["event"], names))) for table in tables]
    pairs = zip(tables, kept, strict=True)
    return [some for table, some in pairs if some.num_rows or not table.num_rows]
