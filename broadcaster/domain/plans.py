"""What operators say of services for a time: planned work and overrides, and what becomes of them as time passes.

Probes go on meanwhile, and what they conclude is committed. Planned work explains it; an override is told instead of it
until it ends, which nobody can forget to say: every plan has an end.
"""

from __future__ import annotations

import msgspec

from broadcaster.domain.errors import PlanError
from broadcaster.domain.model import Plan, PlanAction, PlanKind, ServiceState, Status

LONGEST = 30 * 86400.0
"""Seconds that a plan may last. What is true for longer belongs into the settings."""

FURTHEST = 365 * 86400.0
"""Seconds ahead that a plan may begin."""

MOST = 20
"""Plans that a service may have at a time."""

GRACE = 5.0
"""Seconds after which a reader takes a plan to have begun, or to be over, where no worker has said so."""


class PlanStep(msgspec.Struct, frozen=True, kw_only=True):
    """One change of a service's plans, to be committed: what becomes of ``plan``, and all plans after it."""

    action: PlanAction
    plan: Plan
    plans: tuple[Plan, ...]


class PlanDecision(msgspec.Struct, frozen=True, kw_only=True):
    """A step as it is committed: whose, when, by whom, and the state that it leaves the service in."""

    service: str
    at: float
    by: str
    step: PlanStep
    state: ServiceState

    @property
    def plans(self) -> tuple[Plan, ...]:
        return self.step.plans


def decide_plan(held: ServiceState, step: PlanStep, *, at: float, by: str) -> PlanDecision:
    """What to commit for ``step``, where the service is as ``held``."""
    return PlanDecision(
        service=held.service, at=at, by=by, step=step, state=msgspec.structs.replace(held, plans=step.plans)
    )


def add(plans: tuple[Plan, ...], plan: Plan, now: float) -> PlanStep:
    """Adds a plan; one that begins now or began earlier has begun. A new override takes the place of the old one.

    Raises PlanError for a plan that makes no sense: over already, longer than ``LONGEST``, more than ``FURTHEST``
    ahead, an override without a status or that begins later, or one more than ``MOST``.
    """
    if plan.until <= max(plan.starts_at, now):
        raise PlanError("it would be over before it begins" if plan.starts_at > now else "its end has passed already")
    if plan.until - plan.starts_at > LONGEST:
        raise PlanError(
            f"it must not last longer than {LONGEST / 86400:.0f} days; what is true for longer is a setting"
        )
    if plan.starts_at - now > FURTHEST:
        raise PlanError(f"it must not begin more than {FURTHEST / 86400:.0f} days ahead")
    if plan.kind is PlanKind.OVERRIDE:
        if plan.status in (None, Status.UNKNOWN):
            raise PlanError("an override must say up, degraded or down")
        if plan.starts_at > now:
            raise PlanError("an override begins at once")
        plans = tuple(each for each in plans if each.kind is not PlanKind.OVERRIDE)
    if len(plans) >= MOST:
        raise PlanError(f"the service has {MOST} plans already")
    plan = msgspec.structs.replace(plan, has_begun=plan.starts_at <= now)
    after = tuple(sorted((*plans, plan), key=lambda each: each.starts_at))
    return PlanStep(action=PlanAction.ADDED, plan=plan, plans=after)


def end(plans: tuple[Plan, ...], kind: PlanKind, *, also_ahead: bool = False) -> PlanStep | None:
    """Ends the first plan of ``kind`` that is on, or with ``also_ahead`` that is to come; None if there is none."""
    found = next((each for each in plans if each.kind is kind and (each.has_begun or also_ahead)), None)
    return None if found is None else _without(plans, found, PlanAction.ENDED)


def advance(plans: tuple[Plan, ...], now: float) -> PlanStep | None:
    """The next thing that time does to the plans: one expires or begins. None if nothing is due."""
    for plan in plans:
        if plan.until <= now:
            return _without(plans, plan, PlanAction.EXPIRED)
    for plan in plans:
        if not plan.has_begun and plan.starts_at <= now:
            begun = msgspec.structs.replace(plan, has_begun=True)
            after = tuple(begun if each is plan else each for each in plans)
            return PlanStep(action=PlanAction.BEGUN, plan=begun, plans=after)
    return None


def advanced(plans: tuple[Plan, ...], now: float) -> tuple[Plan, ...]:
    """The plans as time has left them at ``now``."""
    while (step := advance(plans, now)) is not None:
        plans = step.plans
    return plans


def _without(plans: tuple[Plan, ...], plan: Plan, action: PlanAction) -> PlanStep:
    return PlanStep(action=action, plan=plan, plans=tuple(each for each in plans if each is not plan))
