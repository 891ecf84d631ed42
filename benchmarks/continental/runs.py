"""The runs: who asks for what, over which network, how many make it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, Literal

from benchmarks.continental.scale import MONTHS
from benchmarks.continental.scene import dates
from benchmarks.continental.users import Wish

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.continental.scale import Scale
    from benchmarks.continental.users import Kind

LIGHT: Final = 2
"""Cubes that each of the users asks for who want little, where one wants much."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run."""

    group: Literal["main", "users", "workers", "size", "unequal", "network"]
    """What it is made for."""
    side: Literal["archive", "safe"]
    """Cubes of the archive, or SAFEs downloaded and computed of."""
    kind: Kind
    """What is wanted."""
    profile: str
    """Network."""
    workers: int
    """Processes that compute."""
    wishes: tuple[Wish, ...]
    """What each user asks for."""
    results: Literal["bucket", "folder"] = "bucket"
    """Where results are written: behind the network, or beside who computes."""

    @property
    def name(self) -> str:
        """Name of the file of its results."""
        parts = sum(wish.parts for wish in self.wishes)
        return f"{self.group}-{self.side}-{self.kind}-{self.profile}-u{len(self.wishes)}-p{parts}-w{self.workers}"


def runs(scale: Scale) -> list[Run]:
    """Return all runs of a scale; those that share a stage come one after another."""
    return list(dict.fromkeys(_runs(scale)))


def compared_period(scale: Scale) -> str:
    """Return the dates whose SAFEs can be downloaded."""
    some = dates(scale, MONTHS[0])[: scale.safes]
    return f"{some[0]:%Y-%m-%d}/{some[-1]:%Y-%m-%d}"


def _runs(scale: Scale) -> Iterator[Run]:
    tiles, most = scale.tiles, max(scale.workers)
    kinds: tuple[Kind, Kind] = ("bands", "ndvi")

    def month(user: int) -> tuple[str]:
        return (MONTHS[user % len(MONTHS)],)

    five = tuple(Wish(tiles, month(user), kind="bands") for user in range(5))
    for kind in kinds:
        yield Run("main", "archive", kind, "region", most, tuple(Wish(tiles, one.periods, kind) for one in five))
    yield from _compared(scale, "region")
    light = max(scale.users) - 1
    heavy = Wish(tiles, MONTHS, "bands")
    wishes = tuple(Wish(tiles[-LIGHT:], month(user), "bands") for user in range(light))
    yield Run("unequal", "archive", "bands", "region", most, (heavy, *wishes), "folder")
    yield Run("size", "archive", "bands", "region", most, (Wish(tiles[:1], MONTHS, "bands"),), "folder")
    for users in scale.users:
        wishes = tuple(Wish(tiles, month(user), "bands") for user in range(users))
        yield Run("users", "archive", "bands", "region", most, wishes, "folder")
    for workers in scale.workers:
        yield Run("workers", "archive", "bands", "region", workers, five, "folder")
    for profile in scale.profiles:
        yield from _compared(scale, profile)


def _compared(scale: Scale, profile: str) -> Iterator[Run]:
    """Yield the runs of one user who wants the same of the archive and of SAFEs."""
    tiles, most = scale.tiles, max(scale.workers)
    compared: tuple[Kind, ...] = ("bands", "ndvi", "nbr")
    wish = partial(Wish, tiles, (compared_period(scale),))
    for kind in (*compared, "all"):
        yield Run("network", "archive", kind, profile, most, (wish(kind),), "folder")
    for kind in compared:
        yield Run("network", "safe", kind, profile, most, (wish(kind),), "folder")
