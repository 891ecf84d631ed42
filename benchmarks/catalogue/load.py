"""Clients that ask several servers the same in turn, and what the servers' processes used meanwhile."""

from __future__ import annotations

import http.client
import json
import math
import statistics
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson

from benchmarks.measure import cpu_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Server:
    """A running API."""

    name: str
    """Name in the tables."""
    url: str
    """Root of the STAC API, without a slash at its end."""
    processes: Callable[[], Iterable[int]]
    """Ids of the processes that answer, the database's included."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request of the mix."""

    name: str
    """Name in the tables."""
    path: str
    """Path below the root of the API."""
    body: Mapping[str, Any] | None = None
    """Body of a POST; None: GET."""


@dataclass(slots=True)
class Figures:
    """What one server made of one request."""

    seconds: list[float] = field(default_factory=list)
    """Of each answer, until it was parsed."""
    cold: float = math.nan
    """Seconds of the very first."""
    cpu: float = 0.0
    """CPU seconds of the server's processes."""
    items: int = 0
    """Items of the last answer."""

    @property
    def p50(self) -> float:
        """Median in milliseconds."""
        return 1000 * statistics.median(self.seconds)

    @property
    def p95(self) -> float:
        """95th percentile in milliseconds."""
        return 1000 * sorted(self.seconds)[math.ceil(0.95 * len(self.seconds)) - 1]

    @property
    def cpu_ms(self) -> float:
        """CPU milliseconds of one answer."""
        return 1000 * self.cpu / len(self.seconds)


class Client:
    """One connection that is kept open."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.base = parts.path
        self.connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=120)

    def ask(self, request: Request, headers: Mapping[str, str] | None = None) -> Any:
        """Ask, and return the parsed answer.

        Raises
        ------
        RuntimeError
            If the server refuses.
        """
        method, data = ("GET", None) if request.body is None else ("POST", json.dumps(request.body))
        sent = {"Content-Type": "application/json", "Accept-Encoding": "identity", **(headers or {})}
        self.connection.request(method, self.base + request.path, data, sent)
        answer = self.connection.getresponse()
        content = answer.read()
        if answer.status >= 400:
            raise RuntimeError(f"{request.name}: {answer.status} {content[:300]!r}")
        return orjson.loads(content) if content else None

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()


def compare(servers: Sequence[Server], request: Request, times: int, variants: Sequence[Request] = ()) -> list[Figures]:
    """Ask all servers the same, in turn, so that what else the machine does meets all alike.

    Parameters
    ----------
    servers : sequence of Server
        Who is asked.
    request : Request
        The first request.
    times : int
        How often each is asked.
    variants : sequence of Request
        Requests of the same kind for other places and times, taken in turn; default: always the first.

    Returns
    -------
    list of Figures
        One a server.
    """
    clients = [Client(server.url) for server in servers]
    figures = [Figures() for _ in servers]
    mix = variants or [request]
    for number in range(times + 1):
        for server, client, figure in zip(servers, clients, figures, strict=True):
            cpu, start = cpu_of(server.processes()), time.perf_counter()
            answer = client.ask(mix[number % len(mix)])
            spent = time.perf_counter() - start
            if number == 0:
                figure.cold = spent
                continue
            figure.seconds.append(spent)
            figure.cpu += cpu_of(server.processes()) - cpu
            figure.items = len(answer.get("features", [])) if isinstance(answer, dict) else 0
    for client in clients:
        client.close()
    return figures


def pages(server: Server, path: str) -> list[float]:
    """Follow the next links from a first page to the last; return the seconds of each page."""
    client = Client(server.url)
    seconds = []
    while path:
        start = time.perf_counter()
        answer = client.ask(Request("page", path))
        seconds.append(time.perf_counter() - start)
        following = [link["href"] for link in answer["links"] if link["rel"] == "next"]
        path = following[0][following[0].index(server.url) + len(server.url) :] if following else ""
    client.close()
    return seconds


def crowd(server: Server, requests: Sequence[Request], readers: int, duration: float) -> tuple[list[float], list[str]]:
    """Let many clients ask at once for some seconds; return the seconds of each answer, and all errors."""
    seconds: list[float] = []
    errors: list[str] = []
    stop = time.perf_counter() + duration

    def read(first: int) -> None:
        client = Client(server.url)
        number = first
        while time.perf_counter() < stop:
            start = time.perf_counter()
            try:
                client.ask(requests[number % len(requests)])
            except Exception as error:  # noqa: BLE001 - counted, and shown
                errors.append(repr(error))
                client.close()
                client = Client(server.url)
            else:
                seconds.append(time.perf_counter() - start)
            number += 1
        client.close()

    threads = [threading.Thread(target=read, args=(number,)) for number in range(readers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return seconds, errors
