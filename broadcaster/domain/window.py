"""What calls came to over the last seconds, or the last calls, in bounded memory and constant time a call."""

from __future__ import annotations


class Window:
    """The calls of the last ``size`` seconds, or the last ``size`` calls: a ring of sums, and the sums of all.

    A place of the ring is for the calls of one whole second (``is_timed``), or for one call.
    """

    __slots__ = ("_at", "_is_timed", "_ring", "_second", "calls", "failures", "minimum", "slow")

    def __init__(self, size: int, minimum: int, now: float, *, is_timed: bool) -> None:
        self._ring = [[0, 0, 0] for _ in range(size)]
        self._is_timed, self._second = is_timed, now // 1
        self._at = self.calls = self.failures = self.slow = 0
        self.minimum = minimum if is_timed else min(minimum, size)

    def add(self, now: float, failed: bool, slow: bool) -> None:
        if not self._is_timed:
            self._step()
        elif now // 1 != self._second:
            self.move(now)
        sums = self._ring[self._at]
        sums[0] += 1
        self.calls += 1
        if failed:
            sums[1] += 1
            self.failures += 1
        if slow:
            sums[2] += 1
            self.slow += 1

    def move(self, now: float) -> None:
        """Makes ``now`` the newest second; what gets too old by it is no longer counted. A clock that was set back
        renames the newest second."""
        if self._is_timed:
            for _ in range(int(min(now // 1 - self._second, len(self._ring)))):
                self._step()
            self._second = now // 1

    def seen(self, now: float) -> tuple[int, int, int]:
        """The calls, failures and slow calls that count at ``now``. It changes nothing, so any thread may ask; beside
        calls that end meanwhile the numbers may be one call apart."""
        calls, failures, slow = self.calls, self.failures, self.slow
        if self._is_timed:
            size = len(self._ring)
            for step in range(1, int(min(now // 1 - self._second, size)) + 1):
                old = self._ring[(self._at + step) % size]
                calls, failures, slow = calls - old[0], failures - old[1], slow - old[2]
        return calls, failures, slow

    def _step(self) -> None:
        self._at = (self._at + 1) % len(self._ring)
        calls, failures, slow = self._ring[self._at]
        if calls:
            self.calls -= calls
            self.failures -= failures
            self.slow -= slow
            self._ring[self._at] = [0, 0, 0]
