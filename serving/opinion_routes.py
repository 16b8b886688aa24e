"""`/v1/notes`, `/v1/opinions` and `/v1/disagreements`: what people write about customers.

Takes requests; writes down as the pages' forms do, and lists where person and model disagree.
"""

from typing import Annotated

from fastapi import FastAPI, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from features.durations import format_moment
from serving.access import tenant_of
from serving.action_routes import who_of
from serving.action_views import expected, seen_opinions, words_of
from serving.at_risk_routes import ProblemName, problem_of
from serving.batching import Together
from serving.bodies import described, read_model
from serving.errors import documented, json_answer
from serving.examples import DISAGREEMENTS, NOTE, NOTE_BODY, OPINION, OPINION_BODY, shown
from serving.explaining import Asked
from serving.opinions import Opinion, queue, tally
from serving.schemas_actions import (
    DisagreementsOut,
    GiveOpinion,
    NoteOut,
    OpinionOut,
    TallyOut,
    WriteNote,
)
from serving.settling import settle
from serving.sight import Sight, sight_of
from serving.state import State
from serving.writing import give_opinion, write_note

Limit = Annotated[int, Query(ge=1, le=500, description="how many disagreements")]


def add(app: FastAPI, state: State, together: Together[Asked, bytes]) -> None:
    """Add the routes."""

    @app.post(
        "/v1/notes", response_model=None, tags=["actions"], summary="Write a note on a customer",
        responses={200: shown(NoteOut, NOTE), **documented(404, 409, 422)},
        openapi_extra=described(WriteNote, NOTE_BODY),
    )  # fmt: skip
    async def note(request: Request) -> Response:
        tenant = tenant_of(request, state, "ingest")
        said = await read_model(request, WriteNote)
        sight, who = sight_of(request, tenant), who_of(request, said.who)
        kept = await run_in_threadpool(write_note, sight, who, said)
        return json_answer(
            NoteOut(
                id=kept.note, customer=said.customer, at=format_moment(kept.at), who=kept.who,
                text=kept.text,
            )
        )  # fmt: skip

    @app.post(
        "/v1/opinions", response_model=None, tags=["actions"],
        summary="Say what you expect of a customer",
        responses={200: shown(OpinionOut, OPINION), **documented(404, 409, 422)},
        openapi_extra=described(GiveOpinion, OPINION_BODY),
    )  # fmt: skip
    async def opinion(request: Request) -> Response:
        tenant = tenant_of(request, state, "ingest")
        said = await read_model(request, GiveOpinion)
        sight, who = sight_of(request, tenant), who_of(request, said.who)
        problem = problem_of(tenant, said.problem)
        return json_answer(
            _document(sight, await give_opinion(together, sight, problem, who, said))
        )

    @app.get(
        "/v1/disagreements", response_model=None, tags=["actions"],
        summary="Where person and model say different things",
        responses={
            200: shown(DisagreementsOut, DISAGREEMENTS), **documented(404, 422, missing="problem")
        },
    )  # fmt: skip
    def disagreements(
        request: Request, problem: ProblemName = None, limit: Limit = 100
    ) -> Response:  # fmt: skip
        tenant = tenant_of(request, state, "read")
        name = problem_of(tenant, problem)
        settle(tenant, name)
        sight = sight_of(request, tenant)
        mine = seen_opinions(sight, name)[0]
        waiting = queue(mine)
        return json_answer(
            DisagreementsOut(
                problem=name, waiting=len(waiting), tally=TallyOut(**vars(tally(mine))),
                disagreements=[_document(sight, each) for each in waiting[:limit]],
            )
        )  # fmt: skip


def _document(sight: Sight, one: Opinion) -> OpinionOut:
    yes, no = expected(sight.tenant.business.problems[one.problem], words_of(sight))
    return OpinionOut(
        id=one.opinion, customer=one.customer, problem=one.problem, at=format_moment(one.at),
        who=one.who, says="yes" if one.says else "no", expects=yes if one.says else no,
        because=one.because, as_of=format_moment(one.cutoff),
        closes=None if one.closes is None else format_moment(one.closes),
        probability=one.probability, band=one.band, value_at_stake=one.stake, model=one.model,
        model_version=one.version, score_id=one.score_id, disagrees=one.disagrees,
        came=None if one.truth is None else bool(one.truth),
    )  # fmt: skip
