"""What a worker tells Prometheus: what its probes cost and find, how late they are, what it owns."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, start_http_server

from broadcaster.domain.errors import StartupError
from broadcaster.domain.model import Observation, Outcome

_LATENESS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class WorkerMetrics:
    """Counts of one process, over all changes of its settings. Safe to be scraped from another thread."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        # The processor's seconds over the number of probes are what one costs here.
        ProcessCollector(registry=self.registry)
        self._probes = Counter(
            "broadcaster_probes", "Observations made", ["service", "outcome"], registry=self.registry
        )
        self._seconds = Counter(
            "broadcaster_probe_seconds", "Seconds that observations took in all", ["service"], registry=self.registry
        )
        self._lateness = Histogram(
            "broadcaster_probe_lateness_seconds",
            "How long after its time an observation began",
            buckets=_LATENESS,
            registry=self.registry,
        )
        self._owned = Gauge("broadcaster_services_owned", "Services that are this worker's", registry=self.registry)
        self._reachable = Gauge("broadcaster_carrier_reachable", "1 while Redis answers", registry=self.registry)
        self._cut_off = Gauge(
            "broadcaster_worker_cut_off", "1 while the worker suspects its own network", registry=self.registry
        )
        self._services: set[str] = set()

    def started(self, lateness: float) -> None:
        """An observation begins ``lateness`` seconds after its time."""
        self._lateness.observe(max(0.0, lateness))

    def observed(self, observation: Observation) -> None:
        """One observation ended."""
        self._services.add(observation.service)
        self._probes.labels(observation.service, observation.outcome.value).inc()
        self._seconds.labels(observation.service).inc(observation.latency)

    def follow(
        self, *, owned: Callable[[], int], is_reachable: Callable[[], bool], is_cut_off: Callable[[], bool]
    ) -> None:
        """Asks these, from whichever thread scrapes, how the worker is."""
        self._owned.set_function(owned)
        self._reachable.set_function(is_reachable)
        self._cut_off.set_function(is_cut_off)

    def keep(self, services: Iterable[str]) -> None:
        """Forgets services that are no longer in the settings."""
        for service in self._services - set(services):
            self._services.discard(service)
            self._seconds.remove(service)
            for outcome in Outcome:
                with contextlib.suppress(KeyError):
                    self._probes.remove(service, outcome.value)

    @contextlib.contextmanager
    def served(self, host: str, port: int) -> Iterator[None]:
        """Meanwhile answers scrapes on a thread of its own. Raises StartupError where the port cannot be had."""
        try:
            server, thread = start_http_server(port, host, registry=self.registry)
        except OSError as error:
            raise StartupError(
                f"cannot listen on {host}:{port}: {error.strerror or error}; choose another with --metrics-port"
            ) from error
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
