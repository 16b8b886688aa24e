"""`GET /v1/export/…`: the whole book, streamed, as other systems take it."""

from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Query, Request
from fastapi.responses import Response, StreamingResponse

from serving.access import tenant_of
from serving.at_risk import ALL
from serving.at_risk_routes import (
    Filters,
    Names,
    Prefix,
    ProblemName,
    Sleeping,
    book_of,
    problem_of,
    question_of,
)
from serving.errors import documented
from serving.examples import BOOK_CSV, BOOK_LINES, PREDICTIVE_CSV, PREDICTIVE_LINES
from serving.exports import (
    CSV,
    LINES,
    WORKBOOK,
    as_csv,
    as_lines,
    as_xlsx,
    book_row,
    meaning_of_rising,
    predictive_score,
    rows,
)
from serving.sight import sight_of
from serving.state import State

Format = Annotated[Literal["csv", "jsonl", "xlsx"], Query(alias="format")]
Rising = Annotated[
    Literal["improving", "declining"] | None,
    Query(description="what a rising probability means; by the problem's outcome if absent"),
]
MEDIA = {"csv": "text/csv; charset=utf-8; header=present", "jsonl": "application/x-ndjson",
         "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"}  # fmt: skip

WRITERS: dict[str, Callable[[Iterator[Mapping[str, Any]]], Iterator[str] | Iterator[bytes]]] = {
    CSV: as_csv, LINES: as_lines, WORKBOOK: as_xlsx,
}  # fmt: skip


def _answers(lines: str, table: str) -> dict[int | str, dict[str, Any]]:
    content = {"application/x-ndjson": {"example": lines}, "text/csv": {"example": table},
               MEDIA["xlsx"]: {"schema": {"type": "string", "format": "binary"},
                               "example": "PK, the bytes of a workbook"}}  # fmt: skip
    rows_of = {"description": "Rows, the highest probability first", "content": content}
    return {200: rows_of, **documented(404, 422, missing="problem")}


def add(app: FastAPI, state: State) -> None:
    """Add the exports."""

    @app.get(
        "/v1/export/book", response_model=None, tags=["lists"],
        summary="Everybody's score, or that of some",
        responses=_answers(BOOK_LINES, BOOK_CSV), response_class=Response,
    )  # fmt: skip
    def book(
        request: Request, problem: ProblemName = None, as_: Format = "jsonl", band: Names = [],  # noqa: B006
        stage: Names = [], persona: Names = [], owner: Names = [], search: Prefix = "",  # noqa: B006
        snoozed: Sleeping = "all",
    ) -> Response:  # fmt: skip
        tenant = tenant_of(request, state, "read")
        filters = Filters(tuple(band), tuple(stage), tuple(persona), tuple(owner), search, snoozed)
        question = question_of(sight_of(request, tenant), problem, None, filters, 1)
        found = rows(book_of(tenant), question)
        return _stream((book_row(row) for row in found), as_, "book")

    @app.get(
        "/v1/export/predictive-scores", response_model=None, tags=["lists"],
        summary="Everybody's score, grade and trend, as Dynamics 365 keeps them",
        responses=_answers(PREDICTIVE_LINES, PREDICTIVE_CSV), response_class=Response,
    )  # fmt: skip
    def predictive_scores(
        request: Request, problem: ProblemName = None, as_: Format = "jsonl",
        rising: Rising = None,
    ) -> Response:  # fmt: skip
        tenant = tenant_of(request, state, "read")
        name = problem_of(tenant, problem)
        means = rising or meaning_of_rising(tenant.business.problems[name])
        sight = sight_of(request, tenant)
        found = rows(book_of(tenant), question_of(sight, name, None, Filters(snoozed=ALL), 1))
        return _stream((predictive_score(row, means) for row in found), as_, "predictive-scores")


def _stream(found: Iterator[Mapping[str, Any]], form: str, name: str) -> Response:
    write = WRITERS[form]
    headers = {"Content-Disposition": f'attachment; filename="{name}.{form}"'}
    return StreamingResponse(write(found), media_type=MEDIA[form], headers=headers)
