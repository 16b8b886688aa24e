"""The reference page of the feature language, written from the kinds themselves.

Takes worked examples (a journey as a table, features and their values); gives Markdown. The
examples are those that the spec tests hold both engines to. Knows nothing about models.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from features.feature import Feature
from features.kinds import KINDS

HEAD = """# The features

*Written by `make reference` from the kinds and the spec tests' examples; don't edit it.*

Every feature reads events with `event_time ≤ cutoff_time` and `recorded_time ≤ known_time`. A
window of time is half-open, `(cutoff − length, cutoff]`; a window of events is the last so many
such events. A business writes its own in a Python file that `[features] own` names:

```python
from features.durations import days
from features.language import events

FEATURES = [
    events("chat").having("outcome", "error").count(last=days(14)),
    events("login").over("account").days_active(last=days(7)),
    events().containing("refund", "cancel").recency(),
]
```

`events(names…)` chooses events; `.having(property, levels…)`, `.containing(words…)` and
`.over(group)` narrow or widen the choice; a method for each kind below makes the feature. Names,
sentences, units and the meaning of missing are derived.
"""


@dataclass(frozen=True)
class Example:
    """A journey, and what features are worth at a cutoff."""

    title: str
    journey: str
    cutoff: str
    values: Sequence[tuple[Feature, float]]


def reference_page(examples: Iterable[Example]) -> str:
    """The page as Markdown."""
    examples = list(examples)
    parts = [HEAD, *(_journey(example) for example in examples)]
    for family in dict.fromkeys(kind.family for kind in KINDS.values()):
        parts.append(_family(family, examples))
    return "\n".join(parts).rstrip() + "\n"


def _journey(example: Example) -> str:
    lines = [line.strip() for line in example.journey.strip().splitlines()]
    return f"\n**{example.title}**, at the cutoff {example.cutoff}:\n\n" + "\n".join(lines) + "\n"


def _family(family: str, examples: Sequence[Example]) -> str:
    kinds = {name: kind for name, kind in KINDS.items() if kind.family == family}
    lines = [f"\n## {family}\n", "| kind | unit | windows | missing |", "|---|---|---|---|"]
    for name, kind in kinds.items():
        windows = " or ".join(kind.windows) or "–"
        lines.append(f"| `{name}` | {kind.unit or 'of the property'} | {windows} | {kind.missing} |")
    lines += ["\n| example | says | worth |", "|---|---|---|"]
    for example in examples:
        for feature, value in example.values:
            if feature.kind in kinds:
                worth = "missing" if math.isnan(value) else f"{value:.6g}"
                lines.append(f"| `{feature.name}` ({example.title}) | {feature.description} | {worth} |")
    return "\n".join(lines)
