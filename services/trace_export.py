"""Sending spans to a collector by OTLP over HTTP, which says once that it can't, and once that it can again."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, override

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from abut.messages import describe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.trace import ReadableSpan

_LOG: Final = logging.getLogger("abut.services")


def quiet_exporter() -> SpanExporter:
    """Return what sends spans where the environment says."""
    for name in ("opentelemetry", "urllib3"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # they say it for each batch; `Quiet` says it once
    return Quiet(OTLPSpanExporter())


class Quiet(SpanExporter):
    """An exporter that raises nothing, and logs only when things change.

    Parameters
    ----------
    inner : SpanExporter
        What sends them.
    """

    def __init__(self, inner: SpanExporter) -> None:
        self._inner = inner
        self._fails = False

    @override
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans; those that can't be sent are lost."""
        try:
            result, reason = self._inner.export(spans), "the collector does not take them"
        except Exception as error:  # noqa: BLE001 - whatever it is, it concerns traces alone
            result, reason = SpanExportResult.FAILURE, describe(error)
        failed = result is not SpanExportResult.SUCCESS
        if failed and not self._fails:
            _LOG.warning("traces are lost: %s", reason)
        elif self._fails and not failed:
            _LOG.warning("traces are sent again")
        self._fails = failed
        return result

    @override
    def shutdown(self) -> None:
        """End."""
        self._inner.shutdown()

    @override
    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Send what waits in it, which is nothing."""
        return self._inner.force_flush(timeout_millis)
