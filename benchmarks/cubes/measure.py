"""Running jobs in turn, each in a process of its own; medians of their costs, after their pixels were found equal."""

from __future__ import annotations

import ast
import json
import os
import statistics
import subprocess
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from abut.errors import AbutError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from benchmarks.cubes.jobs import Given

    type Jobs = Mapping[str, tuple[str, Given]]
    """By name in the tables: job, and what it is told."""


class UnequalError(AbutError):
    """Two ways to read the same did not give the same pixels."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What a job took: medians of its runs."""

    cpu: float
    """User and system seconds of all threads of the client."""
    wall: float
    """Seconds that passed."""
    peak: float
    """Largest resident memory in MB, the interpreter and its libraries included."""
    requests: float
    """Requests to the server behind the proxy."""
    bytes: float
    """Bytes that it sent, headers included."""
    pixels: str
    """Digest of what it read."""

    @property
    def told(self) -> str:
        """What bounds it, as far as the figures tell."""
        text = f"{self.cpu / self.wall:.1f} of {os.cpu_count()} cores"
        if not self.requests:
            return text
        return f"{text}, {self.requests:.0f} requests, {self.bytes / 1e6 / self.wall:.0f} MB/s"


def run(job: str, given: Given) -> dict[str, float | str]:
    """Run a job once; return its cost and the digest of its pixels."""
    command = [sys.executable, "-m", "benchmarks.cubes.jobs", job, json.dumps(asdict(given))]
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(command, stdout=subprocess.PIPE, env=environment, check=True, text=True)
    cost: dict[str, float | str] = json.loads(done.stdout.splitlines()[-1])
    return cost


def compare(jobs: Jobs, rounds: int, *, equal: bool = True) -> dict[str, Taken]:
    """Run jobs in turn, `rounds` times.

    Raises
    ------
    UnequalError
        If jobs for the same window, bands and period gave different pixels, unless they need not be equal.
    """
    runs: dict[str, list[dict[str, float | str]]] = {name: [] for name in jobs}
    seen: dict[object, tuple[str, object]] = {}
    for _ in range(rounds):
        for name, (job, given) in jobs.items():
            cost = run(job, given)
            first, pixels = seen.setdefault((given.window, given.bands, given.day), (name, cost["pixels"]))
            if equal and pixels != cost["pixels"]:
                raise UnequalError(f"{name} and {first} gave different pixels of {given.window}, {given.bands}")
            runs[name].append(cost)
            print(f"  {name}: {float(cost['cpu']):.2f} s CPU, {float(cost['wall']):.2f} s", flush=True)
    return {name: _median(costs) for name, costs in runs.items()}


def _median(costs: list[dict[str, float | str]]) -> Taken:
    numbers = {name: [float(cost[name]) for cost in costs] for name in costs[0] if name != "pixels"}
    return Taken(**{name: statistics.median(some) for name, some in numbers.items()}, pixels=str(costs[0]["pixels"]))


def require_truth(taken: Taken, job: str, given: Given) -> None:
    """Require that what was read is what the products were made of, which a job makes again.

    Raises
    ------
    UnequalError
        If it is not.
    """
    if run(job, given)["pixels"] != taken.pixels:
        raise UnequalError(f"{given.window} of {given.where}: not the ground that the products were made of")


def lines_of_code(path: Path) -> int:
    """Count the lines of a module that are code: no docstrings, no comments, no blank lines, no import of types."""
    source = path.read_text()
    texts = {
        number
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for number in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    return sum(
        number not in texts and bool(line.strip()) and not line.strip().startswith(("#", "from typing"))
        for number, line in enumerate(source.splitlines(), 1)
    )
