"""What a run found of a model, as one JSON file beside it in the registry: metrics, card, gate.

Takes the file's bytes and the digest that the version is tagged with; gives plain data. It says
how good a model is and nothing by which it scores, so a model without one serves all the same.
Knows nothing about how anything was judged.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from features.errors import ModelFilesError
from models.sealed import read_json

JUDGEMENT = "judgement.json"
"""The file, beside the model's own in its version."""
FORMAT = 1
MOST_BYTES = 8 * 2**20
"""A larger file is not read."""


def judgement_from(content: bytes, digest: str) -> dict[str, Any]:
    """The data of a file.

    Raises
    ------
    ModelFilesError
        When it is not the one that was registered, or of another format.
    """
    if len(content) > MOST_BYTES or hashlib.sha256(content).hexdigest() != digest:
        raise ModelFilesError(f"{JUDGEMENT} is not the one that was registered.")
    try:
        data: Mapping[str, Any] = read_json(content)
        found = data["format"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelFilesError(f"{JUDGEMENT} can't be read: {error}.") from error
    if found != FORMAT:
        raise ModelFilesError(f"{JUDGEMENT} has the format {found!r:.20}, expected {FORMAT}.")
    return dict(data)
