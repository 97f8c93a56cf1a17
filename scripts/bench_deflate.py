#!/usr/bin/env python3
"""What permessage-deflate would save, and cost: the figures behind its being off.

    .venv/bin/python scripts/bench_deflate.py

For a notice, and the welcome of applications of several sizes: bytes as they are and deflated, segments of a common
network (1,448 bytes of payload each), microseconds to deflate it once, and to send it over loopback to many, in one
run. Deflated as a broadcast has to be: once for all, so without a memory of what each client got before ("no context
takeover"). A memory for each would shrink notices further, and cost what the last line says.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import sys
import time
import zlib

import msgspec
from rich.console import Console
from rich.table import Table

from broadcaster.config.settings import FeatureSettings, ServiceSettings, Settings
from broadcaster.domain.model import EventKind, FeedState, Position, ServiceState, Snapshot, Status
from broadcaster.protocol import codec, notices
from scripts.benching.application import PROBE
from scripts.benching.system import raise_limits, rss_bytes

SEGMENT = 1448
TAIL = b"\x00\x00\xff\xff"
"""RFC 7692, section 7.2.1: what is left out of every deflated message."""

SIZES = (5, 50, 200)
CONTEXTS = 200


def application(services: int) -> tuple[Settings, Snapshot]:
    """Services that are up, but for one, and a feature for every five of them."""
    names = [f"service-{number}" for number in range(services)]
    settings = Settings(
        services={name: ServiceSettings(probe=PROBE, title=name.replace("-", " ").title()) for name in names},
        features={
            f"feature-{number}": FeatureSettings(title=f"Feature {number}", requires=(names[number],))
            for number in range(0, services, 5)
        },
    )
    states = {
        name: ServiceState(
            service=name, status=Status.UP, since=1_800_000_000.0 + number, revision=number + 1, observed_at=1.8e9
        )
        for number, name in enumerate(names)
    }
    states[names[0]] = msgspec.structs.replace(states[names[0]], status=Status.DOWN)
    return settings, Snapshot(position=Position("1a20a6c5ec4-48170e00", services + 1), services=states)


def messages() -> dict[str, bytes]:
    """Payloads by what they are."""
    found: dict[str, bytes] = {}
    for services in SIZES:
        settings, snapshot = application(services)
        catalogue = settings.catalogue()
        if not found:
            notice = notices.notice(catalogue, Snapshot(), snapshot, EventKind.DOWN, "service-0", 1.8e9)
            found["notice"] = codec.encode(notice)
        welcome = notices.welcome(catalogue, snapshot, FeedState.LIVE, 1.8e9)
        found[f"welcome, {services} services"] = codec.encode(welcome)
    return found


def deflated(payload: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return (compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)).removesuffix(TAIL)


def seconds_to_send(payloads: tuple[bytes, bytes], clients: int, rounds: int) -> tuple[float, float]:
    """Seconds of CPU for one ``send`` of each, over TCP on loopback, in turn."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=clients)
    here = [socket.create_connection(listener.getsockname()) for _ in range(clients)]
    there = [listener.accept()[0] for _ in here]
    used: tuple[list[float], list[float]] = ([], [])
    buffer = bytearray(1 << 20)
    for _ in range(rounds):
        for payload, seen in zip(payloads, used, strict=True):
            started = time.process_time()
            for each in there:
                each.send(payload)
            seen.append((time.process_time() - started) / clients)
            for each in here:
                read = 0
                while read < len(payload):
                    read += each.recv_into(buffer)
    for each in (*here, *there, listener):
        each.close()
    return statistics.median(used[0]), statistics.median(used[1])


def context_bytes() -> float:
    """Memory that a client's own compressor and decompressor take once they were used."""
    before, kept = rss_bytes(os.getpid()), []
    for _ in range(CONTEXTS):
        compressor, decompressor = zlib.compressobj(wbits=-15), zlib.decompressobj(wbits=-15)
        decompressor.decompress(compressor.compress(bytes(500)) + compressor.flush(zlib.Z_SYNC_FLUSH))
        kept.append((compressor, decompressor))
    return (rss_bytes(os.getpid()) - before) / len(kept)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON, too")
    arguments = parser.parse_args()
    raise_limits()
    table = Table(title=f"{arguments.clients:,} clients, median of {arguments.rounds} rounds")
    table.add_column("message")
    for title in ("bytes", "deflated", "segments", "deflated", "to deflate", "CPU per send", "deflated", "saved"):
        table.add_column(title, justify="right")
    figures = {}
    for name, payload in messages().items():
        small = deflated(payload)
        started = time.process_time()
        for _ in range(200):
            deflated(payload)
        took = (time.process_time() - started) / 200
        plain, less = seconds_to_send((payload, small), arguments.clients, arguments.rounds)
        figures[name] = {"bytes": len(payload), "deflated": len(small), "deflate": took, "send": plain, "sent": less}
        table.add_row(
            name,
            f"{len(payload):,}",
            f"{len(small):,}",
            str(-(-len(payload) // SEGMENT)),
            str(-(-len(small) // SEGMENT)),
            f"{took * 1e6:.0f} µs",
            f"{plain * 1e6:.2f} µs",
            f"{less * 1e6:.2f} µs",
            f"{1 - less / plain:.0%}",
        )
    console = Console(width=None if sys.stdout.isatty() else 150)
    console.print(table)
    console.print(f"A memory of its own for each client would take {context_bytes() / 1024:.0f} KiB.", style="dim")
    if arguments.json:
        print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
