"""What is looked at when somebody asks for metrics: whether probes answer, room on disks, products."""

from __future__ import annotations

import asyncio
import os
import time
from datetime import datetime
from typing import TYPE_CHECKING, Final

from catalog.item import COLLECTION_ID
from catalog.search import Search
from services.health import PATIENCE, reason
from services.metrics import metrics

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from services.health import Probe
    from services.metrics import Refresh
    from services.stac.backend import Backend

BELIEVED: Final = 60.0
"""Seconds for which the count of products is believed; longer where counting takes long."""

_COSTS: Final = 50
"""How many times as long as counting took its outcome is believed."""


def watch_probes(probes: Mapping[str, Probe]) -> Refresh:
    """Return what tells in ``abut_ready`` whether probes answer, each by its name."""

    async def look() -> None:
        found = await asyncio.gather(*map(reason, probes, probes.values()))
        for name, why in zip(probes, found, strict=True):
            metrics().ready.labels(name).set(why is None)

    return look


def watch_disks(places: Mapping[str, Path]) -> Refresh:
    """Return what tells how much room there is where files are written, by what is written there.

    Parameters
    ----------
    places : mapping
        Folders by name; one that is not there (yet) is passed over.
    """

    async def look() -> None:
        for name, folder in places.items():
            try:
                found = os.statvfs(folder)
            except FileNotFoundError:
                continue
            metrics().disk.labels(name).set(found.f_blocks * found.f_frsize)
            metrics().disk_free.labels(name).set(found.f_bavail * found.f_frsize)

    return look


def watch_products(backend: Backend) -> Refresh:
    """Return what tells how many products the catalogue lists, and when the newest was sensed."""
    until = 0.0
    counting = asyncio.Lock()

    async def look() -> None:
        nonlocal until
        async with counting:
            started = time.monotonic()
            if started < until:
                return
            async with asyncio.timeout(PATIENCE):
                search = Search(collections=(COLLECTION_ID,))
                found = await backend.aggregate(search, ["total_count", "datetime_max"])
            count, newest = (aggregation["value"] for aggregation in found)
            metrics().products.set(count)
            if newest is not None:
                metrics().newest.set(datetime.fromisoformat(newest).timestamp())
            ended = time.monotonic()
            until = ended + max(BELIEVED, _COSTS * (ended - started))

    return look
