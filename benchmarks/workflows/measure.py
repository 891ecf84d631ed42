"""Running cases, each in a process of its own, again and again; what was run is kept and not run again."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.cubes.measure import UnequalError
from benchmarks.workflows.cases import SAME
from benchmarks.workflows.jobs import Step, together

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from benchmarks.workflows.cases import Case

    type Runs = dict[str, list[dict[str, Any]]]
    """Measurements (`benchmarks.workflows.jobs.measured`) by name of the case."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What a case took: medians of its runs."""

    read: Step
    """Reading the moment."""
    compute: Step
    """Computing the result."""
    part: float
    """CPU of the part of computing that is told apart (`benchmarks.workflows.jobs.PARTS`)."""
    peak: float
    """Largest resident memory in MB, the interpreter and its libraries included."""
    moment: int
    """Bytes of the moment's arrays."""
    result: int
    """Bytes of the result's arrays."""
    digest: str
    """Of the result."""

    @property
    def wall(self) -> float:
        """Seconds from end to end."""
        return self.read.wall + self.compute.wall

    @property
    def cpu(self) -> float:
        """CPU seconds from end to end."""
        return self.read.cpu + self.compute.cpu


def run(case: Case) -> dict[str, Any]:
    """Run a case once, in a fresh interpreter."""
    command = [sys.executable, "-m", "benchmarks.workflows.jobs", json.dumps(asdict(case))]
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(command, stdout=subprocess.PIPE, env=environment, check=True, text=True)
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return measured


def run_all(cases: Iterable[Case], repeats: int, kept: Path) -> Runs:
    """Run cases in turn until each was run so often; what a file has is not run again, and each run goes into it."""
    runs: Runs = json.loads(kept.read_text()) if kept.exists() else {}
    wanted = list(cases)
    for number in range(repeats):
        for case in wanted:
            some = runs.setdefault(case.name, [])
            if len(some) > number:
                continue
            some.append(run(case))
            _write(kept, runs)
            _tell(case, some[-1])
    return runs


def _write(kept: Path, runs: Runs) -> None:
    unfinished = kept.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(runs, indent=1))
    unfinished.replace(kept)


def _tell(case: Case, one: dict[str, Any]) -> None:
    read, compute = one["read"], one["compute"]
    print(
        f"  {case.name}: read {read['wall']:.1f} s ({read['cpu']:.1f} CPU), compute {compute['wall']:.1f} s "
        f"({compute['cpu']:.1f} CPU, {compute['memory']:.0f} MB), {together(one['digests'])[:16]}",
        flush=True,
    )


def medians(cases: Iterable[Case], runs: Runs) -> dict[str, Taken]:
    """Return the medians of the cases by name, those that were run.

    Raises
    ------
    UnequalError
        If two runs of a case, or two ways of which it is claimed, gave different results.
    """
    wanted = [case for case in cases if runs.get(case.name)]
    taken = {case.name: _median(case.name, runs[case.name]) for case in wanted}
    for case in wanted:
        for other in wanted:
            same = (case.workflow, case.core) == (other.workflow, other.core) and (case.way, other.way) in SAME
            if same and taken[case.name].digest != taken[other.name].digest:
                raise UnequalError(f"{case.name} and {other.name} gave different results")
    return taken


def _median(name: str, runs: list[dict[str, Any]]) -> Taken:
    if len({together(one["digests"]) for one in runs}) > 1:
        raise UnequalError(f"{name} gave different results from run to run")

    def middle(*keys: str) -> float:
        values = []
        for one in runs:
            value: Any = one
            for key in keys:
                value = value[key]
            values.append(float(value))
        return statistics.median(values)

    read, compute = (
        Step(middle(step, "cpu"), middle(step, "wall"), middle(step, "memory")) for step in ("read", "compute")
    )
    first = runs[0]
    return Taken(
        read,
        compute,
        middle("part_cpu"),
        middle("peak"),
        first["moment_bytes"],
        first["result_bytes"],
        together(first["digests"]),
    )
