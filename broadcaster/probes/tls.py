"""TLS as a probe's settings ask for it."""

from __future__ import annotations

import os
import ssl

from broadcaster.config.settings import TlsSettings


class ClientTls:
    """Makes the context for ``settings`` once, and again when one of its files has changed: certificates rotate."""

    def __init__(self, settings: TlsSettings) -> None:
        self._settings = settings
        self._context: ssl.SSLContext | None = None
        self._made_from: tuple[float, ...] = ()

    def __repr__(self) -> str:
        return f"ClientTls({self._settings!r})"

    def context(self) -> ssl.SSLContext:
        """The context to connect with. Raises ssl.SSLError if its files are missing or make no sense."""
        files = [
            each for each in (self._settings.ca_file, self._settings.client_cert, self._settings.client_key) if each
        ]
        try:
            state = tuple(os.stat(each).st_mtime for each in files)
            if self._context is None or state != self._made_from:
                self._context, self._made_from = _context(self._settings), state
        except FileNotFoundError as error:
            raise ssl.SSLError(f"no such file: {error.filename or ', '.join(files)}") from error
        except OSError as error:
            raise ssl.SSLError(f"cannot use the TLS files of the settings: {error}") from error
        return self._context

    def server_name(self, host: str) -> str:
        """The name the server must prove to be: the configured one, or else ``host``."""
        return self._settings.server_name or host


def _context(settings: TlsSettings) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=settings.ca_file or None)
    if settings.client_cert:
        # An encrypted key must be an error, not a question on the terminal.
        context.load_cert_chain(settings.client_cert, settings.client_key or None, password=lambda: b"")
    if not settings.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
