"""`/v1/actions`: what people did about customers, and what came of it.

Takes requests; writes actions down and lists them, those about customers whom the caller sees.
"""

from typing import Annotated

from fastapi import FastAPI, Path, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from features.durations import format_moment, this_moment
from serving.access import tenant_of
from serving.action_log import Done, follow_up, ledger, listed, new_id, read_cursor, write_down
from serving.actions import Action, FollowUp, Wanted
from serving.bodies import InvalidRequestError, described, read_model
from serving.errors import documented, json_answer
from serving.examples import ACTION, ACTION_BODY, ACTIONS, OUTCOME_BODY, shown
from serving.keys import Caller
from serving.schemas_actions import (
    ActionOut,
    ActionsOut,
    FollowUpOut,
    Kind,
    LogAction,
    LogOutcome,
    Outcome,
)
from serving.sight import Sight, sight_of
from serving.state import State

ActionId = Annotated[str, Path(max_length=64, examples=[ACTION["id"]])]
Customer = Annotated[str, Query(max_length=300, description="of one customer")]
Who = Annotated[str, Query(max_length=100, description="by whom")]
Limit = Annotated[int, Query(ge=1, le=500, description="how many actions")]
Cursor = Annotated[str | None, Query(max_length=100, description="`next` of the part before")]


def add(app: FastAPI, state: State) -> None:
    """Add the routes."""

    @app.post(
        "/v1/actions", response_model=None, tags=["actions"], summary="Write down what was done",
        responses={200: shown(ActionOut, ACTION), **documented(404, 409, 422)},
        openapi_extra=described(LogAction, ACTION_BODY),
    )  # fmt: skip
    async def log(request: Request) -> Response:
        tenant = tenant_of(request, state, "ingest")
        said = await read_model(request, LogAction)
        sight, who = sight_of(request, tenant), who_of(request, said.who)
        done = Done(**said.model_dump(exclude={"who"}))
        action, _ = await run_in_threadpool(write_down, state.intake, sight, who, done)
        return json_answer((await run_in_threadpool(documents, sight, [action]))[0])

    @app.post(
        "/v1/actions/{action}/outcome", response_model=None, tags=["actions"],
        summary="Say what came of an action",
        responses={200: shown(ActionOut, ACTION), **documented(404, 409, 422, missing="action")},
        openapi_extra=described(LogOutcome, OUTCOME_BODY),
    )  # fmt: skip
    async def outcome(request: Request, action: ActionId) -> Response:
        tenant = tenant_of(request, state, "ingest")
        said = await read_model(request, LogOutcome)
        sight, who = sight_of(request, tenant), who_of(request, None)
        word = FollowUp(said.id or new_id(), this_moment(), who, said.outcome, said.note)
        found = await run_in_threadpool(follow_up, state.intake, sight, action, word)
        return json_answer((await run_in_threadpool(documents, sight, [found]))[0])

    @app.get(
        "/v1/actions", response_model=None, tags=["actions"],
        summary="What was done, the newest first",
        responses={200: shown(ActionsOut, ACTIONS), **documented(404, 422)},
    )  # fmt: skip
    def actions(
        request: Request, customer: Customer = "", kind: Kind | None = None, who: Who = "",
        outcome: Outcome | None = None, limit: Limit = 100, cursor: Cursor = None,
    ) -> Response:  # fmt: skip
        sight = sight_of(request, tenant_of(request, state, "read"))
        wanted = Wanted(customer, kind or "", who, outcome or "", read_cursor(cursor))
        found = listed(sight, wanted, limit)
        return json_answer(ActionsOut(actions=documents(sight, found.actions), next=found.next))


def called(caller: Caller) -> str:
    """What the ledger calls whoever asks."""
    return caller.name or f"key {caller.id}"


def documents(sight: Sight, actions: list[Action]) -> list[ActionOut]:
    """Actions with all that was said later of each."""
    later = ledger(sight).follow_ups([each.action for each in actions])
    return [_document(each, later.get(each.action, [])) for each in actions]


def _document(action: Action, later: list[FollowUp]) -> ActionOut:
    fields = vars(action) | {"id": action.action}
    del fields["action"]
    for name in ("at", "recorded"):
        fields[name] = format_moment(fields[name])
    words = [vars(each) | {"at": format_moment(each.at)} for each in later]
    return ActionOut(**fields, follow_ups=[FollowUpOut(**word) for word in words])


def who_of(request: Request, said: str | None) -> str:
    """Who did or said it: a person themselves, or whom a system names."""
    caller: Caller = request.scope["caller"]
    if said is not None and caller.role and said != caller.name:
        why = "a person writes down their own actions and words"
        raise InvalidRequestError([{"place": "body.who", "reason": why}])
    return said or called(caller)
