"""Spans for OpenTelemetry: a request, the scoring of those that waited, each use of the store.

`begin` makes them when somebody collects them: OTEL_EXPORTER_OTLP_ENDPOINT is set and the extra
`telemetry` is installed. Otherwise nothing is imported, and a span costs a look at a variable.
A caller's `traceparent` is honoured. A span tells the route's template, never an address, a body
or a customer. Knows nothing about routes and scores.
"""

import logging
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Tracer

LOG = logging.getLogger("milepost.serving")

WISHES = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
CARRIED = frozenset((b"traceparent", b"tracestate"))

SILENT: dict[str, Any] = {"record_exception": False, "set_status_on_exception": False}
"""The words of an exception may hold a customer's."""

OFF: AbstractContextManager[None] = nullcontext()
_tracer: "Tracer | None" = None


def begin() -> Callable[[], None]:
    """Collect spans from now on in this process, if somebody wants them; gives what ends it."""
    global _tracer
    if not any(map(os.environ.get, WISHES)):
        return lambda: None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        LOG.warning("%s is set, but no spans are sent: install milepost[telemetry]", WISHES[0])
        return lambda: None
    os.environ.setdefault("OTEL_SERVICE_NAME", "milepost")
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    _tracer = provider.get_tracer("milepost.serving")
    return provider.shutdown


def request(headers: Iterable[tuple[bytes, bytes]]) -> AbstractContextManager[Any]:
    """The span of a request, part of the trace that its headers name."""
    if _tracer is None:
        return OFF
    from opentelemetry.propagate import extract
    from opentelemetry.trace import SpanKind

    carried = {k.decode(): v.decode("latin-1") for k, v in headers if k in CARRIED}
    return _tracer.start_as_current_span("request", extract(carried), SpanKind.SERVER, **SILENT)


def answered(method: str, route: str, status: int) -> None:
    """Tell the span of this request what it was and how it ended."""
    if _tracer is None:
        return
    from opentelemetry.trace import StatusCode, get_current_span

    span = get_current_span()
    span.update_name(f"{method} {route}")
    span.set_attribute("http.request.method", method)
    span.set_attribute("http.route", route)
    span.set_attribute("http.response.status_code", status)
    if status >= 500:
        span.set_status(StatusCode.ERROR)


def span(name: str) -> AbstractContextManager[Any]:
    """A span within the one that this thread is in; none outside of requests."""
    if _tracer is None:
        return OFF
    from opentelemetry.trace import get_current_span

    return (
        _tracer.start_as_current_span(name, **SILENT) if get_current_span().is_recording() else OFF
    )


def here() -> "Context | None":
    """Where this request stands in its trace, for a thread that goes on with it."""
    if _tracer is None:
        return None
    from opentelemetry.context import get_current

    return get_current()


def together(name: str, waited: "Sequence[Context | None]") -> AbstractContextManager[Any]:
    """A span of work for several requests: within that of one that is traced, linked to others."""
    if _tracer is None or not waited:
        return OFF
    from opentelemetry.trace import Link, get_current_span

    places = [(get_current_span(one).get_span_context(), one) for one in waited]
    (_, first), *others = sorted(places, key=lambda place: not place[0].trace_flags.sampled)
    links = [Link(other) for other, _ in others]
    return _tracer.start_as_current_span(name, first, links=links, **SILENT)
