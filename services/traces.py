"""Traces by OpenTelemetry, where an operator names a collector; where none is named, nothing of it is even imported.

A request is a span, named by its method and the template of its route. Below it are what it asked of the store and the
database, what it decoded, and the parts of the job that it asked for, made by workers of Dask. Spans wait in a queue of
bounded size and are sent by a thread of their own: a collector that is slow or away costs spans, never an answer.

Settings are those of OpenTelemetry itself (``OTEL_EXPORTER_OTLP_ENDPOINT``, ``OTEL_TRACES_SAMPLER``, ...).
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from abut import __version__, meter
from abut.hiding import hide
from services.settings import InvalidSettingError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from abut.meter import Outcome, Verb

ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
"""Environment variables, one of which names a collector."""
SMALL: Final = 256
"""Spans of one request for what is asked of the store and decoded; what comes after is only counted."""
_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_PROTOCOL: Final = "http/protobuf"
_FLUSH_SECONDS: Final = 3.0
_LOG: Final = logging.getLogger("abut.services")


@dataclass(slots=True)
class _Tally:
    """What a request or a part of a job asked for so far; threads may lose a count, which is no harm."""

    spans: int = 0
    requests: int = 0
    read: int = 0
    decoded: int = 0


_TALLY: ContextVar[_Tally | None] = ContextVar("tally", default=None)
_tracer: Any = None


def is_wanted(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the environment names a collector of traces, and does not turn them off.

    Raises
    ------
    InvalidSettingError
        If it asks for a protocol that is not there.
    """
    off = environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or environ.get("OTEL_TRACES_EXPORTER") == "none"
    if off or not any(environ.get(name) for name in ENDPOINTS):
        return False
    for name in _PROTOCOLS:
        if environ.get(name, _PROTOCOL) != _PROTOCOL:
            raise InvalidSettingError(f"{name}={environ[name]}: traces are sent by {_PROTOCOL}")
    return True


def begin() -> None:
    """Begin to send spans, if somebody wants them; once for each process.

    Raises
    ------
    ModuleNotFoundError
        If OpenTelemetry is not installed.
    InvalidSettingError
        As `is_wanted`.
    """
    global _tracer  # noqa: PLW0603 - one for a process
    if _tracer is not None or not is_wanted():
        return
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - an extra, and of no use where nobody wants it
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - as above
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 - as above

    from services.trace_export import quiet_exporter  # noqa: PLC0415 - as above

    told = {"service.version": __version__}
    if not os.environ.get("OTEL_SERVICE_NAME") and "service.name" not in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", ""):
        told["service.name"] = "abut"
    provider = TracerProvider(resource=Resource.create(told), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(quiet_exporter()))
    atexit.register(_End(provider))
    _tracer = provider.get_tracer("abut", __version__)
    meter.listen(_Listener())


def require() -> None:
    """See that traces can be made if somebody wants them; errors as `begin`."""
    if is_wanted():
        import services.trace_export  # noqa: F401, PLC0415 - an extra


def is_on() -> bool:
    """Whether this process makes spans."""
    return _tracer is not None


@contextmanager
def span(
    name: str, *, kind: str = "internal", headers: Mapping[str, str] | None = None, **attributes: Any
) -> Iterator[Any]:
    """Make a span of what is done in the block; where nobody wants spans, do nothing.

    Parameters
    ----------
    name : str
        Its name: one of few.
    kind : str
        ``internal``, ``client`` or ``server``.
    headers : mapping, optional
        W3C's ``traceparent`` and ``tracestate`` of the span that is continued. Default: the span around this one.
    **attributes
        What is told of it, ``_`` for ``.``; of errors only their type is told.

    Yields
    ------
    The span; None without one.
    """
    if _tracer is None:
        yield None
        return
    from opentelemetry.trace import SpanKind, StatusCode  # noqa: PLC0415 - as in `begin`

    around = _context(headers) if headers else None
    named = {name.replace("_", "."): value for name, value in attributes.items()}
    how = {"attributes": named, "record_exception": False, "set_status_on_exception": False}
    with _tracer.start_as_current_span(name, around, SpanKind[kind.upper()], **how) as made:
        try:
            yield made
        except BaseException as error:
            made.set_attribute("error.type", type(error).__name__)
            if isinstance(error, Exception):
                made.set_status(StatusCode.ERROR)
            raise


