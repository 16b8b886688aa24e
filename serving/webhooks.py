"""What a webhook says, and how it is signed.

Takes what happened; gives CloudEvents 1.0 in JSON, with ids that follow from what happened, and
signatures as Standard Webhooks has them. Knows nothing about stores, networks or HTTP.
"""

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote
from uuid import NAMESPACE_URL, uuid5

from features.durations import format_moment
from features.errors import MilepostError

BAND_CHANGED, MODEL_CHANGED, DIGEST, TEST = (
    "milepost.band.changed",
    "milepost.model.changed",
    "milepost.digest",
    "milepost.test",
)
TYPES = {
    BAND_CHANGED: "a customer's score moved into another band",
    MODEL_CHANGED: "another model version scores a problem",
    DIGEST: "a person's week was summed up",
}
"""What can be subscribed to; a test is sent to whoever asks for one."""

MEDIA_TYPE = "application/cloudevents+json"
PREFIX = "whsec_"
SECRET_BYTES = 32


class SecretError(MilepostError):
    """A signing secret that is none."""

    code = "secret_invalid"


@dataclass(frozen=True)
class HookEvent:
    """One thing that happened, as it is told."""

    id: str
    """Follows from what happened: told again, it has the same id."""
    type: str
    subject: str
    """Whose it is: events of one subject are told in their order."""
    created: int
    """Microseconds UTC."""
    body: str
    """The CloudEvent, JSON."""


def hook_event(
    type_: str, workspace: str, problem: str, subject: str, created: int, about: str, data: Any
) -> HookEvent:
    """An event whose id follows from its type, place, subject and what it is `about`."""
    source = f"/workspaces/{quote(workspace, safe='')}/problems/{quote(problem, safe='')}"
    key = json.dumps([type_, source, subject, about])
    event_id = str(uuid5(NAMESPACE_URL, key))
    body = {
        "specversion": "1.0",
        "id": event_id,
        "type": type_,
        "source": source,
        "subject": subject,
        "time": format_moment(created),
        "datacontenttype": "application/json",
        "data": data,
    }
    text = json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return HookEvent(event_id, type_, subject, created, text)


def new_secret() -> str:
    """A signing secret, to be shown once."""
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def signature(secret: str, event_id: str, seconds: int, body: bytes) -> str:
    """`v1,` and the HMAC-SHA256 of `id.seconds.body`, as Standard Webhooks says.

    Raises
    ------
    SecretError
        When the secret is not `whsec_` and base64.
    """
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error as error:
        raise SecretError("A signing secret is whsec_ followed by base64.") from error
    said = f"{event_id}.{seconds}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, said, hashlib.sha256)).decode()


def signed_headers(secret: str, event_id: str, seconds: int, body: bytes) -> Mapping[str, str]:
    """The headers of one try; `seconds` is when it is made, since 1970."""
    return {
        "content-type": MEDIA_TYPE,
        "user-agent": "milepost",
        "webhook-id": event_id,
        "webhook-timestamp": str(seconds),
        "webhook-signature": signature(secret, event_id, seconds, body),
    }
