"""Waits at an application's start for what it cannot do without, and says what is likely wrong where that fails.

Looked at from this very process, whatever others have found: it is this one's network, names and credentials that must
work.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urlsplit

import structlog

from broadcaster.config.settings import (
    ClickHouseProbe,
    PostgresProbe,
    RedisProbe,
    ServiceSettings,
    Settings,
    TcpProbe,
    TlsSettings,
)
from broadcaster.domain.errors import DependenciesUnmet, Unmet
from broadcaster.domain.model import Category, Criticality, Observation, Outcome
from broadcaster.probes.base import Probe
from broadcaster.probes.fetch import fetch
from broadcaster.probes.registry import make_probe
from broadcaster.probes.tls import ClientTls

log = structlog.get_logger()

DATABASES = (PostgresProbe, RedisProbe, ClickHouseProbe)

PROGRESS_SECONDS = 5.0
"""How often the log says what is still waited for."""

METADATA_SECONDS = 1.0

GOOGLE = {"Metadata-Flavor": "Google"}
"""What the metadata server wants to see, and shows itself (Compute Engine documentation, "View and query VM metadata").
"""

LIKELY: Mapping[Category, str] = {
    Category.REFUSED: "Nobody listens there: is it started, and is the port right?",
    Category.RESET: "It hangs up: a proxy without its backend, or a protocol that is not expected (TLS or not)?",
    Category.TIMEOUT: "Nothing comes back: a firewall or a route in between, or it hangs.",
    Category.UNREACHABLE: "There is no way to it: the network, a firewall, or a resolver that does not answer.",
    Category.DNS: "The name does not exist: a typing error, or the wrong network's resolver?",
    Category.TLS: "The certificate does not hold: its name, its date, or the authority (tls.ca_file).",
    Category.AUTH: "It refuses our credentials.",
    Category.MISCONFIGURED: "It refuses our key or our account.",
    Category.BAD_RESPONSE: "Something else answers there, or expect_status and the like are wrong.",
    Category.SERVER_ERROR: "It runs, and fails: its own log will say why.",
    Category.OVERLOADED: "It runs, and takes no more for now.",
    Category.LOADING: "It is still loading its data: startup.database_timeout may be too short.",
}
OTHERWISE = "Its own log may say why."

NO_CONNECTOR = (
    "This runs on Google Cloud, and the address is private: a Serverless VPC Access connector or Direct VPC egress is "
    "missing, in another network or region, or does not carry this range (vpc-access-egress); or a firewall rule is in "
    "the way."
)


async def wait_for_dependencies(
    settings: Settings,
    *,
    requires: Sequence[str] | None = None,
    env: Mapping[str, str] = os.environ,
    make_probe: Callable[[str, ServiceSettings], Probe] = make_probe,
) -> None:
    """Returns when every service of ``requires`` (None: every critical one, and those of ``startup.also``) has served
    once, however slowly.

    All are looked at side by side, each until its deadline: ``startup.database_timeout`` for databases, else
    ``startup.service_timeout``. Raises DependenciesUnmet with every one that did not. Cancelling it leaves nothing
    behind.
    """
    waiting = {
        name: each
        for name, each in settings.services.items()
        if (name in requires if requires is not None else _is_needed(name, each, settings))
    }
    if not waiting:
        return
    last: dict[str, Observation] = {}
    async with asyncio.TaskGroup() as tasks:
        telling = tasks.create_task(_tell(waiting, last))
        looking = {
            name: tasks.create_task(_wait(make_probe(name, each), each, deadline(each, settings), settings, last))
            for name, each in waiting.items()
        }
        await asyncio.wait(looking.values())
        telling.cancel()
    missing = [name for name, task in looking.items() if not task.result()]
    if not missing:
        log.info("dependencies_met", services=list(waiting))
        return
    on_cloud = await is_google_cloud(env)
    unmet = tuple(
        [
            Unmet(
                service=name,
                seconds=deadline(waiting[name], settings),
                seen=_seen(last.get(name)),
                likely=await _likely(waiting[name], last.get(name), on_cloud),
            )
            for name in missing
        ]
    )
    for each in unmet:
        log.error("dependency_unmet", service=each.service, seen=each.seen, likely=each.likely)
    raise DependenciesUnmet(unmet)


def deadline(service: ServiceSettings, settings: Settings) -> float:
    """Seconds that the start waits for the service."""
    startup = settings.startup
    return startup.database_timeout if isinstance(service.probe, DATABASES) else startup.service_timeout


async def _wait(
    probe: Probe, service: ServiceSettings, seconds: float, settings: Settings, last: dict[str, Observation]
) -> bool:
    """Whether the service served within ``seconds``; each look's result is noted in ``last``."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + seconds
    try:
        while True:
            left = max(0.1, ends - loop.time())
            seen = last[probe.service] = await probe.observe(min(service.attempt_timeout, left))
            if seen.outcome is not Outcome.FAILED:
                return True
            if loop.time() >= ends:
                return False
            await asyncio.sleep(min(settings.startup.interval, max(0.0, ends - loop.time())))
    finally:
        await probe.aclose()


