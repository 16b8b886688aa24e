"""`GET /metrics`: what happened here, as Prometheus reads it, summed over all workers.

Workers share files in a folder that `prepare` names before this module's library is imported.
Knows nothing about who asks.
"""

import os
import tempfile

FOLDER = "PROMETHEUS_MULTIPROC_DIR"


def prepare() -> str:
    """Choose the folder where workers keep their counts; called once, before they start."""
    if FOLDER not in os.environ:
        os.environ[FOLDER] = tempfile.mkdtemp(prefix="milepost-metrics-")
    return os.environ[FOLDER]


class Metrics:
    """The counts of requests."""

    def __init__(self) -> None:
        from prometheus_client import Counter, Histogram  # reads the environment when imported

        self.seconds = Histogram(
            "milepost_request_seconds", "Seconds a request took", ["route"],
            buckets=(0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
        )  # fmt: skip
        self.requests = Counter("milepost_requests", "Requests answered", ["route", "status"])
        self._known: dict[tuple[str, int], tuple[Histogram, Counter]] = {}

    def count(self, route: str, status: int, seconds: float) -> None:
        """Count an answer."""
        found = self._known.get((route, status))
        if found is None:
            found = self.seconds.labels(route), self.requests.labels(route, str(status))
            self._known[(route, status)] = found
        found[0].observe(seconds)
        found[1].inc()

    def text(self) -> bytes:
        """The counts of all workers."""
        from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
        from prometheus_client.multiprocess import MultiProcessCollector

        if FOLDER not in os.environ:
            return generate_latest(REGISTRY)
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
