"""What all routes of the cube service need."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from services.cubes.jobs import JobStoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from abut.connection import Connection
    from abut.store import Store
    from services.cubes.execution import Workshop
    from services.cubes.jobs import JobStore
    from services.cubes.runner import Runner
    from services.cubes.users import Users
    from services.settings import Settings


PATIENCE: Final = 30.0
"""Seconds after which what should be short counts as failed."""


@dataclass(frozen=True, slots=True)
class Jobs:
    """Jobs, and who does them."""

    store: JobStore
    """Where they are kept."""
    runner: Runner
    """Who does them."""
    results: Store
    """Where their results are."""


@dataclass(frozen=True, slots=True)
class Context:
    """What all routes need."""

    connection: Connection
    """The archive."""
    settings: Settings
    """What the operator decided."""
    users: Users
    """Tells users apart."""
    workshop: Workshop
    """Where cubes are made while their requests wait."""
    jobs: Jobs | None
    """Jobs; None: there are none here, all is answered at once."""


async def aside[T](work: Callable[..., T], *arguments: object) -> T:
    """Do something short that would hold up the event loop, such as to ask the store of jobs, in a thread.

    Raises
    ------
    JobStoreError
        If it takes too long: a database that fell silent. The thread is left to itself.
    """
    try:
        async with asyncio.timeout(PATIENCE):
            return await asyncio.to_thread(work, *arguments)
    except TimeoutError as error:
        raise JobStoreError(f"no answer within {PATIENCE:g} seconds") from error


def has(request: Request, tag: str) -> bool:
    """Whether a client has what an ETag names (``If-None-Match``)."""
    known = {one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")}
    return "*" in known or tag.removeprefix("W/") in known
