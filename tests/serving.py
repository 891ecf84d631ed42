"""`abut serve` as a process of its own, on loopback, and what it logs."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Served:
    """A running service."""

    url: str
    """Where it listens."""
    announced: dict[str, Any]
    """The line that it printed."""
    process: subprocess.Popen[str]
    """The process."""
    errors: IO[str]
    """What it wrote on stderr."""

    def log(self) -> list[dict[str, Any]]:
        """Lines of the log so far."""
        self.errors.flush()
        return [json.loads(line) for line in Path(self.errors.name).read_text().splitlines()]

    def logged(self, name: str) -> dict[str, Any]:
        """The line of the request of an id, which may be written a moment after its answer."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            for line in self.log():
                if line.get("request_id") == name and line["logger"] == "abut.requests" and "status" in line:
                    return line
            time.sleep(0.02)
        raise AssertionError(f"no line of request {name}: {self.log()}")

    def workers(self, number: int) -> set[str]:
        """What the log says of the processes that answer, once it speaks of as many."""
        found: set[str] = set()
        deadline = time.monotonic() + 60
        while len(found) < number and time.monotonic() < deadline:
            found = {line["message"] for line in self.log() if line["message"].startswith("Started server process")}
            time.sleep(0.05)
        return found

    def end(self, number: int = signal.SIGTERM) -> int:
        """End it by a signal, and wait for its status."""
        self.process.send_signal(number)
        return self.process.wait(30)


def environment(**settings: str) -> dict[str, str]:
    """This process's environment with settings of Abut, and none but those."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ABUT_")}
    return kept | {f"ABUT_{name.upper()}": value for name, value in settings.items()}


@contextlib.contextmanager
def serving(
    archive: str, *options: str, env: Mapping[str, str] | None = None, ready: bool = True, **settings: str
) -> Iterator[Served]:
    """Run `abut serve` on a free port until the end of the block; it begins when all of its processes are ready.

    Without `ready` it begins as soon as the service lives: its store or database may be away.
    """
    command = [sys.executable, "-m", "cli.main", "serve", "--archive", archive, "--port", "0", "--json", *options]
    variables = environment(**({"log_format": "json"} | settings)) | dict(env or {})
    with (
        tempfile.NamedTemporaryFile("w+", suffix=".log") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=ROOT, env=variables) as process,
    ):
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, Path(errors.name).read_text()
            announced = json.loads(line)
            wait_until_it_answers(announced["url"])
            if ready:
                wait_until_ready(announced["url"], 10 if "--workers" in options or "workers" in settings else 1)
            yield Served(announced["url"], announced, process, errors)
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    process.kill()
                    raise


def wait_until_it_answers(url: str) -> None:
    """Its socket takes connections before its application is there; the answer comes when that is."""
    assert httpx.get(f"{url}/healthz", timeout=60).status_code == 200


def wait_until_ready(url: str, times: int = 1) -> None:
    """Wait until it can answer: it says that it lives before; with several workers each of `times` may meet another."""
    deadline, ready = time.monotonic() + 120, 0
    while ready < times:
        assert time.monotonic() < deadline, httpx.get(f"{url}/readyz").text
        ready = ready + 1 if httpx.get(f"{url}/readyz", timeout=60).status_code == 200 else 0
        if not ready:
            time.sleep(0.1)