@contextmanager
def tallied(made: Any) -> Iterator[None]:
    """Count what is asked for in the block, and tell it of a span (None: do nothing)."""
    if made is None:
        yield
        return
    tally = _Tally()
    token = _TALLY.set(tally)
    try:
        yield
    finally:
        _TALLY.reset(token)
        if tally.requests or tally.decoded:
            made.set_attributes(
                {
                    "abut.store.requests": tally.requests,
                    "abut.store.bytes": tally.read,
                    "abut.decoded": tally.decoded,
                }
            )


def _context(headers: Mapping[str, str]) -> Any:
    """Return the context that W3C's ``traceparent`` and ``tracestate`` name."""
    from opentelemetry.context import Context  # noqa: PLC0415 - as in `begin`
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415 - as above

    return TraceContextTextMapPropagator().extract(headers, Context())


def traceparent() -> str:
    """Return W3C's name of the span around, to be continued elsewhere; nothing without one."""
    found = _current()
    if found is None:
        return ""
    return f"00-{found.trace_id:032x}-{found.span_id:016x}-{int(found.trace_flags):02x}"


def trace_id() -> str:
    """Return the id of the trace that is under way, 32 hex digits; nothing without one."""
    found = _current()
    return "" if found is None else f"{found.trace_id:032x}"


def _current() -> Any:
    if _tracer is None:
        return None
    from opentelemetry.trace import get_current_span  # noqa: PLC0415 - as in `begin`

    found = get_current_span().get_span_context()
    return found if found.is_valid else None


class _Listener:
    """Makes spans of what stores and decoders tell, once it is over: within a request or a part of a job."""

    def requested(self, verb: Verb, outcome: Outcome, seconds: float, read: int, written: int) -> None:
        """Make a span of a request to a store."""
        tally = _TALLY.get()
        if tally is None:
            return
        tally.requests += 1
        tally.read += read
        told = {"abut.store.outcome": outcome, "abut.store.bytes": read or written}
        _over(tally, f"store {verb}", seconds, told, failed=outcome == "error")

    def decoded(self, kind: str, seconds: float) -> None:
        """Make a span of an object that was decoded."""
        tally = _TALLY.get()
        if tally is not None:
            tally.decoded += 1
            _over(tally, f"decode {kind}", seconds, {})


def _over(tally: _Tally, name: str, seconds: float, told: Mapping[str, Any], *, failed: bool = False) -> None:
    from opentelemetry.trace import SpanKind, StatusCode  # noqa: PLC0415 - as in `begin`

    tally.spans += 1
    if tally.spans > SMALL:
        return
    end = time.time_ns()
    kind = SpanKind.CLIENT if name.startswith("store") else SpanKind.INTERNAL
    made = _tracer.start_span(name, kind=kind, attributes=told, start_time=end - int(seconds * 1e9))
    if failed:
        made.set_status(StatusCode.ERROR)
    made.end(end)


class _End:
    """Sends what waits when the process ends, for a moment: a collector that is away must not keep it."""

    def __init__(self, provider: Any) -> None:
        self._provider = provider
        self._now = threading.Event()
        self._thread = threading.Thread(target=self._wait, name="abut-traces", daemon=True)
        self._thread.start()  # now: a process that ends starts no threads

    def __call__(self) -> None:
        self._now.set()
        self._thread.join(_FLUSH_SECONDS)

    def _wait(self) -> None:
        self._now.wait()
        self._provider.shutdown()


def mark_failed(made: Any) -> None:
    """Say of a span that what it was for failed; of none, do nothing."""
    if made is None:
        return
    from opentelemetry.trace import StatusCode  # noqa: PLC0415 - as in `begin`

    made.set_status(StatusCode.ERROR)


def shown_path(path: str) -> str:
    """Return a path as spans have it."""
    return hide(path[:1024])
