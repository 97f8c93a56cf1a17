"""Looking at a service once, as the worker does."""

from __future__ import annotations

from broadcaster.config.settings import ProbeSettings, ServiceSettings
from broadcaster.domain.model import Category, Observation, Outcome
from broadcaster.probes.registry import make_probe

PLENTY = 20.0
"""Seconds for what is to be answered: long enough for a busy machine."""

SHORT = 0.3
"""Seconds for what is never answered."""


async def look(settings: ProbeSettings, timeout: float = PLENTY) -> Observation:
    """One observation of the probe that these settings describe."""
    probe = make_probe("sample", ServiceSettings(probe=settings))
    try:
        return await probe.observe(timeout)
    finally:
        await probe.aclose()


def verdict(observation: Observation) -> tuple[Outcome, Category | None]:
    """What an observation concluded."""
    return observation.outcome, observation.category
