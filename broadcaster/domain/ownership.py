"""Who looks after which service: rendezvous hashing, so that a worker that comes or goes moves only its own share.

Source: Thaler and Ravishankar, "A Name-Based Mapping Scheme for Rendezvous" (1996): every worker has a score for every
service, computable by all alike; the highest wins.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable


def ranking(service: str, workers: Iterable[str]) -> list[str]:
    """The workers in the order in which they should look after ``service``, the first one first."""
    return sorted(workers, key=lambda worker: (_score(service, worker), worker), reverse=True)


def share(services: Iterable[str], worker: str, workers: Collection[str]) -> set[str]:
    """The services whose first choice among ``workers`` is ``worker``."""
    return {
        service
        for service in services
        if worker == max(workers, key=lambda each, service=service: (_score(service, each), each))  # type: ignore[misc]
    }


def _score(service: str, worker: str) -> bytes:
    return hashlib.blake2b(f"{worker}\0{service}".encode(), digest_size=8).digest()
