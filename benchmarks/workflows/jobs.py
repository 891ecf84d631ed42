"""One case in a process of its own: read a moment, compute, and say what each took.

All is done once before on a few pixels, so that imports and models are not measured.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.measure import peak_memory
from benchmarks.workflows.cases import ARCHIVE, COMPOSITE, LONE, LONE_ARCHIVE, Case, buffer

if TYPE_CHECKING:
    from collections.abc import Iterator

    import xarray as xr

    from abut.lattice import Bounds

PARTS: Final = {
    "clouds": (("workflows.clouds", "cloud_probability"),),
    "adjacency": (("workflows.adjacency", "surroundings"), ("workflows.adjacency", "kernel")),
    "classify": (("workflows.features", "clusters"),),
}
"""Functions whose time is told apart, by workflow: the detector; what adjacency does at 60 m alone; segments."""


@dataclass(slots=True)
class Step:
    """What a part of a run took."""

    cpu: float
    """User and system seconds of all threads."""
    wall: float
    """Seconds that passed."""
    memory: float
    """Largest resident memory in MB beyond that at its start."""


@dataclass(slots=True)
class Clock:
    """CPU of functions that are called meanwhile."""

    spent: float = 0.0
    """Seconds."""
    running: bool = field(default=False, repr=False)
    """Whether one of them runs: those that call each other are counted once."""


def main(told: str) -> None:
    """Run a case and print a line of JSON: `Step` of reading and of computing, digests, and what it was about."""
    values: Any = {name: tuple(one) if isinstance(one, list) else one for name, one in json.loads(told).items()}
    case = Case(**values)
    _compute(_read(small(case)), case, partial=True)
    print(json.dumps(measured(case)))


def small(case: Case) -> Case:
    """Return the same on a few pixels in the middle, of the tile's own product."""
    left, bottom, right, top = case.core
    x, y = (left + right) // 2 // 60 * 60, (bottom + top) // 2 // 60 * 60
    return replace(case, core=(x, y, x + 600, y + 600), safes=_own(case))


def _own(case: Case) -> tuple[str, ...]:
    return tuple(safe for safe in case.safes if Path(safe).name.startswith(case.products))


def measured(case: Case) -> dict[str, Any]:
    """Read, compute, and return what was measured."""
    with _step() as reading:
        moments = _read(case)
    clock = Clock()
    with _timed(case.workflow, clock), _step() as computing:
        result = _compute(moments, case, partial=case.way in (LONE, LONE_ARCHIVE))
    found = _variables(result, case.bounds)
    return {
        "read": _as_json(reading),
        "compute": _as_json(computing),
        "part_cpu": clock.spent,
        "peak": peak_memory(),
        "moment_bytes": sum(_size(moment) for moment in moments),
        "result_bytes": sum(int(one.nbytes) for one in found.values()),
        "digests": _digests(found),
    }


def _size(moment: xr.DataTree) -> int:
    return sum(int(one.nbytes) for node in moment.subtree for one in node.data_vars.values())


def _read(case: Case) -> list[xr.DataTree]:
    from abut.connection import connect  # noqa: PLC0415 - measured from a warm start only
    from workflows.runs.moments import lone_moment, product_moment  # noqa: PLC0415 - as above
    from workflows.runs.safes import safe_moment  # noqa: PLC0415 - as above

    bands, core, metres = _bands(case), case.bounds, buffer(case)
    if case.way in (ARCHIVE, LONE_ARCHIVE):
        opened = connect(case.archive)
        if case.way == LONE_ARCHIVE:
            return [lone_moment(opened, one, bands=bands, core=core) for one in case.products]
        return [product_moment(opened, one, buffer=metres, bands=bands, core=core) for one in case.products]
    alone = case.way == LONE
    safes = _own(case) if alone else case.safes
    return [
        safe_moment(safes, product=one, buffer=metres, bands=bands, core=core, alone=alone) for one in case.products
    ]


def _bands(case: Case) -> tuple[str, ...]:
    from workflows.runs.registry import workflow  # noqa: PLC0415 - as above

    return workflow("index" if case.workflow == COMPOSITE else case.workflow).bands(case.parameters)


def _compute(moments: list[xr.DataTree], case: Case, *, partial: bool) -> Any:
    from workflows.runs.registry import workflow  # noqa: PLC0415 - as above

    if case.workflow == COMPOSITE:
        return _composite(moments)
    return workflow(case.workflow).compute(moments[0], case.parameters, partial=partial)


def _composite(moments: list[xr.DataTree]) -> Any:
    from datetime import datetime  # noqa: PLC0415 - as above

    from workflows.composites import Moment, composite  # noqa: PLC0415 - as above
    from workflows.runs.registry import workflow  # noqa: PLC0415 - as above
    from workflows.runs.results import ground, variables  # noqa: PLC0415 - as above

    layers = [variables(workflow("index").compute(one), ground(one))["ndvi"] for one in moments]
    times = [Moment(datetime.fromisoformat(one.attrs["datetime"]), one.attrs["datatake"]) for one in moments]
    made = composite([one.to_numpy() for one in layers], times)
    return layers[0].copy(data=made.values).to_dataset(name="ndvi")


def _variables(result: Any, core: Bounds) -> dict[str, xr.DataArray]:
    from workflows.runs.results import variables  # noqa: PLC0415 - as above

    return variables(result, core)


def _digests(found: dict[str, xr.DataArray]) -> dict[str, str]:
    from workflows.runs.results import digest  # noqa: PLC0415 - as above

    return {name: digest(one) for name, one in sorted(found.items())}


def together(digests: dict[str, str]) -> str:
    """Return one digest of a result's variables."""
    return hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()


@contextlib.contextmanager
def _step() -> Iterator[Step]:
    """Measure what is done inside."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = peak_memory()
    step, wall, cpu = Step(0, 0, 0), time.perf_counter(), time.process_time()
    yield step
    step.cpu, step.wall = time.process_time() - cpu, time.perf_counter() - wall
    step.memory = peak_memory() - before


def _as_json(step: Step) -> dict[str, float]:
    return {"cpu": step.cpu, "wall": step.wall, "memory": step.memory}


@contextlib.contextmanager
def _timed(workflow: str, clock: Clock) -> Iterator[None]:
    """Count the CPU of the functions of `PARTS`."""
    plain = [(importlib.import_module(module), name) for module, name in PARTS.get(workflow, ())]
    before = [getattr(module, name) for module, name in plain]
    for (module, name), function in zip(plain, before, strict=True):
        setattr(module, name, _counted(function, clock))
    try:
        yield
    finally:
        for (module, name), function in zip(plain, before, strict=True):
            setattr(module, name, function)


def _counted(function: Any, clock: Clock) -> Any:
    def counted(*arguments: Any, **options: Any) -> Any:
        if clock.running:
            return function(*arguments, **options)
        start, clock.running = time.process_time(), True
        try:
            return function(*arguments, **options)
        finally:
            clock.spent, clock.running = clock.spent + time.process_time() - start, False

    return counted


if __name__ == "__main__":
    main(sys.argv[1])
