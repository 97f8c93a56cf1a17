"""The exception tree. Third-party exceptions are translated into it at the boundary they cross.

::

    BroadcasterError
    ├── ConfigError           services.yaml cannot be used; carries every problem found (exit code 2)
    ├── QueueFull             no more work may wait for a service to come back
    ├── StoreError            the carrier (Redis)
    │   ├── StoreUnavailable    it does not answer: try again (exit code 5)
    │   └── StoreCorrupted      it answers with something that is not ours
    ├── BreakerError          a breaker's policy that makes no sense, or a command that it cannot follow
    ├── CallNotPermitted      a call to a service whose circuit breaker is open; carries when to try again
    ├── PlanError             a maintenance window or an override that makes no sense (exit code 2)
    ├── ProtocolError         a message that does not decode; carries what was wrong with it
    └── StartupError          a process could not start (port taken, no redis-server found, ...)
        └── DependenciesUnmet   ... because of services that it cannot do without; carries each with its likely cause
"""

from __future__ import annotations

import msgspec


class BroadcasterError(Exception):
    """Base of every error this package raises on purpose."""


class Problem(msgspec.Struct, frozen=True, order=True):
    """One thing wrong with a config file: where (1-based line and column, dotted path), what, and what to do."""

    line: int
    column: int
    path: str
    message: str
    hint: str = ""


class ConfigError(BroadcasterError):
    """A config file that cannot be used, with every problem that was found in one go."""

    def __init__(self, file: str, problems: list[Problem]) -> None:
        self.file = file
        self.problems = sorted(problems)
        super().__init__("\n".join(self.lines()))

    def lines(self) -> list[str]:
        """One line a problem: ``file:line:column: path: message (hint)``."""
        found = []
        for problem in self.problems:
            where = f"{self.file}:{problem.line}:{problem.column}: " if problem.line else f"{self.file}: "
            path = f"{problem.path}: " if problem.path else ""
            hint = f" ({problem.hint})" if problem.hint else ""
            found.append(f"{where}{path}{problem.message}{hint}")
        return found


class BreakerError(BroadcasterError, ValueError):
    """A policy with impossible values, or a transition that does not exist; the message says which."""


class CallNotPermitted(BroadcasterError):
    """A call that a circuit breaker did not let through. It may be tried again after ``retry_after`` seconds."""

    def __init__(self, service: str, retry_after: float) -> None:
        self.service = service
        self.retry_after = retry_after
        super().__init__(f"{service} is not called now: its circuit breaker is open; try again in {retry_after:.1f} s")


class QueueFull(BroadcasterError):
    """As much work waits for ``service`` as may: ``most`` pieces."""

    def __init__(self, service: str, most: int) -> None:
        self.service = service
        self.most = most
        super().__init__(f"{most} pieces of work wait for {service} already")


class StoreError(BroadcasterError):
    """The carrier of the feed failed."""


class StoreUnavailable(StoreError):
    """The carrier does not answer, or not in time. Trying again later can help."""


class StoreCorrupted(StoreError):
    """The carrier holds something that this version cannot read. Trying again does not help."""


class PlanError(BroadcasterError):
    """A maintenance window or an override that makes no sense; the message says why."""


class ProtocolError(BroadcasterError):
    """A message that does not decode."""


class StartupError(BroadcasterError):
    """A process of ours cannot start; the message says what to do about it."""


class Unmet(msgspec.Struct, frozen=True, kw_only=True):
    """A service that did not serve in time: for how many ``seconds`` it was waited for, what the last look saw, and
    what that usually means."""

    service: str
    seconds: float
    seen: str
    likely: str


class DependenciesUnmet(StartupError):
    """Services without which there is nothing to start for. The message has all of them."""

    def __init__(self, unmet: tuple[Unmet, ...]) -> None:
        self.unmet = unmet
        lines = [f"  {each.service}: {each.seen}, for {each.seconds:g} s. {each.likely}" for each in unmet]
        super().__init__("\n".join(["cannot start without these services:", *lines]))
