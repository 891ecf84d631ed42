"""Measuring one job in a process of its own, or other processes: CPU seconds, wall seconds, memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_TICKS: Final = os.sysconf("SC_CLK_TCK")


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


def cpu_of(processes: Iterable[int]) -> float:
    """Return the CPU seconds that processes have used so far; those that ended are left out."""
    total = 0
    for process in processes:
        try:
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += int(fields[11]) + int(fields[12])
    return total / _TICKS


def memory_of(processes: Iterable[int]) -> float:
    """Return the resident memory of processes in MB, pages shared with files left out."""
    total = 0
    for process in processes:
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                total += int(line.split()[1])
    return total / 1024


def children(process: int) -> list[int]:
    """Return a process and all its descendants."""
    found = [process]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            found += [int(child) for child in task.read_text().split()]
    return found
