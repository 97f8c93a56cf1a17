"""From a service's settings to its probe."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import assert_never

from broadcaster.config.settings import (
    ClickHouseProbe,
    HttpProbe,
    LlmApiProbe,
    PostgresProbe,
    RedisProbe,
    ServiceSettings,
    TcpProbe,
    WebSocketProbe,
)
from broadcaster.probes import clickhouse, http, llm_api, postgres, redis, tcp, websocket
from broadcaster.probes.base import Probe


def make_probe(service: str, settings: ServiceSettings, clock: Callable[[], float] = time.time) -> Probe:
    """The probe for ``service``. Opens nothing yet; ``clock`` gives the Unix time of its observations."""
    match settings.probe:
        case HttpProbe() as probe:
            return http.HttpLook(service, probe, clock=clock)
        case PostgresProbe() as probe:
            return postgres.PostgresLook(service, probe, clock=clock)
        case RedisProbe() as probe:
            return redis.RedisLook(service, probe, clock=clock)
        case ClickHouseProbe() as probe:
            return clickhouse.ClickHouseLook(service, probe, clock=clock)
        case TcpProbe() as probe:
            return tcp.TcpLook(service, probe, clock=clock)
        case WebSocketProbe() as probe:
            return websocket.WebSocketLook(service, probe, clock=clock)
        case LlmApiProbe() as probe:
            return llm_api.LlmApiLook(service, probe, clock=clock)
        case _ as unknown:
            assert_never(unknown)
