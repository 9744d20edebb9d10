"""Figures in Prometheus' text format: a few counters of our own, written without a library.

Labels come from closed sets alone (a route's template, a method, a status), so that no caller can make the list grow.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_PREFIX = "copilot_rest"

Gauge = Callable[[], float]
Labels = tuple[tuple[str, str], ...]


class Metrics:
    """Counts what goes through the service."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, str, int]] = Counter()
        self.events: Counter[tuple[str, str]] = Counter()
        self._seconds: dict[str, list[int]] = {}
        self._sums: Counter[str] = Counter()
        self._totals: dict[str, float] = {}

    def count_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answer."""
        self.requests[method, route, status] += 1
        counts = self._seconds.setdefault(route, [0] * (len(BUCKETS_S) + 1))
        counts[bisect_left(BUCKETS_S, seconds)] += 1
        self._totals[route] = self._totals.get(route, 0.0) + seconds

    def count(self, name: str, label: str = "") -> None:
        """Count something that happened; names and labels are ours, never a caller's."""
        self.events[name, label] += 1

    def write(self, gauges: Mapping[str, Gauge]) -> str:
        """Return everything as text, with figures that are read now."""
        lines = _head("requests_total", "counter", "Answers by method, route and status.")
        for (method, route, status), number in sorted(self.requests.items()):
            labels = (("method", method), ("route", route), ("status", str(status)))
            lines.append(_line("requests_total", labels, number))
        lines += self._histogram()
        for name in sorted({name for name, _ in self.events}):
            lines += _head(f"{name}_total", "counter", f"How often: {name.replace('_', ' ')}.")
            counted = sorted((label, number) for (each, label), number in self.events.items() if each == name)
            lines += [_line(f"{name}_total", (("kind", label),) if label else (), number) for label, number in counted]
        for name, gauge in sorted(gauges.items()):
            lines += [*_head(name, "gauge", f"{name.replace('_', ' ').capitalize()}."), _line(name, (), gauge())]
        return "\n".join(lines) + "\n"

    def _histogram(self) -> list[str]:
        name = "request_seconds"
        lines = _head(name, "histogram", "Time until an answer was sent whole.")
        for route, counts in sorted(self._seconds.items()):
            below = 0
            for bound, count in zip((*map(_number, BUCKETS_S), "+Inf"), counts, strict=True):
                below += count
                lines.append(_line(f"{name}_bucket", (("route", route), ("le", bound)), below))
            lines.append(_line(f"{name}_sum", (("route", route),), self._totals[route]))
            lines.append(_line(f"{name}_count", (("route", route),), below))
        return lines


class Measuring:
    """ASGI middleware that counts every answer.

    Args:
        app: What is measured.
        metrics: Where it is counted.
        routes: Whose templates name requests; read at every request, as they grow while an app is built.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, routes: Sequence[BaseRoute]) -> None:
        self._app = app
        self._metrics = metrics
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and count how it was answered."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.monotonic(), 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        method = scope["method"] if scope["method"] in _METHODS else "other"
        route = route_name(self._routes, scope)
        try:
            await self._app(scope, receive, watched)
        finally:
            self._metrics.count_request(method, route, status, time.monotonic() - began)


def route_name(routes: Sequence[BaseRoute], scope: Scope) -> str:
    """Return the template of the route that a request is for; `other` where there is none."""
    for route in routes:
        if route.matches(scope)[0] is not Match.NONE:
            return str(getattr(route, "path", "other"))
    return "other"


def _head(name: str, kind: str, about: str) -> list[str]:
    return [f"# HELP {_PREFIX}_{name} {about}", f"# TYPE {_PREFIX}_{name} {kind}"]


def _line(name: str, labels: Labels, value: float) -> str:
    told = ",".join(f'{key}="{text}"' for key, text in labels)
    return f"{_PREFIX}_{name}{{{told}}} {_number(value)}" if told else f"{_PREFIX}_{name} {_number(value)}"


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else repr(float(value))
