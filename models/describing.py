"""What the registry says of a model's champion and challenger, as people read it.

Takes a connected client and a model's name; gives a version each with what the gate said, why it
was promoted all the same, and what the run found of it. Knows nothing about shelves or pages.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features.errors import ModelFilesError
from models.judgement import JUDGEMENT, MOST_BYTES, judgement_from
from models.registry import (
    CHALLENGER,
    CHAMPION,
    DIGEST_TAG,
    FORCED_TAG,
    GATE_TAG,
    JUDGEMENT_TAG,
    REASONS_TAG,
    refusals,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient

ALIASES = (CHAMPION, CHALLENGER)
TAGS = {"digest": DIGEST_TAG, "gate": GATE_TAG, "reasons": REASONS_TAG, "forced": FORCED_TAG}
LONGEST = 5_000
"""Letters of a tag that are kept."""


def described(
    client: "MlflowClient", name: str, known: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """The versions that the aliases point to, by alias; an alias without one is left out.

    Parameters
    ----------
    known
        What was found before: a version that did not change is not fetched again.
    """
    found = {}
    for alias in ALIASES:
        try:
            version = client.get_model_version_by_alias(name, alias)
        except refusals():
            continue
        told: dict[str, Any] = {"version": str(version.version), "made": version.creation_timestamp}
        told |= {key: str(version.tags.get(tag, ""))[:LONGEST] for key, tag in TAGS.items()}
        told["sum"] = str(version.tags.get(JUDGEMENT_TAG, ""))
        told["judgement"] = _known(told, known) or _judgement(name, told)
        found[alias] = told
    return found


def _known(told: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any] | None:
    for before in known.values():
        if all(before.get(key) == told[key] for key in ("version", "sum", "digest")):
            found: dict[str, Any] | None = before.get("judgement")
            return found
    return None


def _judgement(name: str, told: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the run found; None where the version has none, or it is not the one registered."""
    if not told["sum"]:
        return None
    from mlflow.store.artifact.models_artifact_repo import ModelsArtifactRepository

    try:
        repository = ModelsArtifactRepository(f"models:/{name}/{told['version']}")
        sizes = {each.path: each.file_size or 0 for each in repository.list_artifacts("")}
        if sizes.get(JUDGEMENT, MOST_BYTES + 1) > MOST_BYTES:
            return None
        with tempfile.TemporaryDirectory(prefix="milepost-") as folder:
            repository.download_artifacts(JUDGEMENT, folder)
            return judgement_from((Path(folder) / JUDGEMENT).read_bytes(), told["sum"])
    except ModelFilesError:
        return None
    except refusals():
        return None
