"""What a node counts, as Prometheus metrics, made when somebody scrapes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from broadcaster.domain.model import FeedState, PlanKind, Status
from broadcaster.manager.manager import ServiceAvailabilityManager
from broadcaster.node.counts import NodeCounts
from broadcaster.node.hub import Hub


class NodeCollector(Collector):
    """Registers itself nowhere; ``registry_for`` makes a registry of it."""

    def __init__(
        self,
        counts: NodeCounts,
        manager: ServiceAvailabilityManager,
        hub: Hub,
    ) -> None:
        self._counts = counts
        self._manager = manager
        self._hub = hub

    def collect(self) -> Iterable[Metric]:
        counts = self._counts
        gauge = GaugeMetricFamily("broadcaster_connections", "Open WebSocket connections", labels=["state"])
        for state, number in self._hub.connections().items():
            gauge.add_metric([state], number)
        yield gauge
        yield GaugeMetricFamily(
            "broadcaster_waiting_connections", "Open connections that have yet to be let in", value=self._hub.waiting
        )
        yield GaugeMetricFamily(
            "broadcaster_audiences", "Different views of the truth that are told", value=self._hub.audiences
        )
        yield _counter("broadcaster_handshakes", "Completed handshakes", "verdict", counts.handshakes)
        yield CounterMetricFamily(
            "broadcaster_unenforced_rejections",
            "Handshakes that were let in although the rules reject them",
            value=self._manager.gate.unenforced,
        )
        yield _counter("broadcaster_refused_requests", "Upgrades refused by HTTP status", "status", counts.refused)
        yield _counter("broadcaster_closed_connections", "Connections closed by us", "reason", counts.closed)
        yield _counter("broadcaster_messages", "Messages handed to connections", "type", counts.messages)
        yield CounterMetricFamily(
            "broadcaster_resumed_connections", "Slow clients that caught up", value=counts.resumed
        )
        feed = GaugeMetricFamily("broadcaster_feed_state", "1 for the feed's present state", labels=["state"])
        for each in FeedState:
            feed.add_metric([each.value], float(each is self._manager.feed_state))
        yield feed
        yield GaugeMetricFamily(
            "broadcaster_feed_revision",
            "Revision of the last transition that is known",
            value=self._manager.position.revision,
        )
        yield GaugeMetricFamily(
            "broadcaster_settings_differ",
            "Workers and nodes that use other settings than this node",
            value=len(self._manager.differing),
        )
        services = GaugeMetricFamily(
            "broadcaster_service_status", "1 for a service's present status", labels=["service", "status"]
        )
        plans = GaugeMetricFamily(
            "broadcaster_service_plan", "1 while such a plan is on: no reason to alert", labels=["service", "plan"]
        )
        for name in self._manager.catalogue.services:
            now = self._manager.status(name)
            for status in Status:
                services.add_metric([name, status.value], float(status is now))
            held = self._manager.state(name)
            plans.add_metric([name, PlanKind.MAINTENANCE.value], float(held.maintenance is not None))
            plans.add_metric([name, PlanKind.OVERRIDE.value], float(held.override is not None))
        yield services
        yield plans


def registry_for(collector: NodeCollector) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(collector)
    return registry


def _counter(name: str, text: str, label: str, values: Counter[str] | Counter[int]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, text, labels=[label])
    for value, number in values.items():
        family.add_metric([str(value)], number)
    return family
