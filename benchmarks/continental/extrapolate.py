"""From what was measured to 2,484 tiles and five months on many nodes: all of it modelled."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import simpy

from abut.safe_cost import DECODED_PER_SECOND
from benchmarks.continental.model import SEED, Demand
from benchmarks.continental.sharing import Counter, Shared

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.continental.model import Steps

TILES: Final = {30: 82, 35: 348, 40: 372, 45: 270, 50: 370, 55: 293, 60: 282, 65: 288, 70: 179}
"""Tiles within 2 degrees of European land (to 60 E, with Turkey and the Caucasus) by the latitude of their middles, in
classes of 5 degrees: 2,484."""
PRODUCTS: Final = {30: 1.97, 35: 1.97, 40: 2.12, 45: 2.35, 50: 2.57, 55: 3.03, 60: 3.58, 65: 4.42, 70: 4.42}
"""Products of a tile in ten days of one satellite, from the geometry of the orbit; south of 35 and north of 70 degrees
those of the class beside."""
COVERED: Final = 0.68
"""Share of its tile that a product covers, on average."""
MONTHS: Final = 5
DAYS: Final = 30.6
FULL_PIXELS: Final = 10_980**2
"""Pixels of a band of 10 m of a full tile."""
SAFE_MEGABYTES: Final = 600.0
"""MB of a real SAFE of a full tile."""
SAFE_DECODED: Final = 1.346e9
"""Bytes of its 13 bands, decoded."""
INGEST_RATIO: Final = 1.14 / 0.85
"""CPU of ingest beside decoding the 13 bands: 1.14 without masks, which are 0.15 of the whole (performance.md)."""
INGEST_PUTS: Final = 2_597
"""PUT requests of a product's ingest (performance.md)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """Where it runs: one worker a core."""

    nodes: int
    """Machines."""
    cores: int = 16
    """Cores of each."""
    nic: float = 1_250.0
    """MB a second of each machine's interface (10 Gbit/s)."""
    latency: float = 0.03
    """Seconds that a request of the store waits."""
    connection: float = 90.0
    """MB a second of a connection to the store."""
    rate: float = 5_500.0
    """Requests a second of each prefix of the store."""
    prefixes: int = 10
    """Prefixes that requests spread over: S3 splits the keys of a busy bucket by itself, sooner or later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """List prices in dollars, without traffic and tax: assumptions, to be replaced by the reader's own."""

    node: float = 0.68
    """Of an hour of a machine with 16 virtual cores and 32 GB (such as c6i.4xlarge on demand in us-east-1, 2024)."""
    get: float = 0.0004
    """Of 1,000 GET (S3 Standard, 2024)."""
    put: float = 0.005
    """Of 1,000 PUT (as above)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Modelled:
    """What the model says of a request for the continent."""

    fleet: Fleet
    """Where."""
    users: int
    """Who asked at the same moment, each for one month."""
    wall: float
    """Seconds until all had everything."""
    worker: float
    """Seconds of CPU of the workers."""
    moved: float
    """MB."""
    requests: float
    """Requests of the store."""
    planning: float
    """Seconds that the service was busy with planning."""
    dollars: float
    """Machines and requests."""


def full(need: Demand, pixels: float, bands: float) -> Demand:
    """Return what a product of a tile of Europe needs, from what one in the benchmark needed.

    Requests, bytes and CPU of the worker grow with the pixels. What does not grow with them (a cube's metadata) is then
    counted too often if the benchmark's products saw little ground, so figures are upper bounds.

    Parameters
    ----------
    need : Demand
        What was fitted.
    pixels : float
        Pixels of the bands that were read of a product in the benchmark.
    bands : float
        Bands that are read, counted in pixels of 10 m.
    """
    factor = FULL_PIXELS * COVERED * bands / pixels
    return replace(
        need,
        requests=need.requests * factor,
        sent=need.sent * factor,
        received=need.received * factor,
        worker=need.worker * factor,
    )


def full_safe(need: Demand, pixels: float, bands: float) -> Demand:
    """Return the same of the counterpart, which downloads a real SAFE, whole."""
    grown = full(need, pixels, bands)
    return replace(grown, sent=SAFE_MEGABYTES * COVERED, requests=1.0, wave=1.0, copying=0.0)


def tile_months(satellites: int, tiles: dict[int, int] | None = None) -> list[float]:
    """Return the products of each tile in a month, by the latitude of the tile."""
    return [
        PRODUCTS[latitude] * satellites * DAYS / 10
        for latitude, count in (TILES if tiles is None else tiles).items()
        for _ in range(count)
    ]


def run(
    need: Demand, fleet: Fleet, products: Sequence[float], *, users: int = 5, prices: Prices | None = None
) -> Modelled:
    """Return what happens when users ask for a month of all tiles each, at the same moment.

    The service plans in one process (``need.plan`` seconds a cube, the users' at the same time, and ``need.service``
    of them are CPU, one after the other); the scheduler hands cubes out one after the other; each worker has a core,
    each machine an interface, and the store a number of requests a second.

    Parameters
    ----------
    need : Demand
        What a product of a cube needs, see `full`.
    fleet : Fleet
        Where.
    products : sequence of float
        Products of each tile in the month.
    users : int
        How many ask.
    prices : Prices, optional
        Default: list prices.
    """
    env = simpy.Environment()
    service, scheduler, store = Counter(env), Counter(env), Counter(env)
    chance = random.Random(SEED)  # noqa: S311 - reproducible, not secret
    parts = [count * factor for count, factor in zip(products, _endless(need.scatter, chance), strict=False)]
    queue = deque(amount for amount in parts for _ in range(users))  # users take turns
    limit = fleet.rate * fleet.prefixes

    def worker(nic: Shared) -> Steps:
        yield planned
        while queue:
            amount = queue.popleft()
            yield scheduler.serve(need.scheduler)
            asked = amount * need.requests
            yield store.serve(asked / limit)
            yield env.timeout(asked / need.wave * fleet.latency)
            yield nic.use(amount * (need.sent + need.received), each=max(1.0, need.wave) * fleet.connection)
            yield env.timeout(amount * need.worker / min(1.0, need.parallel) + need.gap)

    def plan() -> Steps:
        yield env.timeout(need.search + max(0.0, need.plan - need.service) * len(parts))
        yield service.serve(need.service * len(parts) * users)

    planned = env.process(plan())
    lines = [Shared(env, fleet.nic) for _ in range(fleet.nodes)]
    count = min(fleet.nodes * fleet.cores, len(queue))  # others would find nothing to do
    crew = [env.process(worker(lines[number % fleet.nodes])) for number in range(count)]
    env.run(env.all_of(crew))
    total = sum(parts) * users
    paid = prices or Prices()
    return Modelled(
        fleet=fleet,
        users=users,
        wall=env.now,
        worker=total * need.worker,
        moved=total * (need.sent + need.received),
        requests=total * need.requests,
        planning=need.plan * len(parts),
        dollars=fleet.nodes * env.now / 3600 * paid.node + total * need.requests * paid.get / 1000,
    )


def _endless(scatter: Sequence[float], chance: random.Random) -> Iterator[float]:
    while True:
        yield chance.choice(scatter)


def provider_seconds(megabytes: float, *, rate: float = 80.0, month: float = 6e6, after: float = 1.0) -> float:
    """Return how long a download takes whose provider slows it down when a month's share is used up.

    Parameters
    ----------
    megabytes : float
        What is downloaded.
    rate, after : float
        MB a second of all connections together, before and after the share is used up.
    month : float
        MB of the share.
    """
    length = DAYS * 86_400
    quick = min(month / rate, length)
    most = quick * rate + (length - quick) * after
    months = int(megabytes // most)
    left = megabytes - months * most
    rest = left / rate if left <= quick * rate else quick + (left - quick * rate) / after
    return months * length + rest


def safe_megabytes(products: Sequence[float], users: int = MONTHS) -> float:
    """Return the MB of the SAFEs that users need for a month each."""
    return sum(products) * users * SAFE_MEGABYTES * COVERED


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakEven:
    """After how many reads of the same products ingest has paid; of a mean product."""

    ingest: float
    """What ingest costs."""
    safe: float
    """What a read from its SAFE costs."""
    archive: float
    """What a read from the archive costs."""

    @property
    def reads(self) -> float:
        """Reads, infinite if a read from the archive is no cheaper."""
        return self.ingest / (self.safe - self.archive) if self.safe > self.archive else float("inf")


def break_even(archive: Demand, safe: Demand, prices: Prices | None = None) -> tuple[BreakEven, BreakEven]:
    """Return break-even in seconds of CPU, and in dollars (CPU, PUTs and GETs; keeping either is not counted).

    Parameters
    ----------
    archive, safe : Demand
        What a product of a tile of Europe needs, see `full` and `full_safe`.
    prices : Prices, optional
        Default: list prices.
    """
    paid = prices or Prices()
    ingest = SAFE_DECODED / DECODED_PER_SECOND * INGEST_RATIO * COVERED
    second = paid.node / 16 / 3600

    def dollars(need: Demand) -> float:
        return need.worker * second + need.requests * paid.get / 1000

    return (
        BreakEven(ingest=ingest, safe=safe.worker, archive=archive.worker),
        BreakEven(
            ingest=ingest * second + INGEST_PUTS * COVERED * paid.put / 1000,
            safe=dollars(safe),
            archive=dollars(archive),
        ),
    )
