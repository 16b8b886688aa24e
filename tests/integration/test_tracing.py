"""Spans of the running service, as a collector of OpenTelemetry gets them."""

import gzip
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from conftest import Service, serve

WHY = "spans need milepost[telemetry]"
sdk = pytest.importorskip("opentelemetry.sdk", reason=WHY)
wire = pytest.importorskip(
    "opentelemetry.proto.collector.trace.v1.trace_service_pb2", reason=WHY
).ExportTraceServiceRequest

BODIES: list[bytes] = []
"""What the collector got."""


class Collector(BaseHTTPRequestHandler):
    """Takes spans over OTLP/HTTP."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        zipped = self.headers.get("content-encoding") == "gzip"
        BODIES.append(gzip.decompress(body) if zipped else body)
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def service(shop: Path, shop_run: tuple[Path, object]) -> Iterator[Service]:
    """A service that sends its spans to a collector at once."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    settings = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }
    os.environ |= settings
    try:
        yield from serve(shop, shop_run[0])
    finally:
        for name in settings:
            del os.environ[name]
        server.shutdown()


def spans() -> list[Any]:
    """All spans that have arrived."""
    whole = [wire.FromString(body) for body in BODIES]
    scopes = [s for one in whole for r in one.resource_spans for s in r.scope_spans]
    return [span for scope in scopes for span in scope.spans]


def arrived(enough: Callable[[list[Any]], bool]) -> list[Any]:
    """All spans, once there are enough of them."""
    deadline = time.monotonic() + 30
    while not enough(spans()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return spans()


def ask(service: Service, customer: str, trace: int, flags: str = "01") -> int:
    """Ask for a score as part of a trace; gives the status."""
    parent = f"00-{trace:032x}-{trace:016x}-{flags}"
    body = {"customer": customer, "problem": "churn"}
    with service.client() as client:
        return client.post("/v1/scores", json=body, headers={"traceparent": parent}).status_code


def customers(service: Service, n: int) -> list[str]:
    with service.client() as client:
        listed = client.get("/v1/at-risk", params={"limit": n}).json()["customers"]
    return [one["customer"] for one in listed]


def test_a_request_is_part_of_its_callers_trace(service: Service) -> None:
    """The span of a request names the caller's as its parent, and holds scoring and reads."""
    (customer,) = customers(service, 1)
    assert 200 == ask(service, customer, 7)
    mine = (7).to_bytes(16, "big")

    def of_mine(found: list[Any]) -> list[Any]:
        return [span for span in found if span.trace_id == mine]

    found = of_mine(arrived(lambda found: any(s.kind == 2 for s in of_mine(found))))
    (request,) = [span for span in found if span.kind == 2]
    assert ("POST /v1/scores", (7).to_bytes(8, "big")) == (request.name, request.parent_span_id)
    (score,) = [span for span in found if span.name == "score"]
    assert request.span_id == score.parent_span_id
    reads = [span for span in found if span.name == "store.read"]
    assert reads
    assert {score.span_id} == {span.parent_span_id for span in reads}


def test_requests_scored_together_are_linked(service: Service) -> None:
    """Each of many requests at once is the parent of a scoring or linked to one."""
    asked = range(100, 140)
    names = customers(service, 40)
    with ThreadPoolExecutor(20) as pool:
        statuses = list(pool.map(lambda i: ask(service, names[i % len(names)], i), asked))
    traces = {i.to_bytes(16, "big") for i, s in zip(asked, statuses, strict=True) if s == 200}
    assert traces

    def scored(found: list[Any]) -> set[bytes]:
        some = [span for span in found if span.name == "score"]
        return {s.trace_id for s in some} | {link.trace_id for s in some for link in s.links}

    assert traces <= scored(arrived(lambda found: traces <= scored(found)))


def test_what_a_caller_does_not_trace_is_not_sent(service: Service) -> None:
    """A caller's decision against a trace counts, and checks of health are in none."""
    (customer,) = customers(service, 1)
    with service.client() as client:
        client.get("/livez")
    assert 200 == ask(service, customer, 200, flags="00")
    assert 200 == ask(service, customer, 201)
    last = (201).to_bytes(16, "big")
    found = arrived(lambda found: any(s.trace_id == last and s.kind == 2 for s in found))
    assert not [span for span in found if span.trace_id == (200).to_bytes(16, "big")]
    assert not [span for span in found if "livez" in span.name]


def test_spans_name_no_customer(service: Service) -> None:
    """A failed search for a customer leaves the route's template in the spans, and not the name."""
    with service.client() as client:
        assert 404 == client.get("/v1/customers/somebody-secret?x=secret-too").status_code
    route = "GET /v1/customers/{customer}"
    assert [s for s in arrived(lambda f: any(s.name == route for s in f)) if s.name == route]
    assert not [body for body in BODIES if b"secret" in body]


def test_nothing_is_imported_where_nobody_collects() -> None:
    """Without an address of a collector neither the SDK nor an exporter is imported."""
    code = (
        "import sys; from serving import app, run, workers; from serving.tracing import begin; "
        "begin(); print(*[n for n in sys.modules if n.startswith(('opentelemetry.sdk', "
        "'opentelemetry.exporter'))])"
    )
    quiet = {name: value for name, value in os.environ.items() if not name.startswith("OTEL")}
    said = subprocess.check_output([sys.executable, "-c", code], env=quiet, text=True)
    assert "\n" == said
