"""Prometheus metrics of one server process; docs/serving.md lists them."""

import resource
import sys
from collections.abc import Callable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_COUNTED = {
    "finished": "Requests that left the engine", "failed": "Requests that the engine ended with an error",
    "refused": "Prompts refused because the queue of the engine was full", "prompt_tokens": "Prompt tokens",
    "cached_tokens": "Prompt tokens that came from the prompt cache", "generated_tokens": "Tokens written",
    "steps": "Decode steps; generated tokens by steps is the mean batch",
    "prefill_s": "Seconds in prefill", "decode_s": "Seconds in decode steps",
}  # fmt: skip
_NOW = {
    "waiting": "Prompts waiting for a slot", "running": "Answers being written", "kv_bytes": "Bytes of keys and values",
    "prefix_tokens": "Tokens held by the prompt cache", "longest_step_s": "Longest step so far, in seconds",
}  # fmt: skip


class Metrics:
    """All metrics, in a registry of their own, so that several servers fit into one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        made: dict[str, Any] = {"registry": self.registry}
        self.requests = Counter("cuewise_requests", "Requests by route and status", ["route", "status"], **made)
        self.seconds = Histogram(
            "cuewise_request_seconds", "Wall time of requests by route", ["route"], buckets=_SECONDS, **made
        )
        self.refusals = Counter("cuewise_refusals", "Requests refused or failed, by error code", ["code"], **made)
        self.stages = Histogram(
            "cuewise_stage_seconds", "Wall time per clip and stage", ["stage"], buckets=_SECONDS, **made
        )
        self.first_token = Histogram(
            "cuewise_first_token_seconds", "From the request to the first text", buckets=_SECONDS, **made
        )
        self.tokens = Counter("cuewise_tokens", "Tokens by kind: prompt, completion, media", ["kind"], **made)
        self.encode_batch = Histogram(
            "cuewise_encode_batch", "Clips per encoder batch", buckets=(1, 2, 4, 8, 16, 32), **made
        )
        self.cache = Counter("cuewise_media_cache", "Look-ups in the cache of encoded clips", ["result"], **made)
        self.in_flight = Gauge("cuewise_in_flight", "Requests being worked on or waiting", **made)
        self.attention = Gauge("cuewise_attention", "1 for the attention kernel in use", ["kernel"], **made)

    def watch(self, stats: Callable[[], Mapping[str, float]], in_flight: Callable[[], int]) -> None:
        """Read engine counters and requests in flight whenever metrics are asked for."""
        self.in_flight.set_function(in_flight)
        self.registry.register(_EngineCollector(stats))

    def answered(self, timing_ms: Mapping[str, float], usage: Mapping[str, int]) -> None:
        """Count one finished answer."""
        for stage, value in timing_ms.items():
            self.stages.labels(stage).observe(value / 1000)
        for kind in ("prompt", "completion", "media"):
            self.tokens.labels(kind).inc(usage.get(f"{kind}_tokens", 0))

    def text(self) -> bytes:
        """The metrics in Prometheus text form."""
        return generate_latest(self.registry)


class _EngineCollector:
    """Engine counters and the memory of this process, read at the moment of asking."""

    def __init__(self, stats: Callable[[], Mapping[str, float]]):
        self._stats = stats

    def collect(self):
        stats = self._stats()
        for name, text in _COUNTED.items():
            if name in stats:
                yield CounterMetricFamily(f"cuewise_engine_{_unit(name)}", text, value=stats[name])
        for name, text in _NOW.items():
            if name in stats:
                yield GaugeMetricFamily(f"cuewise_engine_{_unit(name)}", text, value=stats[name])
        scale = 1 if sys.platform == "darwin" else 1024
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale
        yield GaugeMetricFamily("cuewise_peak_memory_bytes", "Largest resident memory of this process", value=peak)


def _unit(name: str) -> str:
    return f"{name.removesuffix('_s')}_seconds" if name.endswith("_s") else name
