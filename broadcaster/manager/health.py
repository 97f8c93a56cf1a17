"""Health documents in the form of draft-inadarei-api-health-check-06 (``application/health+json``)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from broadcaster.domain.breaker import BreakerMetrics, BreakerState
from broadcaster.domain.model import ServiceState, Status
from broadcaster.manager.manager import ServiceAvailabilityManager
from broadcaster.protocol import notices
from broadcaster.protocol.messages import timestamp

MEDIA_TYPE = "application/health+json"

REFUSING = (BreakerState.OPEN, BreakerState.HALF_OPEN, BreakerState.FORCED_OPEN)
"""States of a breaker in which not every call is let through."""

_STATUS = {Status.UP: "pass", Status.DEGRADED: "warn", Status.UNKNOWN: "warn", Status.DOWN: "fail"}


def dependencies(manager: ServiceAvailabilityManager, now: float, *, internal: bool) -> tuple[int, dict[str, Any]]:
    """The HTTP status (503 while a critical service is down) and the document, one check a service.

    ``internal`` adds what only operators may see: why, how fast, whose it is and what to do; the circuit breakers of
    this process, of which one that refuses calls makes its service's check ``warn`` at most; and what admissions go by
    that nobody vouches for any more (``notes``).
    """
    checks = {}
    freshness = manager.freshness
    worst = "warn" if freshness.is_stale else "pass"
    for name, service in manager.catalogue.services.items():
        state = manager.state(name)
        check: dict[str, Any] = {
            "componentId": name,
            "componentType": "component",
            "title": service.title,
            "criticality": service.criticality.value,
            "status": _STATUS[state.status],
            "observedValue": state.status.value,
            **_times(state, now),
            **_planned(state),
        }
        if internal:
            check |= {
                "category": state.category,
                "output": state.detail,
                "latency_seconds": state.latency,
                "owner": service.owner,
                "runbook": service.runbook,
                "revision": state.revision,
                "observed": manager.observed(name).status.value,
                "plans": state.plans,
            }
            if (breaker := manager.breakers.get(name)) is not None:
                check |= _broken(check, breaker.metrics(), now)
        checks[f"{name}:availability"] = [check]
        if service.refuses(state.status):
            worst = "fail"
        elif worst == "pass" and check["status"] != "pass":
            worst = "warn"
    position = manager.position
    document: dict[str, Any] = {
        "status": worst,
        "description": "services this application stands on",
        "feed": freshness.feed.value,
        "stale": freshness.is_stale,
        "age_seconds": _age(freshness.age),
        "position": {"epoch": position.epoch, "revision": position.revision},
        "checks": checks,
    }
    if internal:
        document["settings_differ"] = list(manager.differing)
        document["notes"] = manager.doubts().notes()
    return (503 if worst == "fail" else 200), document


def _broken(check: Mapping[str, Any], metrics: BreakerMetrics, now: float) -> dict[str, Any]:
    """A breaker, and what it makes of its service's ``check``: it does not know better than the watchers that a service
    is down, and neither do they know what calls from here come to."""
    found: dict[str, Any] = {
        "breaker": {
            "state": metrics.state.value,
            "since": timestamp(now - metrics.lasted).isoformat(),
            "reason": metrics.reason,
            "detail": metrics.detail,
            "failure_rate": metrics.failure_rate,
            "slow_call_rate": metrics.slow_rate,
            "buffered_calls": metrics.calls,
            "not_permitted_calls": metrics.not_permitted,
        }
    }
    if metrics.state in REFUSING:
        why = metrics.detail or (metrics.reason.value if metrics.reason else "")
        told = f"its circuit breaker here is {metrics.state.value}: {why}"
        found["output"] = f"{check['output']}; {told}" if check["output"] else told
        if check["status"] == "pass":
            found["status"] = "warn"
    return found


def _age(seconds: float) -> float | None:
    """As JSON has it, which knows no infinity."""
    return round(seconds, 3) if math.isfinite(seconds) else None


def _planned(state: ServiceState) -> dict[str, Any]:
    """The planned work that is on or comes next, as everybody may know it; nothing if there is none."""
    return {"planned": notices.planned_view(state.planned)} if state.planned else {}


def _times(state: ServiceState, now: float) -> dict[str, Any]:
    """``since``: when the status began. ``time``: the last observation, ``age_seconds``: how long ago it was."""
    observed = state.observed_at
    return {
        "since": timestamp(state.since).isoformat() if state.since else None,
        "time": timestamp(observed).isoformat() if observed is not None else None,
        "age_seconds": _age(state.age(now)),
    }
