"""Requests generated from the service's own description.

`benchmarks/faults/schema.py` is the long form, with all checks, in sequences, on both stores.
"""

import pytest
import schemathesis
from conftest import Service
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from serving.access import SCOPE_OF

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
WAYS = ("customer", "events", "features")
FITTING, WRONG = GenerationMode.POSITIVE, GenerationMode.NEGATIVE
OTHERS = [
    (path, method)
    for (method, path), scope in SCOPE_OF.items()
    if path.startswith("/v1/") and scope != "ingest"  # events would make lists anew
]
FEW = 20


def name_one_history(body: dict[str, object]) -> None:
    """Keep one of the ways to name a history, or nearly every request would end there."""
    body["problem"] = "churn"
    named = next((way for way in WAYS if body.get(way) not in (None, False, True)), "customer")
    if named == "customer":
        body.setdefault("customer", "c001")
    others = {
        "customer": ("events", "features", "attributes"),
        "events": ("customer", "features", "changed"),
        "features": ("customer", "events", "attributes", "changed", "touchpoints"),
    }
    for name in others[named]:
        body.pop(name, None)


@pytest.mark.parametrize(
    ("path", "method", "mode"),
    [
        ("/v1/scores", "POST", FITTING),
        ("/v1/scores", "POST", WRONG),
        ("/v1/at-risk", "GET", FITTING),
        ("/v1/at-risk", "GET", WRONG),
        ("/livez", "GET", FITTING),
        ("/readyz", "GET", FITTING),
    ],
)
def test_generated_requests_get_documented_answers(
    path: str, method: str, mode: GenerationMode, shop_service: Service
) -> None:
    """No generated request gets a 5xx, an undocumented status, or a body outside its schema."""
    schema = schemathesis.openapi.from_url(
        f"{shop_service.address}/openapi.json", headers=shop_service.headers
    )
    operation = schema[path][method]
    answered = []

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(max_examples=150, suppress_health_check=list(HealthCheck), deadline=None)
    def ask(case: schemathesis.Case) -> None:
        if mode is FITTING and method == "POST":
            name_one_history(case.body)
        response = case.call(timeout=60, headers=shop_service.headers)
        answered.append(response.status_code)
        case.validate_response(response, checks=CHECKS)

    ask()
    assert max(answered) < 500
    assert mode is WRONG or 200 in answered


@pytest.mark.parametrize(("path", "method"), OTHERS)
def test_no_route_fails_or_says_what_it_does_not_document(
    path: str, method: str, shop_service: Service
) -> None:
    """A few fitting and wrong requests to each route that takes no events."""
    schema = schemathesis.openapi.from_url(
        f"{shop_service.address}/openapi.json", headers=shop_service.headers
    )

    for mode in (FITTING, WRONG):

        @given(case=schema[path][method].as_strategy(generation_mode=mode))
        @settings(max_examples=FEW, suppress_health_check=list(HealthCheck), deadline=None)
        def ask(case: schemathesis.Case) -> None:
            response = case.call(timeout=60, headers=shop_service.headers)
            case.validate_response(response, checks=CHECKS)

        ask()
