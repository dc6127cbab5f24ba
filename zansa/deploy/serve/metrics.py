"""What Prometheus reads: counters, histograms and gauges of this server alone."""

from collections.abc import Callable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
SCORES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 1)


class Metrics:
    """The figures of one server, in base units. `gauges` are read when the figures are asked for: name to meaning and
    value."""

    def __init__(self, gauges: Mapping[str, tuple[str, Callable[[], float]]]):
        self.registry = CollectorRegistry()
        by: Any = {"registry": self.registry}
        self.requests = Counter("zansa_requests", "Requests by path and status.", ["path", "code"], **by)
        self.seconds = Histogram(
            "zansa_request_seconds", "From a request to its answer.", ["path"], buckets=SECONDS, **by
        )
        self.queue = Histogram("zansa_queue_seconds", "From acceptance to the work on it.", buckets=SECONDS, **by)
        self.compute = Histogram("zansa_compute_seconds", "Of the network, a request.", buckets=SECONDS, **by)
        self.decisions = Counter("zansa_decisions", "Parts by decision.", ["model", "version", "decision"], **by)
        self.scores = Histogram("zansa_score", "1 - p(good).", ["model", "version"], buckets=SCORES, **by)
        self.shadow = Counter("zansa_shadow", "Answers of shadows.", ["model", "disagrees"], **by)
        self.info = Gauge("zansa_model_info", "The models that answer.", ["model", "version", "sha"], **by)
        for name, (meaning, value) in gauges.items():
            Gauge(name, meaning, **by).set_function(value)

    def answered(self, row: dict[str, Any]) -> None:
        """Count an answer."""
        labels = (row["model"], str(row["version"]))
        self.decisions.labels(*labels, row["decision"] or row["class"]).inc()
        if row["score"] is not None:
            self.scores.labels(*labels).observe(row["score"])

    def text(self, models: list[tuple[str, int, str]]) -> bytes:
        """All figures in Prometheus' text format; `models`: name, version and hash of those that answer."""
        self.info.clear()
        for name, version, sha in models:
            self.info.labels(name, str(version), sha).set(1)
        return generate_latest(self.registry)