def _is_needed(name: str, service: ServiceSettings, settings: Settings) -> bool:
    return service.criticality is Criticality.CRITICAL or name in settings.startup.also


async def _tell(waiting: Mapping[str, ServiceSettings], last: Mapping[str, Observation]) -> None:
    while True:
        await asyncio.sleep(PROGRESS_SECONDS)
        missing = {
            name: _seen(last.get(name)) for name in waiting if name not in last or last[name].outcome is Outcome.FAILED
        }
        if missing:
            log.info("waiting_for_dependencies", missing=missing)


def _seen(observation: Observation | None) -> str:
    if observation is None:
        return "not looked at"
    return observation.detail or (observation.category.value if observation.category else "failed")


async def _likely(service: ServiceSettings, seen: Observation | None, on_cloud: bool) -> str:
    if seen is None or seen.category is None:
        return OTHERWISE
    if on_cloud and seen.category in (Category.TIMEOUT, Category.UNREACHABLE) and await is_private(service):
        return NO_CONNECTOR
    return LIKELY.get(seen.category, OTHERWISE)


async def is_private(service: ServiceSettings) -> bool:
    """Whether the service's address is one that only its own network reaches."""
    host = _host(service)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, ValueError):  # a name may be none
        return False
    return any(ipaddress.ip_address(address[4][0]).is_private for address in found)


def _host(service: ServiceSettings) -> str:
    match service.probe:
        case TcpProbe(host=host):
            return host
        case PostgresProbe(dsn=url):
            return urlsplit(url).hostname or ""
        case _ as probe:
            return urlsplit(probe.url).hostname or ""


async def is_google_cloud(env: Mapping[str, str]) -> bool:
    """Whether this is a container of Google Cloud: it says so in the environment (Cloud Run's ``K_SERVICE`` or
    ``CLOUD_RUN_JOB``; App Engine's ``GAE_SERVICE``), and the metadata server, at ``GCE_METADATA_HOST`` or its usual
    name, answers as one."""
    if not any(env.get(marker) for marker in ("K_SERVICE", "CLOUD_RUN_JOB", "GAE_SERVICE")):
        return False
    host = env.get("GCE_METADATA_HOST") or "metadata.google.internal"
    try:
        async with asyncio.timeout(METADATA_SECONDS):
            answer = await fetch(
                f"http://{host}/computeMetadata/v1/project/project-id",
                tls=ClientTls(TlsSettings()),
                headers=GOOGLE,
            )
    except Exception as error:  # noqa: BLE001 - whatever answers there, or does not, is no metadata server
        log.info("no_metadata_server", host=host, error=str(error) or type(error).__name__)
        return False
    return all(answer.headers.get(name) == value for name, value in GOOGLE.items())
