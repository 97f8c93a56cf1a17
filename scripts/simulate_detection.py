#!/usr/bin/env python
"""How detection does against made-up days of which the truth is known, next to what other monitors would do.

Every service-day has a trace: what a probe would meet at each moment. The project's own ``decide()``, its waits, its
limits, its retries and its rule for an isolated observer run over it on a virtual clock, and so do fixed thresholds as
others have them. Where nothing happens and nothing is open, a policy's state no longer changes; such stretches are
skipped to the next chance failure, which is drawn from its geometric distribution.

    simulate_detection.py                            10,000 service-days, the defaults
    simulate_detection.py --days 500 --interval 30 --fall 2
    simulate_detection.py --trace day.json           one recorded day: {"kind": ..., "phases": [{"start": ...}, ...]}
"""

from __future__ import annotations

import argparse
import bisect
import math
import multiprocessing
import random
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from broadcaster.domain.detection import DetectorState, Policy, decide
from broadcaster.domain.isolation import looks_isolated
from broadcaster.domain.model import Category, Observation, Outcome, Status
from broadcaster.domain.pacing import SPREAD, Pace, next_wait, observation_limit, worst_case
from broadcaster.worker.detector import LEAST_ATTEMPT, RETRY_WAIT

DAY = 86_400.0

GRACE = 120.0
"""Seconds after the end of a real failure within which an alarm still counts as one of it. Generous to the slowest."""

WATCHED = 5
"""Services of one observer, where an observer is isolated: all fail together."""

TYPICAL = 0.03
"""Median latency of a healthy service, in seconds."""


