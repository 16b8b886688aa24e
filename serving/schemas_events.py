"""What crosses the edge of events: bodies, results and their documentation.

Bodies of events are checked by `serving.facts` and `serving.segment`, a row at a time; here
they are described and shown by example. Knows nothing about how rows are kept.
"""

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

PLACE = r"^[0-9]{1,19}-[0-9a-f]{1,40}$"
"""Where a row of the quarantine stands."""

NUMBER, TEXT = {"type": "number"}, {"type": "string", "maxLength": 10_000}

EXAMPLE = {
    "customer": "555",
    "event": "purchase",
    "event_time": "2017-12-30T17:05:00Z",
    "event_id": "basket-91",
    "value": 31.4,
    "channel": "web",
}
STATED = {"customer": "555", "attributes": {"age": "45-54"}, "valid_from": "2017-12-30"}

EVENT: dict[str, Any] = {
    "schema": {
        "type": "object",
        "description": "An event or, with `attributes`, a statement; other keys are properties.",
        "properties": {
            "customer": {"type": "string", "minLength": 1, "maxLength": 300},
            "event": {"type": "string", "maxLength": 300},
            "event_time": {"type": "string", "description": "ISO 8601; UTC without a zone"},
            "event_id": {"type": "string", "maxLength": 300},
            "source": {"type": "string", "maxLength": 300, "default": "api"},
            "attributes": {"type": "object", "additionalProperties": {"anyOf": [NUMBER, TEXT]}},
            "valid_from": {"type": "string"},
        },
        "additionalProperties": {
            "anyOf": [NUMBER, TEXT, {"type": "boolean"}, {"type": "null"}]
        },
    },
    "replay": {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "additionalProperties": False,
                        "properties": {
                            "rows": {
                                "anyOf": [
                                    {
                                        "type": "array", "maxItems": 1000,
                                        "items": {"type": "string", "maxLength": 64},
                                    },
                                    {"type": "null"},
                                ]
                            },
                            "after": {
                                "anyOf": [
                                    {"type": "string", "maxLength": 64, "pattern": PLACE},
                                    {"type": "null"},
                                ]
                            },
                        },
                    },
                    "example": {"rows": None},
                }
            },
        }
    },
}  # fmt: skip

_REF = {"$ref": "#/components/schemas/Event"}

EVENTS_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "anyOf": [
                        _REF, {"type": "array", "items": _REF, "minItems": 1, "maxItems": 10_000}
                    ]
                },
                "examples": {
                    "one": {"value": EXAMPLE},
                    "several": {"value": [EXAMPLE, STATED]},
                },
            },
            "application/x-ndjson": {
                "schema": {"type": "string"},
                "example": "".join(f"{json.dumps(row)}\n" for row in (EXAMPLE, STATED)),
            },
        },
    }
}  # fmt: skip

_MESSAGES: dict[str, dict[str, Any]] = {
    "track": {"event": "Order Completed", "properties": {"value": 31.4}},
    "identify": {"traits": {"plan": "gold"}},
    "page": {"name": "Pricing", "properties": {"path": "/pricing"}},
    "screen": {"name": "Home"},
    "group": {"groupId": "acme", "traits": {"seats": 12}},
}


def _message(kind: str) -> dict[str, Any]:
    return {
        "userId": "555", "messageId": f"m-{kind}", "timestamp": "2017-12-30T17:05:00Z",
        **_MESSAGES[kind],
    }  # fmt: skip


def segment_example(kind: str) -> dict[str, Any]:
    """`openapi_extra` of one of Segment's calls."""
    content = {"schema": {"type": "object"}, "example": _message(kind)}
    return {"requestBody": {"required": True, "content": {"application/json": content}}}


BATCH = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["batch"],
                    "properties": {
                        "batch": {
                            "type": "array", "minItems": 1, "maxItems": 10_000,
                            "items": {"type": "object"},
                        },
                        "sentAt": {"type": "string"},
                        "context": {"type": "object"},
                    },
                },
                "example": {
                    "batch": [{"type": "track", **_message("track")}],
                    "sentAt": "2017-12-30T17:05:01Z",
                },
            }
        },
    }
}  # fmt: skip


class ResultOut(BaseModel):
    """What became of one row."""

    index: int
    """Its place in the request, from 0."""
    status: Literal["accepted", "duplicate", "quarantined", "refused"]
    event_id: str | None = None
    """The id under which it is stored; begins with ~, or Segment's with message~, where it was
    made of the content."""
    reason: str | None = None
    """A stable code."""
    detail: str | None = None
    hint: str | None = None
    """Of a row that was kept: that no model has learned from events of this kind, which may be a
    slip of the pen."""


class BrokenOffOut(BaseModel):
    """Why new events move `as_of` no further: the histories end long before them."""

    until: str
    """Up to when the histories reach."""
    found: int
    """How many events lie beyond, of the last 90 days if it is longer."""
    needed: int
    """From so many on the histories are taken to go on: a tenth of what is usual for the gap."""
    detail: str


class ResultsOut(BaseModel):
    """What became of a request; accepted + duplicate + quarantined + refused = received."""

    received: int
    accepted: int
    duplicate: int
    quarantined: int
    refused: int
    results: list[ResultOut]
    broken_off: BrokenOffOut | None = None
    """Left out unless one of the new events lies beyond the histories."""


class QuarantineRow(BaseModel):
    """A row that was set aside."""

    row: str
    arrived: str
    source: str
    reason: str
    detail: str
    body: str
    """The row as it came, JSON; of one that is cut the beginning."""
    cut: bool
    """Whether the row was too long to be kept whole; it can't be replayed then."""
    replayed: str | None
    """When it was replayed with success."""


class QuarantinePage(BaseModel):
    """Rows that were set aside, oldest first: as many as were asked for, or fewer if they are
    long."""

    rows: list[QuarantineRow]
    next: str | None
    """`after` of the next page; null on the last one."""


class ReplayRequest(BaseModel):
    """Which rows to try again; all that were not replayed yet if absent, at most 1,000."""

    model_config = ConfigDict(extra="forbid", strict=True)

    rows: Annotated[list[Annotated[str, Field(max_length=64)]], Field(max_length=1000)] | None = (
        None
    )
    after: Annotated[str, Field(max_length=64, pattern=PLACE)] | None = None
    """`next` of the answer before: go on with the rows behind it."""


class Replayed(BaseModel):
    """What became of the rows that were tried again."""

    accepted: int
    duplicate: int
    quarantined: int
    refused: int
    next: str | None = None
    """`after` of the request that goes on; null where no row is left."""
