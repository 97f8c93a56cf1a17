"""What must hold between the values of a file, beyond each value's own type."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from broadcaster.config.durations import format_duration
from broadcaster.config.settings import BreakerSettings, HttpProbe, ServiceSettings, Settings, WordsSettings
from broadcaster.config.tree import Inspection, Path, Place, closest
from broadcaster.domain.breaker import BreakerPolicy
from broadcaster.domain.errors import BreakerError
from broadcaster.domain.languages import canonical
from broadcaster.domain.model import Criticality


class Checker:
    """Checks decoded settings and notes what does not hold, at the place of the value that should change."""

    def __init__(self, inspection: Inspection, places: Mapping[Path, Place]) -> None:
        self._inspection = inspection
        self._places = places

    def check(self, settings: Settings) -> None:
        """Notes everything wrong. Parts that could not be decoded are not judged."""
        services = settings.services if isinstance(settings.services, Mapping) else {}
        # Services that could not be read exist all the same: what names them is not wrong.
        names = [str(path[1]) for path in self._places if len(path) == 2 and path[0] == "services"]
        for name, service in services.items():
            self._check_service(("services", name), name, service, names)
            self._check_breaker(("services", name, "breaker"), service.breaker, self._default_policy(settings))
            self._check_locales(("services", name, "locales"), service.locales, settings.default_locale)
        for name, feature in settings.features.items():
            path: Path = ("features", name)
            self._check_names((*path, "requires"), feature.requires, names)
            self._check_names((*path, "any_of"), feature.any_of, names)
            self._check_locales((*path, "locales"), feature.locales, settings.default_locale)
            if not feature.requires and not feature.any_of:
                self._note(path, "needs nothing, so nothing could ever be told of it", "name services in 'requires'")
        if settings.redis.service:
            self._check_names(("redis", "service"), (settings.redis.service,), names, indexed=False)
        if settings.feed.stale_after <= settings.feed.heartbeat_interval:
            self._note(("feed", "stale_after"), "must be longer than heartbeat_interval")
        if settings.worker.lease_ttl < 2 * settings.feed.heartbeat_interval:
            self._note(("worker", "lease_ttl"), "must be at least twice feed.heartbeat_interval, which renews leases")
        if settings.node.tls_key and not settings.node.tls_certificate:
            self._note(("node", "tls_key"), "has no certificate beside it", "name it in tls_certificate")
        self._check_breaker(("breaker",), settings.breaker, BreakerPolicy())
        self._check_cycles(services, names)

    def _check_service(self, path: Path, name: str, service: ServiceSettings, names: list[str]) -> None:
        self._check_names((*path, "depends_on"), service.depends_on, names)
        if (*path, "fast_interval") in self._places and service.fast_interval > service.interval:
            self._note((*path, "fast_interval"), f"must not be above interval ({format_duration(service.interval)})")
        if service.quorum > service.observers:
            self._note((*path, "quorum"), f"must not be above observers ({service.observers})")
        if not service.fail_open and service.criticality is not Criticality.CRITICAL:
            self._note((*path, "fail_open"), "an optional service refuses nobody in any case", "leave it out")
        if isinstance(service.probe, HttpProbe):
            where = (*path, "probe", "expect_status")
            if not service.probe.expect_status:
                self._note(where, "must name at least one status", "such as 200 or '2xx'")
            for index, status in enumerate(service.probe.expect_status):
                if not re.fullmatch(r"[1-5](xx|[0-9]{2})", str(status)):
                    self._note((*where, index), "must be a status such as 200 or a class such as '2xx'")

    def _check_locales(self, path: Path, locales: Mapping[str, WordsSettings], default: str) -> None:
        written: dict[str, str] = {}
        for tag, words in locales.items():
            first = written.setdefault(canonical(tag), tag)
            if canonical(tag) == canonical(default):
                self._note(
                    (*path, tag),
                    f"{tag} is the default_locale, whose words stand beside 'locales'",
                    "move them there, or name the language that those are in as default_locale",
                )
            elif first != tag:
                self._note((*path, tag), f"is the same language as {first}", "put the words of both together")
            elif not words.title and not words.texts:
                self._note((*path, tag), "says nothing", "give it a title or texts, or leave it out")

    def _check_breaker(self, path: Path, breaker: BreakerSettings, otherwise: BreakerPolicy) -> None:
        """What the section, or a service, makes of the open times; what it left as it was is not its mistake."""
        wait, longest = "wait_duration_in_open_state", "exponential_max_wait_duration_in_open_state"
        opened = getattr(breaker, wait) or otherwise.wait_duration_in_open_state
        most = getattr(breaker, longest) or otherwise.exponential_max_wait_duration_in_open_state
        if opened <= most:
            return
        if (*path, longest) in self._places:
            self._note((*path, longest), f"must not be below {wait} ({format_duration(opened)})")
        elif (*path, wait) in self._places:
            self._note((*path, wait), f"must not be above {longest} ({format_duration(most)})", "raise that as well")

    @staticmethod
    def _default_policy(settings: Settings) -> BreakerPolicy:
        """What services have that say nothing else; the plan's where the section itself makes no sense."""
        try:
            return settings.breaker.policy()
        except BreakerError:
            return BreakerPolicy()

    def _check_names(self, path: Path, given: tuple[str, ...], names: list[str], *, indexed: bool = True) -> None:
        for index, name in enumerate(given):
            if name not in names:
                self._note((*path, index) if indexed else path, f"no service is called {name!r}", closest(name, names))

    def _check_cycles(self, services: Mapping[str, ServiceSettings], names: list[str]) -> None:
        for cycle in cycles({name: service.depends_on for name, service in services.items()}):
            around = " -> ".join([*cycle, cycle[0]])
            self._note(("services", cycle[0], "depends_on"), f"services depend on each other in a circle: {around}")

    def _note(self, path: Path, message: str, hint: str = "") -> None:
        at = path
        while at and at not in self._places:
            at = at[:-1]
        self._inspection.add(self._places.get(at, (1, 1)), path, message, hint)


def cycles(edges: Mapping[str, tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    """The circles of a graph, at least one for every group of nodes that reach each other; without recursion."""
    done: set[str] = set()
    for start in edges:
        path: list[str] = []
        on_path: set[str] = set()
        stack = [(start, False)]
        while stack:
            node, leaving = stack.pop()
            if leaving:
                path.pop()
                on_path.discard(node)
                done.add(node)
            elif node in on_path:
                yield tuple(path[path.index(node) :])
            elif node not in done:
                path.append(node)
                on_path.add(node)
                stack.append((node, True))
                stack.extend((each, False) for each in reversed(edges.get(node, ())))
