"""A discrete-event simulation of a run: users, the service, workers, network and cores that all of them share."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import simpy

from benchmarks.continental.sharing import Shared
from services.cubes.queue import Waiting, next_user

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    type Steps = Generator[simpy.Event, Any, Any]

PIECES: Final = 6
"""Steps of reading and computing that a cube is simulated in."""
POLL: Final = 0.2
"""Seconds between two looks of a user at a job."""
SEED: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What a cube needs, for each product that it is made of; CPU in seconds, bytes in MB."""

    requests: float = 0
    """Requests of the store."""
    wave: float = 1
    """Requests of a worker that wait at the same time, on average."""
    sent: float = 0
    """MB that are read."""
    received: float = 0
    """MB that are written through the network."""
    store: float = 0
    """CPU of the store."""
    network: float = 0
    """CPU of the relay that shapes the network: one thread."""
    worker: float = 0
    """CPU of the worker."""
    parallel: float = 1
    """Cores that a worker keeps busy while it computes."""
    scheduler: float = 0
    """CPU of Dask's scheduler."""
    search: float = 0
    """Seconds of a search, once for each user."""
    plan: float = 0
    """Seconds until the service took a job, for each cube; not of CPU alone."""
    service: float = 0
    """CPU of the service, for each cube."""
    poll: float = 0
    """CPU of the service in each second that a user waits."""
    gap: float = 0
    """Seconds between two cubes of a worker."""
    copying: float = 0
    """CPU of who downloads, for each product; one process."""
    scatter: tuple[float, ...] = (1.0,)
    """How much more or less than the mean single cubes need."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is asked for, of what machine, over which network."""

    parts: tuple[int, ...]
    """Cubes of each user."""
    products: float
    """Products that a cube is made of."""
    workers: int
    """Processes that compute."""
    cores: float
    """Cores, shared by all components."""
    latency: float = 0
    """Seconds that each request waits."""
    connection: float = 1e9
    """MB a second of each connection."""
    total: float = 1e9
    """MB a second of all, each way."""
    connections: int = 0
    """Requests that are answered at once; 0: any number."""
    downloads: int = 4
    """Downloads at once, of the counterpart."""


@dataclass(slots=True)
class Told:
    """What came out; seconds since the run began."""

    wall: float = 0
    """When the last user had everything."""
    done: list[float] = field(default_factory=list)
    """When each user had."""
    cubes: list[float] = field(default_factory=list)
    """How long each cube took."""
    downloads: list[float] = field(default_factory=list)
    """How long each download took."""
    used: float = 0
    """CPU seconds of all components."""


