"""Changes of plans, carried through against whatever else is committed of the service meanwhile."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Callable

from broadcaster.domain.errors import StoreUnavailable
from broadcaster.domain.model import Plan
from broadcaster.domain.plans import PlanStep, decide_plan
from broadcaster.store.base import Outcome, Store

ATTEMPTS = 10

WAIT = 0.2
"""Seconds between attempts at most: a worker may be about to seed the carrier."""


async def change_plans(
    store: Store, service: str, decide: Callable[[tuple[Plan, ...]], PlanStep | None], *, at: float, by: str
) -> PlanStep | None:
    """Commits what ``decide`` makes of the service's plans, at ``at`` (Unix seconds); None where that is nothing.

    ``decide`` is asked again for each attempt. Raises what it raises, and StoreUnavailable where nothing could be
    committed. Cancelled, it may or may not have happened.
    """
    commit = f"plan:{uuid.uuid4().hex}"
    for _ in range(ATTEMPTS):
        snapshot = (await store.read()).snapshot
        if not snapshot.position.epoch:
            raise StoreUnavailable("Redis holds no state yet: begin with a worker ('broadcaster probe')")
        held = snapshot.state(service)
        step = decide(held.plans)
        if step is None:
            return None
        written = await store.commit(
            decide_plan(held, step, at=at, by=by),
            commit=commit,
            expected_revision=held.revision,
            known=snapshot.position,
        )
        if written.outcome in (Outcome.DONE, Outcome.REPEATED):
            return step
        await asyncio.sleep(random.uniform(0, WAIT))  # noqa: S311
    raise StoreUnavailable(f"the state of {service} changes too fast; try again")
