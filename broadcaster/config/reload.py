"""A ``services.yaml`` that changes while it is in use: read anew, and refused as a whole where it is broken."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncGenerator, Iterator, Mapping
from pathlib import Path

import msgspec
import structlog

from broadcaster.config.loader import load_settings
from broadcaster.config.settings import Settings
from broadcaster.domain.errors import ConfigError

log = structlog.get_logger()

LOOK_SECONDS = 1.0
"""How often the file is looked at. Looking costs one stat and works on every file system, and through the symbolic
links by which a mounted configuration is swapped."""


class SettingsFile:
    """The file at ``path``, whose ``settings`` are in use. ``env`` is what its references are taken from.

    Made, it reads the file; raises ConfigError.
    """

    def __init__(self, path: Path, env: Mapping[str, str]) -> None:
        self._path = path
        self._env = env
        self._asked = asyncio.Event()
        self._seen = self._look()  # first: a change while it is read is seen as one
        self.settings = load_settings(path, env)

    def __repr__(self) -> str:
        return f"SettingsFile({str(self._path)!r})"

    def reload(self) -> None:
        """Reads the file soon, whether it seems changed or not."""
        self._asked.set()

    @contextlib.contextmanager
    def reloading_on_hangup(self) -> Iterator[None]:
        """SIGHUP reloads in this block; elsewhere it ends a process, as ever."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, self.reload)
        try:
            yield
        finally:
            loop.remove_signal_handler(signal.SIGHUP)

    async def changes(self) -> AsyncGenerator[Settings, None]:
        """The settings, whenever they differ from those in use. What can only be set at the start is kept, and said."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._asked.wait()
            seen = self._look()
            if seen == self._seen and not self._asked.is_set():
                continue
            self._asked.clear()
            self._seen = seen
            settings = self._read()
            if settings is not None:
                self.settings = settings
                yield settings

    def _look(self) -> tuple[int, int, int] | None:
        try:
            stat = self._path.stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_size, stat.st_ino

    def _read(self) -> Settings | None:
        try:
            found = load_settings(self._path, self._env)
        except ConfigError as error:
            log.error("settings_refused", file=str(self._path), problems=error.lines(), kept=self.settings.shape)
            return None
        fixed = [name for name in FIXED if getattr(found, name) != getattr(self.settings, name)]
        if fixed:
            log.warning("settings_need_restart", file=str(self._path), sections=fixed)
            found = msgspec.structs.replace(found, **{name: getattr(self.settings, name) for name in fixed})
        if found == self.settings:
            log.info("settings_unchanged", file=str(self._path))
            return None
        before, after = self.settings.services, found.services
        log.info(
            "settings_reloaded",
            file=str(self._path),
            added=sorted(after.keys() - before.keys()),
            removed=sorted(before.keys() - after.keys()),
            changed=sorted(name for name in after.keys() & before.keys() if after[name] != before[name]),
            shape=found.shape,
        )
        return found


FIXED = ("namespace", "redis", "feed", "node")
"""Sections that hold from the start of a process to its end."""
