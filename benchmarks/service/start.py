"""Cold starts: from the start of the program to the first 200 of ``/readyz``."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import httpx

from benchmarks.measure import children, cpu_of, memory_of
from tests.serving import ROOT, environment

if TYPE_CHECKING:
    from collections.abc import Sequence

PARTS: Final[dict[str, tuple[str, ...]]] = {
    "all": (),
    "stac": ("stac",),
    "tiles": ("tiles",),
    "cubes": ("cubes",),
    "legacy": ("legacy",),
    "zarr": ("zarr",),
    "viewer": ("viewer",),
}
"""Services that are started, with the parts that each has."""

LONGEST: Final = 120.0
"""Seconds after which a start has failed."""


class NotReadyError(RuntimeError):
    """A service did not get ready."""


@dataclass(frozen=True, slots=True)
class Start:
    """A start of a service."""

    seconds: float
    """Until ``/readyz`` was 200."""
    cpu: float
    """CPU seconds that it had used by then."""
    memory: float
    """Resident memory in MB, without files."""


def command(archive: str, parts: Sequence[str]) -> list[str]:
    """Return how a service is started."""
    chosen = [option for part in parts for option in ("--part", part)]
    return [sys.executable, "-m", "cli.main", "serve", "--archive", archive, "--port", "0", "--json", *chosen]


def start(archive: str, parts: Sequence[str]) -> Start:
    """Start a service, wait until it is ready, and end it.

    Raises
    ------
    NotReadyError
        If it ends before, or takes too long.
    """
    settings = environment(public_url="http://127.0.0.1", log_level="ERROR")
    began = time.perf_counter()
    with subprocess.Popen(
        command(archive, parts), stdout=subprocess.PIPE, text=True, cwd=ROOT, env=settings
    ) as process:
        try:
            assert process.stdout is not None  # noqa: S101 - it is a pipe
            line = process.stdout.readline()
            if not line:
                raise NotReadyError(f"{parts}: the service ended at its start")
            url = json.loads(line)["url"]
            while not _is_ready(url):
                if time.perf_counter() - began > LONGEST:
                    raise NotReadyError(f"{parts}: not ready within {LONGEST:g} s")
                time.sleep(0.01)
            seconds = time.perf_counter() - began
            processes = children(process.pid)
            return Start(seconds, cpu_of(processes), memory_of(processes))
        finally:
            process.terminate()
            process.wait(60)


def _is_ready(url: str) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"{url}/readyz", timeout=30).status_code == 200
    return False


def imports() -> dict[str, float]:
    """Return the milliseconds that importing a service's modules took, by package, most first."""
    code = "import services.app, services.serving, cli.serve"
    asked = [sys.executable, "-X", "importtime", "-c", code]
    done = subprocess.run(asked, stderr=subprocess.PIPE, check=True, text=True, cwd=ROOT)
    took: dict[str, float] = defaultdict(float)
    for line in done.stderr.splitlines():
        own, _, rest = line.removeprefix("import time:").partition("|")
        name = rest.partition("|")[2].strip()
        if own.strip().isdigit():
            took[name.partition(".")[0]] += int(own) / 1_000
    return dict(sorted(took.items(), key=lambda one: -one[1]))
