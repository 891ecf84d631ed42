"""Users: each searches, asks for the cubes of some tiles of a month, waits, and looks at what came."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

import httpx

from abut.period import parse_period
from benchmarks.continental.scale import BANDS

if TYPE_CHECKING:
    from collections.abc import Sequence

type Kind = Literal["bands", "ndvi", "nbr", "all"]
"""What is asked for: two bands of 10 m, monthly composites of indices of 10 m and of 20 m, or all 13 bands."""

_POLL: Final = 0.2
_INPUTS: Final[dict[Kind, dict[str, Any]]] = {
    "bands": {"bands": list(BANDS)},
    "ndvi": {"index": "ndvi", "composite": "median"},
    "nbr": {"index": "nbr", "composite": "median"},
    "all": {},
}


@dataclass(frozen=True, slots=True)
class Wish:
    """What a user wants."""

    tiles: tuple[str, ...]
    """Tiles."""
    periods: tuple[str, ...]
    """Months and other periods, such as ``2025-07`` and ``2025-04-01/2025-04-04``."""
    kind: Kind
    """What of them."""

    @property
    def parts(self) -> int:
        """Cubes that are made for it."""
        return len(self.tiles) * len(self.periods)


@dataclass(slots=True)
class Told:
    """What a user saw; times in seconds since all began."""

    wish: Wish
    found: int = 0
    """Products that the search found."""
    searched: float = 0
    """When it had."""
    accepted: float = 0
    """When the job was there."""
    done: float = 0
    """When it was over."""
    status: str = ""
    """How."""
    message: str = ""
    """What the service said to it."""
    job: str = ""
    """URL of the job."""
    history: list[tuple[float, int]] = field(default_factory=list)
    """When so many parts were there."""

    def parts_at(self, moment: float) -> int:
        """Return how many parts were there at some time."""
        return max((parts for when, parts in self.history if when <= moment), default=0)


def ask_all(url: str, wishes: Sequence[Wish], timeout: float) -> list[Told]:
    """Let one user for each wish ask at the same moment, and wait for all."""
    start, gate = time.monotonic(), threading.Barrier(len(wishes))

    def one(number: int, wish: Wish) -> Told:
        with httpx.Client(timeout=300, headers=headers_of(number)) as client:
            gate.wait()
            return _asked(client, url, wish, start, timeout)

    with ThreadPoolExecutor(len(wishes)) as pool:
        return list(pool.map(one, range(len(wishes)), wishes))


def headers_of(number: int) -> dict[str, str]:
    """Return the headers by which the service knows a user: an address."""
    return {"x-forwarded-for": f"198.51.100.{number + 1}"}


def remove(told: Sequence[Told]) -> None:
    """Forget jobs; the service deletes their results by itself, later."""
    for number, one in enumerate(told):
        httpx.delete(one.job, headers=headers_of(number), timeout=60)


def _asked(client: httpx.Client, url: str, wish: Wish, start: float, timeout: float) -> Told:
    told = Told(wish)
    for period in wish.periods:
        query = {
            "collections": ["sentinel-2-l1c"],
            "datetime": parse_period(period).interval,
            "limit": 500,
            "fields": {"include": ["id"]},
        }
        query["filter"] = {"op": "in", "args": [{"property": "grid:code"}, [f"MGRS-{tile}" for tile in wish.tiles]]}
        answer = client.post(f"{url}/stac/search", json={**query, "filter-lang": "cql2-json"})
        if answer.status_code != 200:
            raise RuntimeError(f"{answer.status_code}: {answer.text}")
        told.found += len(answer.json()["features"])
    told.searched = time.monotonic() - start
    inputs = {**_INPUTS[wish.kind], "tile": list(wish.tiles), "datetime": list(wish.periods)}
    made = client.post(
        f"{url}/cubes/processes/cube/execution", json={"inputs": inputs}, headers={"prefer": "respond-async"}
    )
    if made.status_code != 201:
        raise RuntimeError(f"{made.status_code}: {made.text}")
    told.accepted, told.job = time.monotonic() - start, made.headers["location"]
    until = time.monotonic() + timeout
    while time.monotonic() < until:
        state = client.get(told.job).raise_for_status().json()
        now = time.monotonic() - start
        parts = wish.parts if state["status"] == "successful" else int(state["message"].split()[0])
        if not told.history or told.history[-1][1] != parts:
            told.history.append((now, parts))
        if state["status"] not in ("accepted", "running"):
            told.done, told.status, told.message = now, state["status"], state["message"]
            return told
        time.sleep(_POLL)
    raise TimeoutError(f"{told.job} took longer than {timeout} s")


def jain(values: Sequence[float]) -> float:
    """Return Jain's index of fairness: 1 if all values are equal, 1 / n if one has all."""
    squares = sum(value * value for value in values)
    return sum(values) ** 2 / (len(values) * squares) if squares else 1.0


def fairness(told: Sequence[Told]) -> float:
    """Return Jain's index of the parts that users had when the first of them had all: until then all want more."""
    first = min(one.done for one in told)
    return jain([one.parts_at(first) for one in told])
