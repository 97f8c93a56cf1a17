"""For an application that Prometheus scrapes: what its manager knows, and how its circuit breakers are."""

from broadcaster.integrations.prometheus.collector import ManagerCollector

__all__ = ["ManagerCollector"]
