"""Health documents in the form of draft-inadarei-api-health-check-06 (``application/health+json``)."""

from __future__ import annotations

from typing import Any

from broadcaster.domain.model import FeedState, ServiceState, Status
from broadcaster.manager.manager import ServiceAvailabilityManager
from broadcaster.protocol import notices
from broadcaster.protocol.messages import timestamp

MEDIA_TYPE = "application/health+json"

_STATUS = {Status.UP: "pass", Status.DEGRADED: "warn", Status.UNKNOWN: "warn", Status.DOWN: "fail"}


def dependencies(manager: ServiceAvailabilityManager, now: float, *, internal: bool) -> tuple[int, dict[str, Any]]:
    """The HTTP status (503 while a critical service is down) and the document, one check a service.

    ``internal`` adds what only operators may see: why, how fast, whose it is and what to do.
    """
    checks = {}
    worst = "pass" if manager.feed_state is FeedState.LIVE else "warn"
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
        checks[f"{name}:availability"] = [check]
        if service.refuses(state.status):
            worst = "fail"
        elif worst == "pass" and check["status"] != "pass":
            worst = "warn"
    position = manager.position
    document: dict[str, Any] = {
        "status": worst,
        "description": "services this application stands on",
        "feed": manager.feed_state.value,
        "position": {"epoch": position.epoch, "revision": position.revision},
        "checks": checks,
    }
    if internal:
        document["settings_differ"] = list(manager.differing)
    return (503 if worst == "fail" else 200), document


def _planned(state: ServiceState) -> dict[str, Any]:
    """The planned work that is on or comes next, as everybody may know it; nothing if there is none."""
    return {"planned": notices.planned_view(state.planned)} if state.planned else {}


def _times(state: ServiceState, now: float) -> dict[str, Any]:
    """``since``: when the status began. ``time``: the last observation, ``age_seconds``: how long ago it was."""
    observed = state.observed_at
    return {
        "since": timestamp(state.since).isoformat() if state.since else None,
        "time": timestamp(observed).isoformat() if observed is not None else None,
        "age_seconds": round(max(0.0, now - observed), 3) if observed is not None else None,
    }