class _World:
    """What all share."""

    def __init__(self, load: Load, need: Demand) -> None:
        self.load, self.need = load, need
        self.env = simpy.Environment()
        self.cpu = Shared(self.env, load.cores)
        self.down, self.up = (Shared(self.env, load.total) for _ in range(2))
        self.gate = simpy.Container(self.env, init=load.connections or 1e9)
        self.told = Told()
        factors = list(need.scatter) * (1 + sum(load.parts) // len(need.scatter))
        random.Random(SEED).shuffle(factors)  # noqa: S311 - reproducible, not secret
        self.factors = deque(factors)

    def moved(self, amount: float, share: float = 1) -> Steps:
        """Wait for the requests of a cube, or of a part of it; `amount`: products."""
        load, need = self.load, self.need
        wave = min(need.wave, load.connections or need.wave)
        part = amount * share
        yield self.gate.get(wave)
        yield self.env.timeout(part * need.requests / wave * load.latency)
        each = max(1.0, wave) * load.connection
        yield self.env.all_of(
            [
                self.down.use(part * need.sent, each=each),
                self.up.use(part * need.received, each=each),
                self.cpu.use(part * need.store, "store"),
                self.cpu.use(part * need.network, "network", most=1),
            ]
        )
        yield self.gate.put(wave)


def simulate(load: Load, need: Demand) -> Told:
    """Return what happens when users ask the service for cubes.

    Users search and ask at the same moment. The service plans each job, then hands out cubes, of which users take turns
    by the rule that the service itself has (`services.cubes.queue.next_user`). A worker makes one cube after the other,
    each in `PIECES` steps: requests, in waves that wait for the latency; bytes, at the rate of their connections and of
    the line; CPU of store and relay meanwhile; then CPU of the worker. Components share the cores.
    """
    world = _World(load, need)
    env, told = world.env, world.told
    waiting = dict.fromkeys(range(len(load.parts)), 0)
    left, served, turns = list(load.parts), dict.fromkeys(waiting, 0), 0
    bell = [env.event()]
    ends = [env.event() for _ in load.parts]

    def user(number: int, parts: int) -> Steps:
        yield env.timeout(need.search)
        yield env.timeout(max(0.0, need.plan - need.service) * parts)
        yield world.cpu.use(need.service * parts, "service", most=1)
        waiting[number] = parts
        bell[0].succeed()
        bell[0] = env.event()
        if parts:
            env.process(polling(number))
            yield ends[number]
        told.done.append(env.now)

    def polling(number: int) -> Steps:
        while not ends[number].triggered and need.poll:
            world.cpu.use(need.poll, "service", most=1)
            yield env.timeout(1)

    def next_one() -> int | None:
        nonlocal turns
        able = [Waiting(f"{one:06}", served[one], 0) for one, count in waiting.items() if count]
        chosen = next_user(able, per_user=1 << 30)
        if chosen is None:
            return None
        turns += 1
        served[int(chosen)] = turns
        waiting[int(chosen)] -= 1
        return int(chosen)

    def worker(name: str) -> Steps:
        while any(left):
            owner = next_one()
            if owner is None:
                yield bell[0]
                continue
            began, amount = env.now, load.products * world.factors.popleft()
            for _ in range(PIECES):
                yield from world.moved(amount, 1 / PIECES)
                yield world.cpu.use(amount * need.worker / PIECES, name, most=need.parallel)
            told.cubes.append(env.now - began)
            left[owner] -= 1
            if not left[owner]:
                ends[owner].succeed()
            if not any(left):
                bell[0].succeed()
                return
            world.cpu.use(need.scheduler * load.products, "scheduler", most=1)
            yield env.timeout(need.gap)

    users = [env.process(user(number, parts)) for number, parts in enumerate(load.parts)]
    for number in range(load.workers):
        env.process(worker(f"worker {number}"))
    env.run(env.all_of(users))
    told.done = [when + POLL / 2 for when in told.done]
    told.wall, told.used = max(told.done), world.cpu.used
    return told


def simulate_download(load: Load, need: Demand) -> Told:
    """Return what happens when SAFEs are downloaded, some at once, and each cube is made as soon as it has its own.

    ``load.parts`` are cubes of one user; `Demand` is that of a product.
    """
    world = _World(load, need)
    env, told = world.env, world.told
    (parts,) = load.parts
    each = max(1, round(load.products))
    queue = deque(divmod(number, each)[0] for number in range(parts * each))
    missing, ready, bell = [each] * parts, deque[int](), [env.event()]
    share = load.products / each
    left = parts

    def loader() -> Steps:
        while queue:
            cube, began = queue.popleft(), env.now
            copying = world.cpu.use(need.copying * share, "client", most=1)
            yield from world.moved(share)
            yield copying
            told.downloads.append(env.now - began)
            missing[cube] -= 1
            if not missing[cube]:
                ready.append(cube)
                bell[0].succeed()
                bell[0] = env.event()

    def worker(name: str) -> Steps:
        nonlocal left
        while left:
            if not ready:
                yield bell[0]
                continue
            ready.popleft()
            began = env.now
            yield world.cpu.use(need.worker * load.products * world.factors.popleft(), name, most=need.parallel)
            told.cubes.append(env.now - began)
            left -= 1
        if not bell[0].triggered:
            bell[0].succeed()

    for _ in range(min(load.downloads, load.connections or load.downloads)):
        env.process(loader())
    crew: Sequence[simpy.Process] = [env.process(worker(f"worker {number}")) for number in range(load.workers)]
    env.run(env.all_of(crew))
    told.wall, told.done, told.used = env.now, [env.now], world.cpu.used
    return told
