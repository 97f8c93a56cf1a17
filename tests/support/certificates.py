"""A certificate authority of our own, and certificates it signed, made by the ``openssl`` command."""

from __future__ import annotations

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Certificates:
    """Files of one authority: its certificate, one for ``localhost``, 127.0.0.1 and ::1, and one that ran out."""

    folder: Path

    @property
    def authority(self) -> Path:
        return self.folder / "authority.crt"

    @property
    def certificate(self) -> Path:
        return self.folder / "server.crt"

    @property
    def key(self) -> Path:
        return self.folder / "server.key"

    def server_context(self, *, expired: bool = False, asks_for_client: bool = False) -> ssl.SSLContext:
        """What a server presents itself with."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / "expired.crt" if expired else self.certificate, self.key)
        if asks_for_client:
            context.load_verify_locations(self.authority)
            context.verify_mode = ssl.CERT_REQUIRED
            # With TLS 1.3 a client learns only after the handshake that it was refused, and mostly by a reset.
            context.maximum_version = ssl.TLSVersion.TLSv1_2
        return context


def make_certificates(folder: Path) -> Certificates:
    """Makes the files in ``folder``."""

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl(
        "req", "-x509", *key, "-keyout", "authority.key", "-out", "authority.crt", "-subj", "/CN=tests", "-days", "9"
    )
    openssl("req", *key, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=localhost")
    (folder / "names.cnf").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1\n")
    sign = ("x509", "-req", "-in", "server.csr", "-CA", "authority.crt", "-CAkey", "authority.key", "-CAcreateserial")
    openssl(*sign, "-extfile", "names.cnf", "-days", "9", "-out", "server.crt")
    openssl(*sign, "-extfile", "names.cnf", "-days", "-1", "-out", "expired.crt")
    return Certificates(folder)
