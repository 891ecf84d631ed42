"""Measuring one job in a process of its own: CPU seconds, wall seconds, peak memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Cost:
    """What a job cost."""

    cpu: float
    """User and system seconds of all threads."""
    wall: float
    """Seconds that passed."""
    peak: float
    """Largest resident memory in MB, the interpreter and its libraries included."""
    result: Any
    """What the job returned, as JSON values."""


def run(job: str, *arguments: str) -> Cost:
    """Run a job of `benchmarks.jobs` in a fresh interpreter."""
    command = [sys.executable, "-m", "benchmarks.jobs", job, *arguments]
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(command, stdout=subprocess.PIPE, env=environment, check=True, text=True)
    return Cost(**json.loads(done.stdout.splitlines()[-1]))


def peak_memory() -> float:
    """Largest resident memory of this process so far in MB; getrusage would count that of the parent before exec."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def report(job: Callable[..., Any], *arguments: str) -> str:
    """Run a job here and return its cost as a line of JSON."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = job(*arguments)
    cost = {
        "cpu": time.process_time() - cpu,
        "wall": time.perf_counter() - wall,
        "peak": peak_memory(),
        "result": result,
    }
    return json.dumps(cost)
