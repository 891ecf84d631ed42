"""Whether the service is alive, and whether it can answer."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Final

from starlette.responses import Response
from starlette.routing import Route

from abut.archive import KEY
from abut.messages import describe

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.requests import Request

    from services.objects import Objects

    type Probe = Callable[[], Awaitable[None]]

PATIENCE: Final = 5.0
"""Seconds after which something that has not answered counts as down."""

_LOG: Final = logging.getLogger("abut.services")


def health_routes(probes: Mapping[str, Probe]) -> list[Route]:
    """Return the routes ``/healthz`` and ``/readyz``.

    Parameters
    ----------
    probes : mapping
        What has to answer, by the name that reports use for it; a probe raises if it does not.
    """

    async def alive(_: Request) -> Response:
        return _json({"alive": True}, 200)

    async def ready(_: Request) -> Response:
        found = dict(zip(probes, await asyncio.gather(*map(reason, probes, probes.values())), strict=True))
        is_ready = not any(found.values())
        parts = {name: why or "ok" for name, why in found.items()}
        return _json({"ready": is_ready, **parts}, 200 if is_ready else 503)

    return [Route("/healthz", alive), Route("/readyz", ready)]


def store_probe(objects: Objects, url: str) -> Probe:
    """Return what finds out whether an archive's store answers."""

    async def probe() -> None:
        if await objects.head(KEY) is None:
            raise FileNotFoundError(f"{url}: no {KEY}")

    return probe


async def reason(name: str, probe: Probe) -> str | None:
    """Return why something does not answer, for the log in full and for the world in short."""
    asked = asyncio.ensure_future(probe())
    asked.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # looked at, however late
    done, _ = await asyncio.wait({asked}, timeout=PATIENCE)
    if not done:
        asked.cancel()  # not waited for: a connection that is silent may take long to be given up
        _LOG.error("not ready: %s: no answer within %s seconds", name, PATIENCE)
        return f"no answer within {PATIENCE:g} seconds"
    try:
        asked.result()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
        _LOG.error("not ready: %s: %s", name, describe(error))
        return "does not answer; the log says why"
    return None


def _json(document: Mapping[str, object], status: int) -> Response:
    return Response(json.dumps(document), status, {"cache-control": "no-store"}, "application/json")
