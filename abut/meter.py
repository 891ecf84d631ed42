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

    def decoded(self, kind: str) -> None:
        """Hear of an object that was decoded: ``block`` or ``mask``."""


_meter: Meter | None = None


def listen(meter: Meter | None) -> None:
    """Let somebody listen to all that this process asks from now on, in place of who did so before; None: nobody."""
    global _meter  # noqa: PLW0603 - one for a process
    _meter = meter


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
    if _meter is None:
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
        meter = _meter
        if meter is not None:
            meter.requested(verb, made.outcome, time.perf_counter() - started, made.read, made.written)


def decoded(kind: str) -> None:
    """Tell of an object that was decoded."""
    if _meter is not None:
        _meter.decoded(kind)
