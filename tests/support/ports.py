"""Free loopback ports that stay free: taken from below the range the kernel gives to outgoing connections."""

from __future__ import annotations

import os
import random
import socket

LOOPBACK = "127.0.0.1"

_FIRST, _LAST = 20_000, 32_000
"""Linux hands out 32768 and above by itself; a port from there could be taken while its server is down on purpose."""

_random = random.Random(os.getpid() ^ random.SystemRandom().getrandbits(32))
_given: set[int] = set()


def free_port(host: str = LOOPBACK) -> int:
    """A TCP port nobody listens on, and that this process has not been given before."""
    for _ in range(1000):
        port = _random.randint(_FIRST, _LAST)
        if port not in _given and _is_free(host, port):
            _given.add(port)
            return port
    raise RuntimeError(f"no free port between {_FIRST} and {_LAST}")


def _is_free(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True
