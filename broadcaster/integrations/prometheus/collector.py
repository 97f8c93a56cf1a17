"""What a manager knows, as Prometheus metrics, made when somebody scrapes.

Names of breakers' metrics are Resilience4j's (documentation, "Micrometer Metrics"), with our prefix and units.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from broadcaster.domain.breaker import BreakerState
from broadcaster.domain.model import FeedState, PlanKind, Status
from broadcaster.manager.breaker import ServiceBreaker
from broadcaster.manager.manager import ServiceAvailabilityManager


class ManagerCollector(Collector):
    """Registers itself nowhere: ``registry.register(ManagerCollector(manager))``, with one manager for a registry.

    Costs nothing between scrapes, and may be scraped from any thread. Ages are seconds, and infinite where nobody was
    ever heard, or the service never observed; rates are parts (0 to 1), and missing where there are too few calls.
    """

    def __init__(self, manager: ServiceAvailabilityManager) -> None:
        self._manager = manager

    def __repr__(self) -> str:
        return f"ManagerCollector({self._manager!r})"

    def collect(self) -> Iterable[Metric]:
        yield from self._feed()
        yield from self._services()
        yield CounterMetricFamily(
            "broadcaster_unenforced_rejections",
            "Handshakes that were let in although the rules reject them",
            value=self._manager.gate.unenforced,
        )
        breakers = dict(self._manager.breakers)
        if breakers:
            yield from _breakers(breakers)

    def _feed(self) -> Iterator[Metric]:
        manager, freshness = self._manager, self._manager.freshness
        state = GaugeMetricFamily("broadcaster_feed_state", "1 for the feed's present state", labels=["state"])
        for each in FeedState:
            state.add_metric([each.value], float(each is freshness.feed))
        yield state
        yield GaugeMetricFamily(
            "broadcaster_feed_age_seconds", "Seconds since a worker was last heard", value=freshness.age
        )
        yield GaugeMetricFamily(
            "broadcaster_feed_revision",
            "Revision of the last transition that is known",
            value=manager.position.revision,
        )
        yield GaugeMetricFamily(
            "broadcaster_settings_differ",
            "Workers and nodes that use other settings than this process",
            value=len(manager.differing),
        )

    def _services(self) -> Iterator[Metric]:
        statuses = GaugeMetricFamily(
            "broadcaster_service_status", "1 for a service's present status", labels=["service", "status"]
        )
        ages = GaugeMetricFamily(
            "broadcaster_service_age_seconds", "Seconds since a service was last observed", labels=["service"]
        )
        plans = GaugeMetricFamily(
            "broadcaster_service_plan", "1 while such a plan is on: no reason to alert", labels=["service", "plan"]
        )
        for name in self._manager.catalogue.services:
            held = self._manager.state(name)
            for status in Status:
                statuses.add_metric([name, status.value], float(status is held.status))
            ages.add_metric([name], self._manager.age(name))
            plans.add_metric([name, PlanKind.MAINTENANCE.value], float(held.maintenance is not None))
            plans.add_metric([name, PlanKind.OVERRIDE.value], float(held.override is not None))
        yield statuses
        yield ages
        yield plans


def _breakers(breakers: dict[str, ServiceBreaker]) -> Iterator[Metric]:
    states = GaugeMetricFamily("broadcaster_breaker_state", "1 for its present state", labels=["service", "state"])
    calls = CounterMetricFamily("broadcaster_breaker_calls", "Calls by what they came to", labels=["service", "kind"])
    slow = CounterMetricFamily("broadcaster_breaker_slow_calls", "Calls that were slow", labels=["service", "kind"])
    buffered = GaugeMetricFamily(
        "broadcaster_breaker_buffered_calls", "Calls in the window that it goes by", labels=["service", "kind"]
    )
    failure = GaugeMetricFamily(
        "broadcaster_breaker_failure_rate", "The part of the buffered calls that failed", labels=["service"]
    )
    slowness = GaugeMetricFamily(
        "broadcaster_breaker_slow_call_rate", "The part of the buffered calls that were slow", labels=["service"]
    )
    for name, breaker in breakers.items():
        seen, counts = breaker.metrics(), breaker.counts
        for state in BreakerState:
            states.add_metric([name, state.value], float(state is seen.state))
        for kind, number in (
            ("successful", counts.successful),
            ("failed", counts.failed),
            ("ignored", counts.ignored),
            ("not_permitted", seen.not_permitted),
        ):
            calls.add_metric([name, kind], number)
        slow.add_metric([name, "successful"], counts.slow_successful)
        slow.add_metric([name, "failed"], counts.slow_failed)
        buffered.add_metric([name, "successful"], seen.calls - seen.failures)
        buffered.add_metric([name, "failed"], seen.failures)
        if seen.failure_rate is not None:
            failure.add_metric([name], seen.failure_rate)
        if seen.slow_rate is not None:
            slowness.add_metric([name], seen.slow_rate)
    yield from (states, calls, slow, buffered, failure, slowness)
