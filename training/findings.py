"""What an audit or a pre-flight check can find: stable codes, severities, how a finding is told.

Takes counts and sentences from the checks; gives `Finding`, and its lines for a terminal. Knows
nothing about how anything is found.
"""

import textwrap
from dataclasses import asdict, dataclass, field
from typing import Any

from features.errors import ProblemError

WIDTH = 96
"""Columns of a terminal that are written on."""

STOP, LEAK, WARNING, NOTE = "stop", "leak", "warning", "note"
SEVERITIES = (STOP, LEAK, WARNING, NOTE)
"""After a stop nothing is fitted; a leak makes the scores worthless or the metrics untrue; a
warning has to be explained by a person; a note is worth knowing."""

CODES = {
    "L01": "a feature moves when the row's future changes",
    "L02": "what is fitted moves when something beyond the training part changes",
    "L03": "a feature holds its row's own label",
    "L04": "the cohort moves when the row's future changes",
    "L05": "one feature tells almost everything",
    "L06": "shuffled labels still score",
    "L07": "the labels look like noise",
    "L08": "the model is too good to be true",
    "L10": "an event occurs only around the outcome",
    "L11": "an event at the cutoff itself is the outcome",
    "L12": "a date on an event was written after the event",
    "L13": "a property is filled in hindsight",
    "L14": "events were stamped in bulk",
    "L15": "event times are rounded",
    "L16": "events precede the customer's beginning",
    "L20": "an undated attribute tells the outcomes apart",
    "L21": "an undated date knows the future",
    "L22": "an undated attribute is worth more at one age of the history",
    "L23": "a flag disagrees with the events",
    "L30": "one row stands in two parts",
    "L31": "customers are duplicated",
    "L32": "label windows reach into a later part",
    "L33": "labels are given before their window is over",
    "L34": "train and test can be told apart",
    "L35": "an id encodes time or outcome",
    "P01": "too few positives",
    "P02": "too short a history",
    "P03": "no recent data",
    "P04": "a single-valued outcome",
    "P05": "a source has gone quiet",
    "P06": "the cohort is too small",
    "P07": "an outcome that is very rare or very common",
    "P08": "the outcome's rate has changed",
    "P09": "most outcomes are unknown",
    "P10": "a single cutoff",
}
"""Every code an audit (L) or a pre-flight check (P) may print; a code keeps its meaning
for ever and is never used again."""


@dataclass(frozen=True)
class Finding:
    """One thing that a person has to know, with its evidence and its mends."""

    code: str
    severity: str
    subject: str
    """What it is about: a feature, an event, an attribute, or the problem."""
    says: str
    """One or two sentences with counts and dates."""
    mends: tuple[str, ...] = ()
    """One to three things to do; none for a note that asks for nothing."""
    evidence: dict[str, Any] = field(default_factory=dict)
    """The same counts for a machine; plain JSON."""

    def __post_init__(self) -> None:
        if self.code not in CODES or self.severity not in SEVERITIES:
            raise ValueError(f"unknown code or severity: {self.code} {self.severity}")

    @property
    def title(self) -> str:
        return CODES[self.code]

    def to_json(self) -> dict[str, Any]:
        """Plain data, with the title of the code."""
        return {"title": self.title, **asdict(self), "mends": list(self.mends)}


class StoppedError(ProblemError):
    """A finding that says stop, as an error."""

    def __init__(self, finding: Finding) -> None:
        mends = " ".join(f"{mend}." for mend in finding.mends)
        super().__init__(f"{finding.code} {finding.title}: {finding.says} {mends}")
        self.finding = finding


def tell(finding: Finding) -> list[str]:
    """A heading, what was found, and the mends, as lines for a terminal."""
    lines = [f"  {finding.code} {finding.severity}: {finding.title}"]
    lines += wrapped(finding.says, "      ")
    for mend in finding.mends:
        lines += wrapped(f"→ {mend}", "      ", "        ")
    return lines


def wrapped(text: str, indent: str, later: str | None = None) -> list[str]:
    """A paragraph as lines of at most `WIDTH` columns."""
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent if later is None else later,
        break_long_words=False,
        break_on_hyphens=False,
    )