class Phase(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a probe meets from ``start`` to ``end`` (seconds of the day).

    ``down``: '' for a service that is well, else 'refused' or 'hang'. An attempt on one that is well fails with
    probability ``loss``, half of the time by a reset, else by a timeout; else it takes ``slowness`` times as long as
    usual. ``isolated``: it is the observer who is cut off. ``clock`` is added to the wall clock.
    """

    start: float
    end: float
    down: str = ""
    loss: float = 0.0
    slowness: float = 1.0
    isolated: bool = False
    clock: float = 0.0


class Trace(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A day; between its phases (in order, apart from each other) the service is well but for ``blips``."""

    kind: str
    phases: tuple[Phase, ...] = ()
    blips: float = 2e-4
    seconds: float = DAY


class Met(msgspec.Struct, frozen=True):
    """What one attempt met, and how many seconds it took."""

    category: Category | None
    takes: float


# Traces.


def _whole_day(
    kind: str, rng: random.Random, phase: Callable[[float, float], Phase], shortest: float, longest: float
) -> Trace:
    seconds = math.exp(rng.uniform(math.log(shortest), math.log(longest)))
    start = rng.uniform(0, DAY - seconds)
    return Trace(kind=kind, phases=(phase(start, start + seconds),))


def healthy(rng: random.Random) -> Trace:
    return Trace(kind="healthy")


def refused(rng: random.Random) -> Trace:
    return _whole_day("refused", rng, lambda a, b: Phase(start=a, end=b, down="refused"), 5, 7200)


def hang(rng: random.Random) -> Trace:
    return _whole_day("hang", rng, lambda a, b: Phase(start=a, end=b, down="hang"), 5, 7200)


def brown_out(rng: random.Random) -> Trace:
    slowness = rng.uniform(20, 100)
    return _whole_day("brown-out", rng, lambda a, b: Phase(start=a, end=b, slowness=slowness, loss=0.02), 300, 7200)


def loss(rng: random.Random) -> Trace:
    rate = rng.uniform(0.01, 0.30)
    return _whole_day("packet loss", rng, lambda a, b: Phase(start=a, end=b, loss=rate), 300, 7200)


def flapping(rng: random.Random) -> Trace:
    phases, at = [], rng.uniform(0, DAY / 2)
    for _ in range(rng.randint(10, 40)):
        down = rng.uniform(5, 60)
        phases.append(Phase(start=at, end=at + down, down=rng.choice(("refused", "hang"))))
        at += down + rng.uniform(5, 60)
    return Trace(kind="flapping", phases=tuple(phases))


def isolated(rng: random.Random) -> Trace:
    return _whole_day("isolated observer", rng, lambda a, b: Phase(start=a, end=b, isolated=True), 60, 1800)


def clock_jump(rng: random.Random) -> Trace:
    jump, start = rng.choice((-3600.0, 3600.0)), rng.uniform(0, DAY / 2)
    end = start + rng.uniform(60, 3600)
    down = Phase(start=start, end=end, down=rng.choice(("refused", "hang")), clock=jump)
    return Trace(kind="clock jump", phases=(down, Phase(start=end, end=DAY, loss=2e-4, clock=jump)))


KINDS = (healthy, refused, hang, brown_out, loss, flapping, isolated, clock_jump)
"""In equal parts: far worse days than a real service has."""


def attempt(phase: Phase, limit: float, rng: random.Random) -> Met:
    """One attempt within ``limit`` seconds."""
    if phase.down == "refused":
        return Met(Category.REFUSED, 0.001)
    if phase.down or phase.isolated:
        return Met(Category.TIMEOUT, limit)
    if rng.random() < phase.loss:
        return Met(Category.RESET, 0.02) if rng.random() < 0.5 else Met(Category.TIMEOUT, limit)
    takes = TYPICAL * phase.slowness * math.exp(rng.gauss(0, 0.4))
    return Met(None, takes) if takes < limit else Met(Category.TIMEOUT, limit)


class Day:
    """A trace, to be asked by time."""

    def __init__(self, trace: Trace) -> None:
        phases, at = [], 0.0
        for each in trace.phases:
            if each.start > at:
                phases.append(Phase(start=at, end=each.start, loss=trace.blips))
            phases.append(each)
            at = each.end
        if at < trace.seconds:
            phases.append(Phase(start=at, end=trace.seconds, loss=trace.blips))
        self.kind = trace.kind
        self.phases = phases
        self.seconds = trace.seconds
        self._starts = [each.start for each in phases]
        self.outages = [(each.start, each.end) for each in phases if each.down]

    def at(self, when: float) -> Phase:
        return self.phases[bisect.bisect_right(self._starts, when) - 1]

    def skip(self, start: float, interval: float, rng: random.Random) -> tuple[float, bool]:
        """From ``start``, where every attempt but a chance failure changes nothing: the next attempt that may change
        something, and whether it is such a failure (else it is the first one of another phase)."""
        phase = self.at(start)
        before_end = math.ceil((phase.end - start) / interval)
        if phase.loss <= 0:
            return start + before_end * interval, False
        until_failure = int(math.log(1 - rng.random()) / math.log(1 - phase.loss))
        if until_failure < before_end:
            return start + until_failure * interval, True
        return start + before_end * interval, False


def _is_plain(phase: Phase) -> bool:
    return not phase.down and not phase.isolated and phase.loss < 0.01 and phase.slowness == 1


def _failure(limit: float, rng: random.Random) -> Met:
    return Met(Category.RESET, 0.02) if rng.random() < 0.5 else Met(Category.TIMEOUT, limit)


# Policies: each turns a day into the times at which it said down, and took it back.

Told = list[tuple[float, bool]]


class Ours(msgspec.Struct, frozen=True, kw_only=True):
    """The product's own rules."""

    name: str
    policy: Policy
    pace: Pace
    retries: int = 3

    def run(self, day: Day, rng: random.Random) -> Told:
        told: Told = []
        state, is_told_down = DetectorState(status=Status.UP), False
        at = rng.uniform(0, self.pace.interval)
        while at < day.seconds:
            phase, met = day.at(at), None
            if _is_plain(phase) and _is_at_rest(state):
                at, is_failure = day.skip(at, self.pace.interval, rng)
                if at >= day.seconds:
                    break
                phase = day.at(at)
                met = _failure(observation_limit(state, self.pace), rng) if is_failure else None
            met = self._observe(phase, state, met, rng)
            ended = at + met.takes
            state, decision = decide(state, _observation(met, ended + phase.clock), self.policy)
            if decision is not None and phase.isolated and looks_isolated(WATCHED, WATCHED):
                # No reference target answers: nothing is told, and everything is looked at anew.
                state = DetectorState(status=decision.previous)
            elif decision is not None and (decision.status is Status.DOWN) is not is_told_down:
                is_told_down = not is_told_down
                told.append((ended, is_told_down))
            at = max(at + next_wait(state, self.pace) * rng.uniform(1 - SPREAD, 1 + SPREAD), ended)
        return told

    def _observe(self, phase: Phase, state: DetectorState, met: Met | None, rng: random.Random) -> Met:
        """An observation as the worker makes it: what may have failed by chance is tried again while there is time."""
        limit = observation_limit(state, self.pace)
        met = met or attempt(phase, limit, rng)
        takes, first = met.takes, RETRY_WAIT[0]
        for again in range(self.retries):
            may_pass = met.category is not None and not met.category.is_definitive
            if (
                not may_pass
                or state.status is Status.DOWN
                or limit - takes < (LEAST_ATTEMPT if not again else RETRY_WAIT[1])
            ):
                break
            takes += rng.uniform(0, min(RETRY_WAIT[1], first * 2 ** max(0, again - 1)))
            met = attempt(phase, max(LEAST_ATTEMPT, limit - takes), rng)
            takes += met.takes
        return Met(met.category, takes)


class Threshold(msgspec.Struct, frozen=True, kw_only=True):
    """``fall`` failed checks in a row that last ``lasting`` seconds are down, ``rise`` good ones up; a check every
    ``interval`` seconds, and every ``retry_interval`` while a failure is being confirmed."""

    name: str
    interval: float
    fall: int = 1
    rise: int = 1
    lasting: float = 0.0
    retry_interval: float = 0.0
    timeout: float = 10.0

    def run(self, day: Day, rng: random.Random) -> Told:
        told: Told = []
        bad = good = 0
        since, is_down = 0.0, False
        at = rng.uniform(0, self.interval)
        while at < day.seconds:
            phase, met = day.at(at), None
            if _is_plain(phase) and not bad and not is_down:
                at, is_failure = day.skip(at, self.interval, rng)
                if at >= day.seconds:
                    break
                phase = day.at(at)
                met = _failure(self.timeout, rng) if is_failure else None
            met = met or attempt(phase, self.timeout, rng)
            ended = at + met.takes
            if met.category is None:
                bad, good = 0, good + 1
            else:
                since = since if bad else ended
                bad, good = bad + 1, 0
            if not is_down and bad >= self.fall and ended - since >= self.lasting:
                is_down = True
                told.append((ended, True))
            elif is_down and good >= self.rise:
                is_down = False
                told.append((ended, False))
            confirming = bad > 0 and not is_down and self.retry_interval > 0
            at = max(at + (self.retry_interval if confirming else self.interval), ended)
        return told


AnyPolicy = Ours | Threshold


def _is_at_rest(state: DetectorState) -> bool:
    """Whether another good observation would change nothing that matters."""
    return state.status is Status.UP and not state.is_undecided and state.recent == "o" * len(state.recent) == "o" * 21


def _observation(met: Met, at: float) -> Observation:
    outcome = Outcome.OK if met.category is None else Outcome.FAILED
    return Observation(service="s", at=at, outcome=outcome, latency=met.takes, category=met.category)


def others(interval: float) -> list[AnyPolicy]:
    """What others do: at their defaults, and at our interval."""
    return [
        Threshold(name="one failure alerts", interval=interval),
        Threshold(name="one failure alerts, every 60 s (Uptime Kuma's default)", interval=60),
        Threshold(name="Uptime Kuma, 2 retries", interval=interval, fall=3, retry_interval=interval),
        Threshold(name="Uptime Kuma, 60 s, 2 retries after 20 s", interval=60, fall=3, retry_interval=20),
        Threshold(name="Gatus 3/2", interval=interval, fall=3, rise=2),
        Threshold(name="Gatus 3/2, every 60 s (its default)", interval=60, fall=3, rise=2),
        Threshold(name="Prometheus, for: 1m, every 15 s", interval=15, lasting=60),
        Threshold(name="Prometheus, for: 1m", interval=interval, lasting=60),
    ]


# The score.


class Score(msgspec.Struct, kw_only=True):
    """Over some days: ``outages`` are those longer than ``limit``, ``late`` ones found later than that."""

    days: int = 0
    outages: int = 0
    missed: int = 0
    late: int = 0
    false: Counter[str] = msgspec.field(default_factory=Counter)
    detection: list[float] = msgspec.field(default_factory=list)
    recovery: list[float] = msgspec.field(default_factory=list)

    def add(self, other: Score) -> None:
        self.days += other.days
        self.outages += other.outages
        self.missed += other.missed
        self.late += other.late
        self.false += other.false
        self.detection += other.detection
        self.recovery += other.recovery


def score(day: Day, told: Told, limit: float) -> Score:
    """What was told, against the truth; ``limit`` is the longest outage (seconds) that may go unnoticed."""
    result = Score(days=1)
    for at, is_down in told:
        if is_down and not any(start <= at and at - GRACE <= end for start, end in day.outages):
            result.false[day.kind] += 1
    for start, end in day.outages:
        if end - start <= limit:
            continue
        result.outages += 1
        if _was_down(told, start):
            continue  # said down since an outage just before
        found = [at for at, is_down in told if is_down and start <= at <= end]
        if not found:
            result.missed += 1
            continue
        result.detection.append(found[0] - start)
        result.late += found[0] - start > limit
        back = [at for at, is_down in told if not is_down and at >= end]
        if back:
            result.recovery.append(back[0] - end)
    return result


def _was_down(told: Told, when: float) -> bool:
    said = [is_down for at, is_down in told if at < when]
    return bool(said) and said[-1]


def simulate(policies: Sequence[AnyPolicy], traces: Iterator[tuple[int, Trace]], limit: float) -> list[Score]:
    """One score a policy. The same traces for all; chance within a trace depends on its number alone."""
    scores = [Score() for _ in policies]
    for seed, trace in traces:
        day = Day(trace)
        for policy, total in zip(policies, scores, strict=True):
            total.add(score(day, policy.run(day, random.Random(seed)), limit))
    return scores


def made_up(days: range, seed: int) -> Iterator[tuple[int, Trace]]:
    """Days of every kind in turn."""
    for number in days:
        rng = random.Random(seed * 1_000_003 + number)
        yield rng.getrandbits(60), KINDS[number % len(KINDS)](rng)


def _part(arguments: tuple[list[AnyPolicy], range, int, float]) -> list[Score]:
    policies, days, seed, limit = arguments
    return simulate(policies, made_up(days, seed), limit)


def run(policies: list[AnyPolicy], days: int, seed: int, limit: float, *, processes: int) -> list[Score]:
    """``days`` made-up days, split over processes. The result does not depend on how many."""
    step = 200
    parts = [(policies, range(first, min(days, first + step)), seed, limit) for first in range(0, days, step)]
    totals = [Score() for _ in policies]
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        for scores in pool.imap(_part, parts):
            for total, found in zip(totals, scores, strict=True):
                total.add(found)
    return totals


def main(arguments: Sequence[str] = ()) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--trace", type=Path, action="append", default=[])
    parser.add_argument("--interval", type=float, default=10.0)
    parser.add_argument("--fast-interval", type=float, default=1.0)
    parser.add_argument("--timeout", type=float, default=10.0)
    parser.add_argument("--fast-timeout", type=float, default=5.0)
    parser.add_argument("--fall", type=int, default=3)
    parser.add_argument("--rise", type=int, default=2)
    parser.add_argument("--retries", type=int, default=3)
    parser.add_argument("--processes", type=int, default=2)
    chosen = parser.parse_args(arguments or None)
    pace = Pace(
        interval=chosen.interval,
        fast_interval=min(chosen.fast_interval, chosen.interval),
        timeout=chosen.timeout,
        fast_timeout=chosen.fast_timeout,
        fall=chosen.fall,
        rise=chosen.rise,
    )
    ours = Ours(
        name=f"status-broadcaster {chosen.fall}/{chosen.rise}",
        policy=Policy(fall=chosen.fall, rise=chosen.rise, degraded_above=1.0),
        pace=pace,
        retries=chosen.retries,
    )
    policies = [ours, *others(chosen.interval)]
    limit = worst_case(pace)
    started = time.monotonic()
    if chosen.trace:
        recorded = [msgspec.json.decode(path.read_bytes(), type=Trace) for path in chosen.trace]
        scores = simulate(policies, iter(enumerate(recorded, start=chosen.seed)), limit)
    else:
        scores = run(policies, chosen.days, chosen.seed, limit, processes=chosen.processes)
    _show(policies, scores, limit, time.monotonic() - started)
    return 1 if scores[0].missed or scores[0].late else 0


def _show(policies: Sequence[AnyPolicy], scores: Sequence[Score], limit: float, seconds: float) -> None:
    console = Console(width=150 if not sys.stdout.isatty() else None)
    console.print(
        f"{scores[0].days:,} service-days, {scores[0].outages:,} outages longer than {limit:.1f} s "
        f"(the worst case by the settings); {seconds:.0f} s"
    )
    table = Table()
    for title in (
        "policy",
        "interval",
        "missed",
        "found late",
        "false alarms",
        "in loss",
        "cut off",
        "found after p50",
        "p95",
        "back p50",
    ):
        table.add_column(title, justify="left" if title == "policy" else "right")
    for policy, its in zip(policies, scores, strict=True):
        interval = policy.pace.interval if isinstance(policy, Ours) else policy.interval
        false = its.false.total()
        table.add_row(
            policy.name,
            f"{interval:g} s",
            str(its.missed),
            str(its.late),
            f"{false:,}",
            f"{its.false['packet loss']:,}",
            f"{its.false['isolated observer']:,}",
            *(f"{_quantile(its.detection, part):.1f} s" for part in (0.5, 0.95)),
            f"{_quantile(its.recovery, 0.5):.1f} s",
        )
    console.print(table)


def _quantile(values: Sequence[float], part: float) -> float:
    if len(values) < 2:
        return values[0] if values else math.nan
    return statistics.quantiles(values, n=100, method="inclusive")[round(part * 100) - 1]


if __name__ == "__main__":
    sys.exit(main())
