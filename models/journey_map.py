"""The journey map that a model carries: how customers flow, where they leak out, what hurts.

Plain data that training writes and serving shows; this says how it is laid out and reads it back.
An older model has none and serves all the same. Knows nothing about how it was found.
"""

import json
from collections.abc import Mapping
from typing import Any

from models.sealed import read_json

FORMAT = 1
"""Raised when the layout changes; a map of another format is left aside."""

ALL, PERSONA, CHANNEL, PERIOD = "all", "persona", "channel", "period"
"""By what a part of the map is cut out."""

Map = Mapping[str, Any]
"""`{"format", "outcome", "wanted", "from", "until", "steps", "asked", "parts"}`; each part holds
`by`, `value`, `customers`, `rate`, `stages`, `transitions`, `leaks`, `paths`, `touchpoints`."""


def to_bytes(found: Map) -> bytes:
    """The same map gives the same bytes."""
    return json.dumps(found, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False).encode()


def from_bytes(text: bytes) -> Map | None:
    """What `to_bytes` wrote; None where it is of another format.

    Raises
    ------
    ValueError
        When it is no map.
    """
    data = read_json(text)
    if not isinstance(data, dict) or not isinstance(data.get("parts", []), list):
        raise ValueError("the journey map is no table")
    return data if data.get("format") == FORMAT else None


def part_of(found: Map, by: str, value: str | None) -> Mapping[str, Any] | None:
    """The part of a map that is about these customers; None where there is none."""
    for part in found["parts"]:
        if part["by"] == by and part["value"] == value:
            return dict(part)
    return None
