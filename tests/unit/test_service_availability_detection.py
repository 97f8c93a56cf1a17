"""The plan's unit tests: what detection concludes, and what a handshake is told of it."""

from __future__ import annotations

from broadcaster.domain.admission import Verdict, admit
from broadcaster.domain.detection import DetectorState, Policy, decide
from broadcaster.domain.model import (
    Catalogue,
    Category,
    Criticality,
    EventKind,
    Feature,
    FeedState,
    Observation,
    Outcome,
    Position,
    Service,
    Snapshot,
    Status,
    Transition,
)
from broadcaster.domain.replica import Applied, Replica
from broadcaster.protocol import notices

POLICY = Policy(fall=3, rise=2)
CATALOGUE = Catalogue(
    services={
        "auth": Service(name="auth", title="Sign-in"),
        "clickhouse": Service(name="clickhouse", title="Analytics", criticality=Criticality.OPTIONAL),
    },
    features={
        "chat": Feature(name="chat", title="Chat", requires=("auth",)),
        "analytics": Feature(name="analytics", title="Usage reports", requires=("clickhouse",)),
    },
)


class Watched:
    """Observations of every service through decide() into one replica, as a worker and a node do it."""

    def __init__(self) -> None:
        self.replica = Replica(Snapshot(position=Position("e1", 0)))
        self.detectors = {name: DetectorState() for name in CATALOGUE.services}
        self.transitions: list[Transition] = []

    def observe(self, service: str, outcome: Outcome, times: int = 1) -> None:
        for _ in range(times):
            at = float(len(self.transitions) + 1)
            category = Category.REFUSED if outcome is Outcome.FAILED else None
            observation = Observation(service=service, at=at, outcome=outcome, latency=0.01, category=category)
            self.detectors[service], decision = decide(self.detectors[service], observation, POLICY)
            if decision is None:
                continue
            transition = Transition(
                position=Position("e1", self.replica.position.revision + 1),
                service=service,
                kind=decision.kind,
                previous=decision.previous,
                status=decision.status,
                at=decision.at,
                category=decision.category,
            )
            assert self.replica.apply(transition) is Applied.APPLIED
            self.transitions.append(transition)

    @property
    def snapshot(self) -> Snapshot:
        return self.replica.snapshot


class TestServiceAvailabilityDetection:
    def test_critical_service_unavailable_blocks_websocket(self) -> None:
        """A critical service that fails often enough rejects handshakes, with words and close 1011's reason."""
        watched = Watched()
        watched.observe("auth", Outcome.OK)
        watched.observe("auth", Outcome.FAILED, times=2)
        assert admit(CATALOGUE, watched.snapshot).verdict is Verdict.ACCEPT
        watched.observe("auth", Outcome.FAILED)

        admission = admit(CATALOGUE, watched.snapshot)
        assert admission.verdict is Verdict.REJECT
        assert admission.blocking == ("auth",)
        message = notices.rejected(CATALOGUE, admission, watched.snapshot, 100.0, 5000)
        assert [each.title for each in message.services] == ["Sign-in"]
        assert "Sign-in is unavailable" in message.text
        reason = notices.closing_reason(CATALOGUE, admission, watched.snapshot, 100.0)
        assert "Sign-in" in reason
        assert len(reason.encode()) <= 123

    def test_optional_service_unavailable_allows_degraded_operation(self) -> None:
        """An optional service that is down admits, and the welcome names what is reduced and what is not."""
        watched = Watched()
        watched.observe("auth", Outcome.OK)
        watched.observe("clickhouse", Outcome.FAILED, times=3)
        assert watched.snapshot.status("clickhouse") is Status.DOWN
        assert admit(CATALOGUE, watched.snapshot).verdict is Verdict.ACCEPT_DEGRADED
        message = notices.welcome(CATALOGUE, watched.snapshot, FeedState.LIVE, 100.0)
        assert {each.name: each.status.value for each in message.features} == {
            "chat": "available",
            "analytics": "unavailable",
        }
        assert "Usage reports" in message.text

    def test_service_recovery_detection(self) -> None:
        """A service that answers again often enough has recovered: handshakes are accepted and it is announced."""
        watched = Watched()
        watched.observe("auth", Outcome.OK)
        watched.observe("auth", Outcome.FAILED, times=3)
        watched.observe("auth", Outcome.OK)
        assert admit(CATALOGUE, watched.snapshot).verdict is Verdict.REJECT
        watched.observe("auth", Outcome.OK)
        assert admit(CATALOGUE, watched.snapshot).verdict is Verdict.ACCEPT
        assert [each.kind for each in watched.transitions] == [EventKind.UP, EventKind.DOWN, EventKind.RECOVERED]
