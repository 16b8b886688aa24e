"""The reference page of the feature language, written from the kinds and the worked examples.

python tests/reference_page.py docs/features.md
"""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from worked_examples import ATTRIBUTES, CASES, CUTOFF, JOURNEY, SUPPORT, SUPPORT_CASES

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
    values: Sequence[tuple[Feature, float]]


EXAMPLES = (
    Example("shop", JOURNEY, CASES),
    Example("support", SUPPORT, SUPPORT_CASES),
)


def reference_page() -> str:
    """The page as Markdown."""
    journeys = [(example.title, example.journey) for example in EXAMPLES]
    parts = [HEAD, *(_journey(*pair) for pair in [*journeys, ("attributes", ATTRIBUTES)])]
    parts += [_family(family) for family in dict.fromkeys(k.family for k in KINDS.values())]
    return "\n".join(parts).rstrip() + "\n"


def _journey(title: str, table: str) -> str:
    lines = [line.strip() for line in table.strip().splitlines()]
    return f"\n**{title}**, asked at {CUTOFF}:\n\n" + "\n".join(lines) + "\n"


def _family(family: str) -> str:
    """One heading: its kinds, and every worked example of them."""
    kinds = {name: kind for name, kind in KINDS.items() if kind.family == family}
    lines = [f"\n## {family}\n", "| kind | unit | windows | missing |", "|---|---|---|---|"]
    for name, kind in kinds.items():
        windows = " or ".join(kind.windows) or "–"
        unit = kind.unit or "of the property"
        lines.append(f"| `{name}` | {unit} | {windows} | {kind.missing} |")
    lines += ["\n| example | says | worth |", "|---|---|---|"]
    for example in EXAMPLES:
        for feature, value in example.values:
            if feature.kind in kinds:
                worth = "missing" if math.isnan(value) else f"{value:.6g}"
                named = f"`{feature.name}` ({example.title})"
                lines.append(f"| {named} | {feature.description} | {worth} |")
    return "\n".join(lines)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(reference_page())
