"""What tests of every kind share: servers that live as long as the session, and a certificate authority."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.certificates import Certificates, make_certificates
from tests.support.servers import PostgresServer, postgres_server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def postgres() -> AsyncIterator[PostgresServer]:
    """A PostgreSQL for all tests of this process. Whoever stops or pauses it brings it back."""
    async with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """An authority of our own and a certificate for this machine's loopback names."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl on PATH")
    folder: Path = tmp_path_factory.mktemp("certificates")
    return make_certificates(folder)
