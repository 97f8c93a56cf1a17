"""The processes that share a port, and how one of them answers a scrape for all.

Whichever process a scrape reaches asks the others over sockets in a directory that only they know, and adds a label
that tells them apart: a sum over it is the node's.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

log = structlog.get_logger()

ASK_SECONDS = 1.0
"""How long a sibling has to answer; one that is starting or stuck is left out."""

LABEL = "process"


class Siblings:
    """This process (``number``) among those that meet in ``directory``."""

    def __init__(self, directory: Path, number: int) -> None:
        self._directory = directory
        self._number = number

    def __repr__(self) -> str:
        return f"Siblings({str(self._directory)!r}, {self._number})"

    @contextlib.asynccontextmanager
    async def answering(self, registry: CollectorRegistry) -> AsyncIterator[None]:
        """Meanwhile tells siblings what ``registry`` holds."""

        async def tell(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(ConnectionError):
                writer.write(generate_latest(registry))
                await writer.drain()
            writer.close()

        path = self._path(self._number)
        path.unlink(missing_ok=True)  # of one that crashed
        server = await asyncio.start_unix_server(tell, path)
        try:
            yield
        finally:
            server.close()
            path.unlink(missing_ok=True)

    async def gathered(self) -> CollectorRegistry:
        """What all of them hold, as one registry for an encoder."""
        paths = sorted(self._directory.glob("*.sock"))
        texts = await asyncio.gather(*(_ask(path) for path in paths))
        registry = CollectorRegistry()
        registry.register(_Merged({path.stem: text for path, text in zip(paths, texts, strict=True) if text}))
        return registry

    def _path(self, number: int) -> Path:
        return self._directory / f"{number}.sock"


class _Merged(Collector):
    def __init__(self, texts: dict[str, str]) -> None:
        self._texts = texts

    def collect(self) -> Iterable[Metric]:
        merged: dict[str, Metric] = {}
        for process, text in self._texts.items():
            for family in text_string_to_metric_families(text):
                whole = merged.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                whole.samples += [
                    sample._replace(labels={**sample.labels, LABEL: process}) for sample in family.samples
                ]
        return merged.values()

    def describe(self) -> Iterator[Metric]:
        return iter(())


async def _ask(path: Path) -> str:
    try:
        async with asyncio.timeout(ASK_SECONDS):
            reader, writer = await asyncio.open_unix_connection(path)
            try:
                return (await reader.read()).decode()
            finally:
                writer.close()
    except (OSError, TimeoutError) as error:
        log.warning("sibling_silent", process=path.stem, error=str(error) or type(error).__name__)
        return ""
