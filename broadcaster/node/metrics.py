"""What a node counts, as Prometheus metrics, made when somebody scrapes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from broadcaster.integrations.prometheus import ManagerCollector
from broadcaster.manager.manager import ServiceAvailabilityManager
from broadcaster.node.counts import NodeCounts
from broadcaster.node.hub import Hub


class NodeCollector(Collector):
    """What its clients are to a node, and what its manager knows as ``ManagerCollector`` has it. Registers itself
    nowhere; ``registry_for`` makes a registry of it."""

    def __init__(
        self,
        counts: NodeCounts,
        manager: ServiceAvailabilityManager,
        hub: Hub,
    ) -> None:
        self._counts = counts
        self._shared = ManagerCollector(manager)
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
        yield _counter("broadcaster_refused_requests", "Upgrades refused by HTTP status", "status", counts.refused)
        yield _counter("broadcaster_closed_connections", "Connections closed by us", "reason", counts.closed)
        yield _counter("broadcaster_messages", "Messages handed to connections", "type", counts.messages)
        yield CounterMetricFamily(
            "broadcaster_resumed_connections", "Slow clients that caught up", value=counts.resumed
        )
        yield from self._shared.collect()


def registry_for(collector: NodeCollector) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(collector)
    return registry


def _counter(name: str, text: str, label: str, values: Counter[str] | Counter[int]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, text, labels=[label])
    for value, number in values.items():
        family.add_metric([str(value)], number)
    return family
