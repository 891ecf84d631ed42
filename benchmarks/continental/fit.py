"""What cubes and downloads need, from some runs; and how well that predicts all the others."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from benchmarks.continental.model import Demand, Load, Told, simulate, simulate_download

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from benchmarks.continental.results import Result

    type Key = tuple[str, str, str]
    """Side, kind, and where results are written: what needs other things."""

RULE: Final = (
    "Fitted on runs in the region alone: with one worker those of the most users, and those of one user; where there "
    "is no such run of a kind, on its run of the fewest cubes and workers. All others are predicted."
)
TARGET: Final = 0.15
"""Largest error that is aimed at."""
_MOST: Final = 64.0
_MEGA: Final = 1e6


@dataclass(frozen=True, slots=True)
class Prediction:
    """A run, as it was and as the model has it; seconds of wall clock."""

    run: Result
    """The run."""
    predicted: float
    """What the model says."""
    fitted: bool
    """Whether the model was fitted on it: then it is no prediction."""

    @property
    def measured(self) -> float:
        """What was measured."""
        return self.run.wall

    @property
    def error(self) -> float:
        """Predicted / measured - 1."""
        return self.predicted / self.measured - 1


def key_of(run: Result) -> Key:
    """Return what a run shares with those that need the same."""
    return run.side, run.kind, run.results


def chosen(runs: Iterable[Result]) -> dict[Key, list[Result]]:
    """Return the runs that a model is fitted on, see `RULE`."""
    kinds: dict[Key, list[Result]] = {}
    for run in runs:
        if run.wall > 0 and all(user.status == "successful" for user in run.users):
            kinds.setdefault(key_of(run), []).append(run)
    return {key: _chosen(some) for key, some in kinds.items()}


def _chosen(runs: list[Result]) -> list[Result]:
    near = [run for run in runs if run.profile == "region"] or runs
    alone = [run for run in near if run.workers == 1 and run.group in ("workers", "users")]
    if alone:
        most = max(len(run.users) for run in alone)
        single = [run for run in near if len(run.users) == 1 and run.group == "users"]
        return list({run.name: run for run in [*(one for one in alone if len(one.users) == most), *single]}.values())
    return [min(near, key=lambda run: (run.parts, len(run.users), run.workers, run.name))]


def fit(runs: Sequence[Result]) -> dict[Key, Demand]:
    """Return what cubes need by what is made."""
    return {key: demand_of(some) for key, some in chosen(runs).items()}


def demand_of(runs: Sequence[Result]) -> Demand:
    """Return what a cube of some runs needs, for each product.

    CPU, bytes and requests are what was counted. How many requests wait at once (1 to 64, and if that can't explain it,
    how many cores a worker keeps busy) is chosen so that simulated cubes take as long as those of the runs on average;
    with downloads, CPU of copying and of computing.
    """
    products = sum(run.products for run in runs)

    def each(what: Callable[[Result], float]) -> float:
        return sum(map(what, runs)) / products

    base = Demand(
        requests=each(lambda run: run.requests),
        sent=each(lambda run: run.sent) / _MEGA,
        received=each(lambda run: run.received) / _MEGA,
        store=each(lambda run: run.cpu("store")),
        network=each(lambda run: run.cpu("network")),
        scatter=_scatter(runs),
    )
    if runs[0].side == "safe":
        return _calibrated_download(runs, base)
    service, poll = _service(runs)
    fewest = min(runs, key=lambda run: (len(run.users), run.parts))
    base = replace(
        base,
        worker=each(lambda run: run.cpu("worker")),
        scheduler=each(lambda run: run.cpu("scheduler")),
        service=service,
        poll=poll,
        search=min(user.searched for user in fewest.users),
        plan=min((user.accepted - user.searched) / max(1, user.parts) for user in fewest.users),
        gap=_gap(runs),
    )
    return _calibrated(runs, base)


def load_of(run: Result) -> Load:
    """Return what was asked for in a run."""
    return Load(
        parts=tuple(user.parts for user in run.users),
        products=run.products / max(1, run.parts),
        workers=run.workers,
        cores=run.cores,
        latency=run.latency,
        connection=run.connection,
        total=run.total,
        connections=run.connections,
        downloads=run.at_once or 4,
    )


def predict(run: Result, need: Demand) -> Told:
    """Return what the model says of a run."""
    return (simulate_download if run.side == "safe" else simulate)(load_of(run), need)


def validate(runs: Sequence[Result]) -> list[Prediction]:
    """Return all runs beside what a model says that was fitted on some of them (`RULE`), by name."""
    needs, used = fit(runs), {run.name for some in chosen(runs).values() for run in some}
    return [
        Prediction(run, predict(run, needs[key_of(run)]).wall, run.name in used)
        for run in sorted(runs, key=lambda run: run.name)
        if key_of(run) in needs and run.wall > 0
    ]


def errors(predictions: Iterable[Prediction]) -> tuple[float, float] | None:
    """Return median and maximum of the sizes of the errors of true predictions; None if there is none."""
    found = [abs(one.error) for one in predictions if not one.fitted]
    return (statistics.median(found), max(found)) if found else None


def told(predictions: Sequence[Prediction]) -> list[str]:
    """Return lines to be printed: each run beside its prediction, then median and maximum of the errors."""
    width = max((len(one.run.name) for one in predictions), default=0)
    lines = [
        f"{one.run.name:{width}}  measured {one.measured:8.2f} s  model {one.predicted:8.2f} s  {one.error:+7.1%}"
        f"{'  (fitted)' if one.fitted else ''}"
        for one in predictions
    ]
    found = errors(predictions)
    count = sum(not one.fitted for one in predictions)
    end = f"median {found[0]:.1%}, largest {found[1]:.1%}, target {TARGET:.0%}" if found else "none"
    return [*lines, f"errors of {count} predicted runs: {end}"]


def _calibrated(runs: Sequence[Result], base: Demand) -> Demand:
    """Choose the requests that wait at once, or the cores of a worker."""
    measured = sum(span.seconds for run in runs for span in run.cubes)
    if not measured:
        return base

    def simulated(need: Demand) -> float:
        return sum(sum(predict(run, need).cubes) for run in runs)

    def waves(value: float) -> Demand:
        return replace(base, wave=value)

    def cores(wave: float, value: float) -> Demand:
        return replace(base, wave=wave, parallel=value)

    def solved(make: Callable[[float], Demand], low: float, high: float) -> Demand:
        return make(_solved(lambda value: simulated(make(value)), measured, low, high))

    if simulated(waves(1)) < measured:  # it waits for something else: it has less than a core
        return solved(lambda value: cores(1, value), 0.1, 1)
    if simulated(waves(_MOST)) <= measured:
        return solved(waves, 1, _MOST)
    return solved(lambda value: cores(_MOST, value), 1, max(run.cores for run in runs))


def _calibrated_download(runs: Sequence[Result], base: Demand) -> Demand:
    """Choose CPU of copying and of computing for each product."""
    products = sum(run.products for run in runs)
    loading = sum(span.seconds for run in runs for span in run.downloads)
    making = sum(span.seconds for run in runs for span in run.cubes)

    def rest(need: Demand) -> tuple[float, float]:
        told = [predict(run, need) for run in runs]
        return loading - sum(sum(one.downloads) for one in told), making - sum(sum(one.cubes) for one in told)

    copying, worker = 0.0, making / products
    for _ in range(3):  # each changes the other a little
        copying = _solved(
            partial(lambda own, value: rest(replace(base, copying=value, worker=own))[0], worker),
            0,
            0,
            loading / products,
        )
        worker = _solved(
            partial(lambda own, value: rest(replace(base, copying=own, worker=value))[1], copying),
            0,
            0,
            making / products,
        )
    return replace(base, copying=copying, worker=worker)


def _solved(falling: Callable[[float], float], wanted: float, low: float, high: float) -> float:
    """Return where a falling function has a value, by halving; the nearer end if it has it nowhere between."""
    for _ in range(20):
        middle = (low + high) / 2
        if falling(middle) > wanted:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _service(runs: Sequence[Result]) -> tuple[float, float]:
    """Return CPU of the service for each cube and for each second that a user waits, none below zero.

    Least squares over the runs; with one run all is the cubes'.
    """
    rows = [(run.parts, sum(user.done - user.accepted for user in run.users), run.cpu("service")) for run in runs]
    aa, ab, bb = (sum(x * y for x, y in some) for some in _products(rows))
    ac, bc = (sum(row[number] * row[2] for row in rows) for number in (0, 1))
    alone = ac / aa if aa else 0.0
    determinant = aa * bb - ab * ab
    if len(rows) < 2 or determinant <= 1e-9 * aa * bb:
        return alone, 0.0
    part, wait = (ac * bb - bc * ab) / determinant, (bc * aa - ac * ab) / determinant
    if wait < 0:
        return alone, 0.0
    return (part, wait) if part >= 0 else (0.0, bc / bb)


def _products(rows: Sequence[tuple[float, float, float]]) -> tuple[list[tuple[float, float]], ...]:
    pairs: Mapping[tuple[int, int], list[tuple[float, float]]] = {
        (one, two): [(row[one], row[two]) for row in rows] for one, two in ((0, 0), (0, 1), (1, 1))
    }
    return tuple(pairs.values())


def _gap(runs: Sequence[Result]) -> float:
    """Return the seconds between two cubes of a worker, the median."""
    gaps = []
    for run in runs:
        for worker in {span.worker for span in run.cubes}:
            spans = sorted((one for one in run.cubes if one.worker == worker), key=lambda one: one.start)
            gaps += [max(0.0, after.start - before.end) for before, after in pairwise(spans)]
    return statistics.median(gaps) if gaps else 0.0


def _scatter(runs: Sequence[Result]) -> tuple[float, ...]:
    """Return how long each cube took, beside the mean of its run."""
    found = []
    for run in runs:
        seconds = [span.seconds for span in run.cubes]
        if seconds and (mean := statistics.fmean(seconds)) > 0:
            found += [one / mean for one in seconds]
    return tuple(found) or (1.0,)
