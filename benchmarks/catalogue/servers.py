"""The servers that are measured: ours on either database, and stac-fastapi-pgstac as it comes."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from typing import TYPE_CHECKING, Final

import psycopg

from abut.archive import create_archive
from benchmarks.catalogue.load import Server
from benchmarks.measure import children
from tests.postgres import cluster

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.postgres import Cluster

DATABASE: Final = "stac"
"""Name of the database."""

TUNING: Final = {"shared_buffers": "512MB", "work_mem": "16MB", "autovacuum": "on"}
"""Settings of PostgreSQL; it need not wait for the disk either (fsync off), which only helps it."""


@contextlib.contextmanager
def postgres() -> Iterator[Cluster]:
    """Run PostgreSQL, tuned; this process and those it starts know the password from the environment."""
    with cluster(TUNING) as running:
        os.environ["PGPASSWORD"] = running.password
        yield running


def analyse(url: str) -> None:
    """Let PostgreSQL look at what was loaded, as its autovacuum would in time."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")


def archive(folder: Path, catalogue: str) -> str:
    """Make an archive without products, which names a catalogue; return its folder."""
    create_archive(folder, catalogue=catalogue)
    return str(folder)


@contextlib.contextmanager
def abut(name: str, folder: str, database: int | None = None) -> Iterator[Server]:
    """Run `abut serve` on an archive; `database` is the process of PostgreSQL, if it keeps the catalogue."""
    command = [sys.executable, "-m", "cli.main", "serve", "--archive", folder, "--port", "0", "--json"]
    environment = {**os.environ, "ABUT_LOG_LEVEL": "WARNING"}
    with _running(command, environment, subprocess.PIPE) as process:
        assert process.stdout is not None  # noqa: S101 - a pipe was asked for
        url = json.loads(process.stdout.readline())["url"]
        _wait(f"{url}/readyz", process)
        yield Server(name, f"{url}/stac", lambda: _processes(process.pid, database))


@contextlib.contextmanager
def stock(name: str, running: Cluster, database: int) -> Iterator[Server]:
    """Run stac-fastapi-pgstac's own application, items hydrated in the API as its makers advise for speed."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        "PGHOST": "127.0.0.1",
        "PGPORT": str(running.port),
        "PGUSER": "abut",
        "PGDATABASE": DATABASE,
        "USE_API_HYDRATE": "true",
    }
    command = [sys.executable, "-m", "uvicorn", "stac_fastapi.pgstac.app:create_app", "--factory", "--port", str(port)]
    with _running([*command, "--log-level", "warning"], environment, None) as process:
        _wait(f"http://127.0.0.1:{port}/_mgmt/ping", process)
        yield Server(name, f"http://127.0.0.1:{port}", lambda: _processes(process.pid, database))


def _processes(server: int, database: int | None) -> list[int]:
    return children(server) + ([] if database is None else children(database))


@contextlib.contextmanager
def _running(command: list[str], environment: dict[str, str], out: int | None) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, env=environment, stdout=out)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):  # noqa: S310 - our own server
            return
        time.sleep(0.1)
    raise RuntimeError(f"{url} does not answer")
