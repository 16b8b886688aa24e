"""`/v1/webhooks`: subscribe, look at deliveries, replay dead letters.

Takes requests; answers from the webhooks of the caller's workspace.
"""

import asyncio
import uuid
from typing import Annotated, Literal

from fastapi import FastAPI, Path, Query, Request
from fastapi.responses import Response

from features.durations import format_moment, this_moment
from serving.access import tenant_of
from serving.bodies import described, read_model
from serving.errors import documented, json_answer
from serving.examples import DELIVERIES, WEBHOOK, WEBHOOK_MADE, shown
from serving.hook_store import WAITING, Delivery, Hooks, Subscription
from serving.schemas_hooks import (
    EXAMPLE as HOOK,
)
from serving.schemas_hooks import (
    Deliveries,
    DeliveryOut,
    ReplayIn,
    Resent,
    WebhookIn,
    WebhookMade,
    WebhookOut,
    Webhooks,
)
from serving.state import State
from serving.targets import check_url
from serving.webhooks import TEST, hook_event

Id = Annotated[str, Path(max_length=64, examples=["2f6c1f3fd5b94a4c9d6f0d3a7a0e9b11"])]
Cursor = Annotated[
    str | None, Query(pattern=r"^\d{1,18}$", description="`next` of the page before")
]
Limit = Annotated[int, Query(ge=1, le=500, description="how many deliveries")]
StateOf = Annotated[
    Literal["waiting", "delivered", "dead"] | None, Query(description="only these deliveries")
]

MISSING = documented(404, 422, missing="webhook")


def add(app: FastAPI, state: State) -> None:
    """Add the routes of webhooks."""
    _add_subscriptions(app, state)
    _add_deliveries(app, state)


def hooks_of(request: Request, state: State) -> Hooks:
    """The webhooks of the caller's workspace."""
    store = tenant_of(request, state, "admin").kept
    return Hooks(store.database, store.workspace)


def _add_subscriptions(app: FastAPI, state: State) -> None:
    @app.post(
        "/v1/webhooks", status_code=201, response_model=None, tags=["webhooks"],
        summary="Be told of changes", openapi_extra=described(WebhookIn, HOOK),
        responses={201: shown(WebhookMade, WEBHOOK_MADE), **documented(422)},
    )  # fmt: skip
    async def subscribe(request: Request) -> Response:
        hooks = hooks_of(request, state)
        wanted = await read_model(request, WebhookIn)
        check_url(wanted.url, state.settings.webhooks_private)
        types = list(dict.fromkeys(wanted.types))
        made, secret = await asyncio.to_thread(hooks.subscribe, wanted.url, types, this_moment())
        shown = WebhookMade(**_subscription(made).model_dump(), secret=secret)
        return Response(shown.model_dump_json(), 201, media_type="application/json")

    @app.get(
        "/v1/webhooks", response_model=None, tags=["webhooks"], summary="Who is told",
        responses={200: shown(Webhooks, {"webhooks": [WEBHOOK]})},
    )  # fmt: skip
    def listed(request: Request) -> Response:
        found = hooks_of(request, state).subscriptions()
        return json_answer(Webhooks(webhooks=[_subscription(one) for one in found]))

    @app.get(
        "/v1/webhooks/{webhook}", response_model=None, tags=["webhooks"], summary="One webhook",
        responses={200: shown(WebhookOut, WEBHOOK), **MISSING},
    )  # fmt: skip
    def one(request: Request, webhook: Id) -> Response:
        return json_answer(_subscription(hooks_of(request, state).subscription(webhook)))

    @app.delete(
        "/v1/webhooks/{webhook}", status_code=204, response_model=None, tags=["webhooks"],
        summary="Be told no more", responses=MISSING,
    )  # fmt: skip
    def remove(request: Request, webhook: Id) -> Response:
        hooks_of(request, state).remove(webhook)
        return Response(status_code=204)


def _add_deliveries(app: FastAPI, state: State) -> None:
    @app.post(
        "/v1/webhooks/{webhook}/test", status_code=202, response_model=None, tags=["webhooks"],
        summary="Send a test event", response_class=Response, responses=MISSING,
    )  # fmt: skip
    def test(request: Request, webhook: Id) -> Response:
        tenant = tenant_of(request, state, "admin")
        event = hook_event(
            TEST,
            tenant.name,
            "",
            webhook,
            this_moment(),
            uuid.uuid4().hex,
            {"says": "This is a test."},
        )
        hooks_of(request, state).tell(webhook, event)
        return Response(status_code=202)

    @app.get(
        "/v1/webhooks/{webhook}/deliveries", response_model=None, tags=["webhooks"],
        summary="What became of each event",
        responses={200: shown(Deliveries, DELIVERIES), **MISSING},
    )  # fmt: skip
    def deliveries(
        request: Request, webhook: Id, state_: Annotated[StateOf, Query(alias="state")] = None,
        cursor: Cursor = None, limit: Limit = 100,
    ) -> Response:  # fmt: skip
        hooks = hooks_of(request, state)
        found = hooks.deliveries(webhook, state_, int(cursor or 0), limit + 1)
        more = str(found[limit - 1].sequence) if len(found) > limit else None
        return json_answer(
            Deliveries(deliveries=[_delivery(one) for one in found[:limit]], next=more)
        )

    @app.post(
        "/v1/webhooks/{webhook}/replay", response_model=None, tags=["webhooks"],
        summary="Send dead letters again",
        openapi_extra=described(ReplayIn, {}),
        responses={200: shown(Resent, {"replayed": 2}), **MISSING},
    )  # fmt: skip
    async def replay(request: Request, webhook: Id) -> Response:
        hooks = hooks_of(request, state)
        which = await read_model(request, ReplayIn)
        count = await asyncio.to_thread(hooks.replay, webhook, which.events, this_moment())
        return json_answer(Resent(replayed=count))


def _subscription(found: Subscription) -> WebhookOut:
    return WebhookOut(
        id=found.id, url=found.url, types=list(found.types), active=found.active,
        created=format_moment(found.created),
    )  # fmt: skip


def _delivery(found: Delivery) -> DeliveryOut:
    return DeliveryOut(
        event=found.event, type=found.type, subject=found.subject, state=found.state,
        tries=found.tries, changed=format_moment(found.changed),
        next_try=format_moment(found.due) if found.state == WAITING else None,
        status=found.status, error=found.error,
    )  # fmt: skip
