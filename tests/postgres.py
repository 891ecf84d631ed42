"""PostgreSQL with pgstac for tests: a cluster of its own on loopback, thrown away at the end.

Where PostgreSQL or PostGIS is missing, tests that need it are skipped; with ``ABUT_REQUIRE_POSTGRES=1`` they fail.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psycopg
import pytest
from psycopg import sql

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SERVERS: Final = Path("/usr/lib/postgresql")
"""Where Debian keeps the programs of PostgreSQL, by version."""

TEMPLATE: Final = "abut_template"
"""Database that those of the tests are copies of: migrated, without collections."""

USER: Final = "abut"
"""Superuser of the cluster."""

_SETTINGS: Final = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "60",
    "shared_buffers": "64MB",
    "jit": "off",
    "autovacuum": "off",
    "log_min_messages": "fatal",
}

_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class Cluster:
    """A running PostgreSQL."""

    port: int
    """Port on 127.0.0.1."""
    password: str
    """Password of `USER`."""
    process: int
    """Id of the server's process, whose children answer."""

    def url(self, database: str, *, password: bool = True) -> str:
        """Return the URL of a database, with the password or without."""
        secret = f":{self.password}" if password else ""
        return f"postgresql://{USER}{secret}@127.0.0.1:{self.port}/{database}"


def programs() -> Path | None:
    """Return the folder of the newest PostgreSQL that has PostGIS, or None without one."""
    found = [
        folder
        for folder in SERVERS.glob("*/bin")
        if (folder / "initdb").exists() and _share(folder.parent.name, "extension/postgis.control").exists()
    ]
    return max(found, key=lambda folder: int(re.sub(r"\D", "", folder.parent.name) or 0), default=None)


def _share(version: str, name: str) -> Path:
    return Path("/usr/share/postgresql") / version / name


@contextlib.contextmanager
def cluster(settings: Mapping[str, str] | None = None) -> Iterator[Cluster]:
    """Run PostgreSQL, with settings that differ from those for tests; skips the test where it is missing."""
    binaries = programs()
    if binaries is None:
        reason = "PostgreSQL with PostGIS is missing (.ci/packages installs it)"
        if os.environ.get("ABUT_REQUIRE_POSTGRES") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix="abut-postgres-"))
    user = "postgres" if os.geteuid() == 0 else None  # the server refuses to run as root
    if user:
        shutil.chown(folder, user)
    try:
        password = secrets.token_urlsafe(12)
        _initialise(binaries, folder, user, password)
        with _running(binaries, folder, user, password, {**_SETTINGS, **(settings or {})}) as running:
            yield running
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _initialise(binaries: Path, folder: Path, user: str | None, password: str) -> None:
    """Make the files of a cluster, with a language's order of text: what relies on the order of bytes must say so."""
    secret = folder / "password"
    secret.write_text(password)
    if user:
        shutil.chown(secret, user)
    command = [str(binaries / "initdb"), "-D", str(folder / "data"), "-U", USER, "-A", "scram-sha-256"]
    command += ["--pwfile", str(secret), "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]
    command += ["--locale-provider=icu", "--icu-locale=en"]
    subprocess.run(command, check=True, user=user, cwd=folder, env=_environment(), capture_output=True)


@contextlib.contextmanager
def _running(
    binaries: Path, folder: Path, user: str | None, password: str, settings: Mapping[str, str]
) -> Iterator[Cluster]:
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    for _ in range(5):
        port = _free_port()
        command = [str(binaries / "postgres"), "-D", str(folder / "data"), "-p", str(port), *options]
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(
                command, user=user, cwd=folder, env=_environment(), stdout=log, stderr=log, start_new_session=True
            )
        running = Cluster(port, password, server.pid)
        try:
            if not _answers(server, running):
                continue  # another program took the port in between
            yield running
            return
        finally:
            _stop(server)
    raise RuntimeError(f"PostgreSQL does not start: {(folder / 'log').read_text()}")


def _answers(server: subprocess.Popen[bytes], running: Cluster) -> bool:
    """Wait until the server takes connections; false if it ends before."""
    until = time.monotonic() + 60
    while server.poll() is None and time.monotonic() < until:
        with contextlib.suppress(psycopg.OperationalError), psycopg.connect(running.url("postgres")):
            return server.poll() is None
        time.sleep(0.02)
    return False


def _stop(server: subprocess.Popen[bytes]) -> None:
    """End the server by its own pid, at once: its files are thrown away."""
    if server.poll() is None:
        server.send_signal(signal.SIGQUIT)
    server.wait(30)


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_", "LANG"))}
    return kept | {"LC_ALL": "C.UTF-8"}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def new_database(running: Cluster, template: str = TEMPLATE) -> Iterator[str]:
    """Make a database that is a copy of another, and drop it at the end; yields its URL."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    administer(running, "CREATE DATABASE {} TEMPLATE {}", name, template)
    try:
        yield running.url(name)
    finally:
        administer(running, "DROP DATABASE {} WITH (FORCE)", name)


def administer(running: Cluster, statement: str, *names: str) -> None:
    """Run a statement about databases; ``{}`` in it stand for their names."""
    with psycopg.connect(running.url("postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A PostgreSQL server with a migrated template database; one for each process that runs tests."""
    from catalog.pgstac import open_pgstac  # noqa: PLC0415 - this module is a plug-in of all tests

    with cluster() as running:
        administer(running, "CREATE DATABASE {}", TEMPLATE)
        open_pgstac(running.url(TEMPLATE), create=True).close()
        yield running


@pytest.fixture
def pgstac_url(postgres: Cluster) -> Iterator[str]:
    """URL of a database with pgstac and nothing in it, for one test."""
    with new_database(postgres) as url:
        yield url
