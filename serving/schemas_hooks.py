"""What crosses the HTTP edge about webhooks.

Knows nothing about how events are delivered.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from serving.schemas import Strict
from serving.targets import LONGEST
from serving.webhooks import TYPES


def _subscribable(name: str) -> str:
    if name not in TYPES:
        raise ValueError(f"Input should be one of {', '.join(TYPES)}")
    return name


EventType = Annotated[
    str, AfterValidator(_subscribable), Field(json_schema_extra={"enum": list(TYPES)})
]
"""What `TYPES` holds, and the OpenAPI document says so."""

EXAMPLE: dict[str, Any] = {
    "url": "https://crm.example.com/hooks/milepost",
    "types": ["milepost.band.changed"],
}


class WebhookIn(Strict):
    """Who wants to be told what."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    url: Annotated[str, Field(min_length=9, max_length=LONGEST)]
    """A public HTTPS address that takes POST."""
    types: Annotated[list[EventType], Field(min_length=1, max_length=len(TYPES))] = Field(
        default=["milepost.band.changed"]
    )


class WebhookOut(BaseModel):
    """A subscription."""

    id: str
    url: str
    types: list[str]
    active: bool
    created: str


class WebhookMade(WebhookOut):
    """A new subscription, with the secret that signs its events."""

    secret: str
    """Shown this once: `whsec_` and base64, as Standard Webhooks has it."""


class Webhooks(BaseModel):
    webhooks: list[WebhookOut]


class DeliveryOut(BaseModel):
    """One event for one subscription, and what became of it."""

    event: str
    """The CloudEvent's id."""
    type: str
    subject: str
    state: Literal["waiting", "delivered", "dead"]
    tries: int
    changed: str
    next_try: str | None
    status: int | None
    """The status of the last answer, if there was one."""
    error: str | None


class Deliveries(BaseModel):
    deliveries: list[DeliveryOut]
    next: str | None
    """The cursor of the next page; null at the end."""


class ReplayIn(Strict):
    """Which dead letters to send again."""

    model_config = ConfigDict(json_schema_extra={"examples": [{}]})

    events: Annotated[list[Annotated[str, Field(max_length=64)]], Field(max_length=500)] | None = (
        None
    )
    """Ids of events; all dead letters of the webhook if absent."""


class Resent(BaseModel):
    """How many dead letters are sent again."""

    replayed: int
