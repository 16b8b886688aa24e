"""What the leakage audit found of these histories, remembered so that it is asked once.

Takes a business, a problem and the digest of histories; gives the audit's findings, from the
workspace where the same question was answered before. Knows nothing about how leaks are found.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from features.config import Business
from training.audit import Audit
from training.audit_report import tried
from training.findings import LEAK, Finding
from training.label_table import read_labels

AUDITED = "audit.json"
"""The file of a problem's folder."""


def question_of(business: Business, name: str, digest: str) -> str:
    """A digest of all that an audit's answer depends on, but for Milepost's own code.

    Parameters
    ----------
    digest
        Of the histories.
    """
    problem, own = business.problem(name), business.features.own
    asked = {
        "digest": digest,
        "problem": problem.model_dump(mode="json", by_alias=True),
        "labels": problem.labels and read_labels(business, problem.labels).digest,
        "features": business.features.model_dump(mode="json"),
        "own": own and Path(own).read_text(),
        "stages": business.stages,
        "extracted_at": business.extracted_at,
    }
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Audited:
    """What an audit found and what it tried, as it is remembered."""

    findings: tuple[Finding, ...]
    tried: str

    @property
    def leaks(self) -> tuple[Finding, ...]:
        """The findings that forbid a promotion."""
        return tuple(finding for finding in self.findings if finding.severity == LEAK)

    @property
    def clean(self) -> bool:
        return not self.leaks

    @property
    def account(self) -> str:
        """How many leaks and other findings there are, in a few words."""
        n, others = len(self.leaks), len(self.findings) - len(self.leaks)
        return (
            f"{n or 'no'} leak{'s' * (n != 1)}, {others or 'no'} other finding{'s' * (others != 1)}"
        )


def remember(folder: Path, question: str, found: Audit) -> Audited:
    """Keep an audit in a problem's folder."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {"question": question, "tried": tried(found), **found.to_json()}
    (folder / AUDITED).write_text(json.dumps(content, indent=1, sort_keys=True))
    return Audited(found.findings, tried(found))


def recall(folder: Path, question: str) -> Audited | None:
    """The audit of the same question; None where there was none."""
    try:
        content = json.loads((folder / AUDITED).read_text())
    except (OSError, ValueError):
        return None
    if content.get("question") != question:
        return None
    keys = ("code", "severity", "subject", "says", "evidence")
    findings = tuple(
        Finding(**{key: item[key] for key in keys}, mends=tuple(item["mends"]))
        for item in content["findings"]
    )
    return Audited(findings, content["tried"])
