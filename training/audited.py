"""What the leakage audit found of these histories, remembered so that it is asked once.

Takes a business, a problem and the digest of histories; gives the audit's findings, from the
workspace where the same question was answered before. Knows nothing about how leaks are found.
"""

import hashlib
import json
from pathlib import Path

from features.config import Business
from training.audit import Audit
from training.findings import LEAK, Finding

AUDITED = "audit.json"
"""The file of a problem's folder."""


def question_of(business: Business, name: str, digest: str) -> str:
    """A digest of all that an audit's answer depends on, but for the code."""
    asked = {
        "digest": digest,
        "problem": business.problem(name).model_dump(mode="json", by_alias=True),
        "features": business.features.model_dump(mode="json"),
        "stages": business.stages,
    }
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def remember(folder: Path, question: str, found: Audit) -> None:
    """Keep an audit in a problem's folder."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {"question": question, **found.to_json()}
    (folder / AUDITED).write_text(json.dumps(content, indent=1, sort_keys=True))


def recall(folder: Path, question: str) -> tuple[Finding, ...] | None:
    """The findings of an audit of the same question; None where there was none."""
    try:
        content = json.loads((folder / AUDITED).read_text())
    except (OSError, ValueError):
        return None
    if content.get("question") != question:
        return None
    keys = ("code", "severity", "subject", "says", "mends", "evidence")
    return tuple(
        Finding(**{key: item[key] for key in keys} | {"mends": tuple(item["mends"])})
        for item in content["findings"]
    )


def leaks_of(findings: tuple[Finding, ...] | None) -> tuple[Finding, ...] | None:
    """The findings that forbid a promotion; None where nobody looked."""
    if findings is None:
        return None
    return tuple(finding for finding in findings if finding.severity == LEAK)
