"""Result files of runs, as values: what model and report read."""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_TILE_PIXELS: Final = 10_980
_BLOCK_PIXELS: Final = 960
BANDS_OF_TEN: Final = {"bands": 2.0, "ndvi": 2.0, "nbr": 2 / 4, "all": 4 + 6 / 4 + 3 / 36}
"""Bands that are read, counted in pixels of 10 m."""
SERVERS: Final = ("store", "scheduler", "service", "worker")
"""Components of the platform, by the beginning of their names; the network between is none."""


@dataclass(frozen=True, slots=True)
class User:
    """What a user asked for and when it came; seconds since the run began."""

    parts: int
    """Cubes."""
    products: float
    """Products that they are made of."""
    searched: float = 0
    """When the search was answered."""
    accepted: float = 0
    """When the job was there."""
    done: float = 0
    """When it was over."""
    status: str = "successful"
    """How."""
    history: tuple[tuple[float, int], ...] = ()
    """When so many parts were there."""

    def parts_at(self, moment: float) -> int:
        """Return how many parts were there at some time."""
        return max((parts for when, parts in self.history if when <= moment), default=0)


@dataclass(frozen=True, slots=True)
class Span:
    """A cube, or the download of a product; seconds since the run began."""

    start: float
    """When it was begun."""
    end: float
    """When it was there."""
    worker: str = ""
    """Who did it."""

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Spent:
    """What a component used."""

    cpu: float
    """Seconds."""
    peak: float = 0
    """MB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A run."""

    name: str
    """Its name."""
    group: str
    """What it was made for."""
    side: str
    """``archive`` or ``safe``."""
    kind: str
    """``bands``, ``ndvi`` or ``all``."""
    profile: str
    """Name of the network."""
    latency: float
    """Seconds that each request waits."""
    connection: float
    """MB a second of each connection."""
    total: float
    """MB a second of all."""
    connections: int
    """Requests that are answered at once; 0: any number."""
    workers: int
    """Processes that compute."""
    cores: int
    """Cores of the machine, shared by all components."""
    users: tuple[User, ...]
    """Who asked."""
    wall: float
    """Seconds until the last of them had everything."""
    requests: float
    """Requests through the network."""
    sent: float
    """Bytes to clients."""
    received: float
    """Bytes from clients."""
    use: Mapping[str, Spent]
    """By component."""
    cubes: tuple[Span, ...]
    """Cubes as they were made."""
    downloads: tuple[Span, ...] = ()
    """Downloads of products; none with the archive."""
    results: str = "bucket"
    """Where cubes are written: ``bucket``, behind the network, or ``folder``, beside the workers."""
    pixels: float | None = None
    """Pixels that were read of bands; None: not known."""
    digests: Mapping[str, str] = field(default_factory=dict)
    """Of each cube."""
    machine: Mapping[str, Any] = field(default_factory=dict)
    """Where it ran."""

    @property
    def parts(self) -> int:
        """Cubes of all users."""
        return sum(user.parts for user in self.users)

    @property
    def products(self) -> float:
        """Products of all users; one a cube if it is not told."""
        return sum(user.products for user in self.users) or self.parts

    @property
    def at_once(self) -> int:
        """The most downloads that ran at once: how many the counterpart was told to do."""
        return max(
            (sum(one.start <= each.start < one.end for one in self.downloads) for each in self.downloads), default=0
        )

    def cpu(self, name: str) -> float:
        """CPU seconds of the components whose name begins so."""
        return sum(spent.cpu for key, spent in self.use.items() if key.startswith(name))

    @property
    def server_cpu(self) -> float:
        """CPU seconds of the platform, or of the counterpart's server and client; the network's left out."""
        return sum(spent.cpu for key, spent in self.use.items() if key != "network")


def load(out: Path) -> list[Result]:
    """Return the runs of a folder, by name.

    Parameters
    ----------
    out : Path
        Results are in its folder ``runs``.
    """
    about = out / "made.json"
    blocks = _blocks(json.loads(about.read_text())) if about.exists() else None
    return [parse(json.loads(path.read_text()), blocks) for path in sorted((out / "runs").glob("*.json"))]


def _blocks(made: Any) -> int | None:
    """Return the blocks along a side of what products see; 0: a full tile."""
    scene = made[0] if isinstance(made, list) and made else made
    return scene.get("blocks") if isinstance(scene, dict) else None


def parse(found: Mapping[str, Any], blocks: int | None = None) -> Result:
    """Return the run of a result file.

    Parameters
    ----------
    found : mapping
        JSON.
    blocks : int, optional
        Blocks along a side of what products see, 0 for a full tile: pixels follow from it where they are not told.
    """
    users = tuple(_user(one) for one in found["users"])
    products = sum(user.products for user in users) or sum(user.parts for user in users)
    pixels = found.get("pixels")
    if pixels is None and blocks is not None:
        side = blocks * _BLOCK_PIXELS or _TILE_PIXELS
        pixels = products * side**2 * BANDS_OF_TEN.get(found["kind"], 2.0)
    spans = list(found.get("parts", []))
    downloads = [one for one in spans if one.get("task") == "download"]
    cubes = [one for one in spans if one.get("task", "cube") == "cube"]
    if found["side"] == "safe" and not downloads:  # a product's download and calculation as one line
        downloads = [{**one, "end": one["downloaded"]} for one in cubes]
        cubes = [{**one, "start": one["downloaded"]} for one in cubes]
    network = found["network"]
    return Result(
        **{name: found[name] for name in ("name", "group", "side", "kind", "profile", "latency", "connection")},
        **{name: found[name] for name in ("total", "connections", "workers", "cores", "wall")},
        users=users,
        requests=network["requests"],
        sent=network["sent"],
        received=network["received"],
        use={name: Spent(one["cpu"], one.get("peak", 0)) for name, one in found["use"].items()},
        cubes=tuple(_span(one) for one in cubes),
        downloads=tuple(_span(one) for one in downloads),
        results=found.get("results", "bucket"),
        pixels=pixels,
        digests=found.get("digests", {}),
        machine=found.get("machine", {}),
    )


def _user(found: Mapping[str, Any]) -> User:
    times = {name: found.get(name, 0) for name in ("searched", "accepted", "done")}
    history = tuple((float(when), int(parts)) for when, parts in found.get("history", []))
    status = found.get("status", "successful")
    return User(found["parts"], found.get("products", 0), **times, status=status, history=history)


def _span(found: Mapping[str, Any]) -> Span:
    return Span(found["start"], found["end"], str(found.get("worker", "")))


def quantile(values: list[float], share: float) -> float:
    """Return the value below which a share of values lies; the nearest of them."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(share * (len(ordered) - 1))))]


def median(values: list[float]) -> float:
    """Return the middle value."""
    return statistics.median(values)
