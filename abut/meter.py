"""What is asked of stores, decoders and caches, told to whoever listens: the metrics of services.

Nobody listens unless a process says so (`listen`); what is told costs a microsecond then, and less if nobody does.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

type Verb = Literal["get", "head", "list", "put", "delete"]
"""What was asked of a store; a conditional write is a put."""
type Outcome = Literal["ok", "missing", "refused", "error"]
"""How it went; refused: an object was there already, or of another version."""


class Meter(Protocol):
    """Who listens; called from any thread."""

    def requested(self, verb: Verb, outcome: Outcome, seconds: float, read: int, written: int) -> None:
        """Hear of a request to a store: how long it took, and bytes read and written."""

    def decoded(self, kind: str, seconds: float) -> None:
        """Hear of an object that was decoded, ``block`` or ``mask``, and how long it took."""


_meters: tuple[Meter, ...] = ()


def listen(meter: Meter) -> None:
    """Let somebody listen to all that this process asks from now on, beside who does so already."""
    global _meters  # noqa: PLW0603 - one for a process
    _meters = (*_meters, meter)


def leave(meter: Meter) -> None:
    """Let somebody listen no more."""
    global _meters  # noqa: PLW0603 - as above
    _meters = tuple(one for one in _meters if one is not meter)


@dataclass(slots=True)
class Request:
    """A request to a store that is under way."""

    read: int = 0
    """Bytes that were read so far."""
    written: int = 0
    """Bytes that it writes."""
    outcome: Outcome = "ok"
    """How it went, if no error is raised."""


@contextmanager
def request(verb: Verb, written: int = 0) -> Iterator[Request]:
    """Tell of a request to a store when it is over; FileNotFoundError is told as ``missing``."""
    made = Request(written=written)
    if not _meters:
        yield made
        return
    started = time.perf_counter()
    try:
        yield made
    except FileNotFoundError:
        made.outcome = "missing"
        raise
    except BaseException:
        made.outcome = "error"
        raise
    finally:
        seconds = time.perf_counter() - started
        for meter in _meters:
            meter.requested(verb, made.outcome, seconds, made.read, made.written)


@contextmanager
def decoding(kind: str) -> Iterator[None]:
    """Tell of an object that is decoded in the block, unless that fails."""
    if not _meters:
        yield
        return
    started = time.perf_counter()
    yield
    seconds = time.perf_counter() - started
    for meter in _meters:
        meter.decoded(kind, seconds)
