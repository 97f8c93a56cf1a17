"""Something listens on a TCP port and, if asked, completes a TLS handshake."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from broadcaster.config.settings import TcpProbe
from broadcaster.probes.base import DrivenProbe
from broadcaster.probes.classify import Finding
from broadcaster.probes.dial import open_socket
from broadcaster.probes.tls import ClientTls


class TcpLook(DrivenProbe):
    def __init__(self, service: str, settings: TcpProbe, *, clock: Callable[[], float] = time.time) -> None:
        super().__init__(service, clock=clock)
        self._settings = settings
        self._tls = None if settings.tls is None else ClientTls(settings.tls)

    async def _look(self) -> Finding:
        connection = await open_socket(self._settings.host, self._settings.port)
        try:
            if self._tls is not None:
                transport, _ = await asyncio.get_running_loop().create_connection(
                    asyncio.Protocol,
                    sock=connection,
                    ssl=self._tls.context(),
                    server_hostname=self._tls.server_name(self._settings.host),
                )
                # Not close(): with TLS that waits for the other side's goodbye.
                transport.abort()
        finally:
            connection.close()
        return Finding()
