"""Figures of the runs, held against their targets; whatever misses is told like what does not."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from benchmarks.continental.fit import TARGET, errors
from benchmarks.continental.model import POLL
from benchmarks.continental.results import quantile
from benchmarks.table import EXACT, SHOWN, Row

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from benchmarks.continental.fit import Prediction
    from benchmarks.continental.results import Result

_ONE_THREAD: Final = ("network", "scheduler", "service", "worker")
"""Components of which each process keeps about one core busy at most."""


@dataclass(frozen=True, slots=True)
class Pair:
    """The same cubes, from the archive and from SAFEs."""

    archive: Result
    """From the archive."""
    safe: Result
    """From SAFEs."""

    @property
    def equal(self) -> int:
        """Cubes that are equal byte for byte; -1 if any is not, or is missing."""
        one, other = self.archive.digests, self.safe.digests
        return len(one) if one and dict(one) == dict(other) else -1


def pairs(runs: Sequence[Result]) -> list[Pair]:
    """Return the runs that can be compared: the same kind, network and number of workers."""
    compared = [run for run in runs if run.group in ("network", "safe")]
    safes = {(run.kind, run.profile, run.workers): run for run in compared if run.side == "safe"}
    return [
        Pair(run, safes[run.kind, run.profile, run.workers])
        for run in compared
        if run.side == "archive" and (run.kind, run.profile, run.workers) in safes
    ]


def fairness(run: Result) -> float:
    """Return Jain's index of the cubes that users had when the first of them had all: until then all want more.

    Users look at their jobs one after the other, so what others had is what they saw at their next look.
    """
    first = min(user.done for user in run.users) + POLL
    had = [user.parts_at(first) for user in run.users]
    squares = sum(one * one for one in had)
    return sum(had) ** 2 / (len(had) * squares) if squares else 1.0


def waits(run: Result) -> tuple[float, float]:
    """Return p50 and p95 of the seconds until users had everything."""
    done = [user.done for user in run.users]
    return quantile(done, 0.5), quantile(done, 0.95)


def failed(run: Result) -> int:
    """Return the number of users who did not get everything."""
    return sum(user.status != "successful" for user in run.users)


def throughput(run: Result) -> float:
    """Return cubes a minute."""
    return 60 * run.parts / run.wall


def busiest(run: Result) -> tuple[str, float]:
    """Return the resource that was used most, and which share of it: all cores, single processes, the line."""
    shares = {"cores": sum(spent.cpu for spent in run.use.values()) / run.wall / run.cores}
    shares |= {name: spent.cpu / run.wall for name, spent in run.use.items() if name.startswith(_ONE_THREAD)}
    shares["line"] = max(run.sent, run.received) / 1e6 / run.wall / run.total
    name = max(shares, key=lambda one: shares[one])
    return name, shares[name]


def decoding(out: Path) -> float | None:
    """Return CPU seconds of plainly decoding a GB of pixels of the archive: of ``decode.json``, if that was measured.

    Parameters
    ----------
    out : Path
        The file has ``cpu`` (seconds) and ``pixels`` (uint16).
    """
    file = out / "decode.json"
    if not file.exists():
        return None
    told: Mapping[str, float] = json.loads(file.read_text())
    return told["cpu"] / (told["pixels"] * 2 / 1e9)


def cpu_of_gigabyte(run: Result) -> float | None:
    """Return CPU seconds of all servers for each GB of pixels that was delivered."""
    return run.server_cpu / (run.pixels * 2 / 1e9) if run.pixels else None


def rows(runs: Sequence[Result], predictions: Sequence[Prediction], decode: float | None) -> list[Row]:
    """Return all figures that have a target."""
    return [
        *_compared(pairs(runs)),
        *_server(runs, decode),
        *_scaling(runs),
        *_users(runs),
        *_predicted(predictions),
    ]


def _compared(found: Sequence[Pair]) -> list[Row]:
    made = []
    for pair in found:
        what = f"{pair.archive.kind}, {pair.archive.profile}"
        informative = pair.archive.connections > 0  # a provider's quota, not equal bandwidth
        bound = f"archive {_bound(pair.archive)}; SAFE {_bound(pair.safe)}"
        target = SHOWN if informative or pair.archive.kind != "bands" else "<= 0.1"
        made.append(Row(f"wall clock / SAFE ({what})", pair.archive.wall / pair.safe.wall, target, bound))
        target = SHOWN if pair.archive.kind == "all" else "<= 0.25"
        share = pair.archive.sent / pair.safe.sent
        made.append(Row(f"bytes to clients / SAFE ({what})", share, target, f"{pair.archive.sent / 1e6:,.1f} MB"))
        same = max(0, pair.equal) / max(1, len(pair.safe.digests))
        made.append(Row(f"cubes that are equal byte for byte ({what})", same, EXACT, f"{len(pair.safe.digests)} cubes"))
    return made


def _server(runs: Sequence[Result], decode: float | None) -> list[Row]:
    made = []
    for run in runs:
        if run.side != "archive" or run.group not in ("network", "main") or run.profile != "region":
            continue
        each = cpu_of_gigabyte(run)
        if each is None:
            continue
        what = f"({run.kind}, into a {run.results})"
        made.append(Row(f"CPU s of all servers for a GB of pixels {what}", each, SHOWN, _bound(run)))
        if decode:
            target = "<= 2" if run.kind in ("bands", "all") else SHOWN
            made.append(Row(f"the same / plainly decoding it {what}", each / decode, target, "writing is in it"))
    return made


def by_workers(runs: Sequence[Result]) -> list[Result]:
    """Return the runs of five users who want the needed bands, by the number of workers."""
    return sorted((run for run in runs if run.group == "workers"), key=lambda run: run.workers)


def _scaling(runs: Sequence[Result]) -> list[Row]:
    found = by_workers(runs)
    return [
        Row(
            f"throughput of {run.workers} workers / {run.workers} x that of {found[0].workers}",
            throughput(run) / throughput(found[0]) * found[0].workers / run.workers,
            ">= 0.85" if run.workers <= run.cores else SHOWN,
            _bound(run),
        )
        for run in found[1:]
    ]


def _users(runs: Sequence[Result]) -> list[Row]:
    asked = [run for run in runs if run.side == "archive"]
    made = [Row("users who did not get everything, all runs", sum(map(failed, asked)), "<= 0", f"{len(asked)} runs")]
    for run in asked:
        if run.group == "unequal":
            what = f"{len(run.users)} users, of whom one asks for {max(user.parts for user in run.users)} cubes"
            least = min(user.parts for user in run.users)
            made.append(Row(f"Jain's fairness, {what}", fairness(run), ">= 0.9", f"the others for {least} or more"))
    return made


def _predicted(predictions: Sequence[Prediction]) -> list[Row]:
    found = errors(predictions)
    if found is None:
        return []
    count = sum(not one.fitted for one in predictions)
    return [
        Row("median error of the model, runs it was not fitted on", found[0], f"<= {TARGET}", f"{count} runs"),
        Row("largest error of the model, the same", found[1], f"<= {TARGET}", f"{count} runs"),
    ]


def _bound(run: Result) -> str:
    name, share = busiest(run)
    return f"{name} {100 * share:.0f} %"
