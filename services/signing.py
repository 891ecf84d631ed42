"""URLs of a store that are good for some time, for whoever has them: clients read blocks there, not here."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import obstore
from obstore.store import S3Store

from services.objects import PATIENCE

if TYPE_CHECKING:
    from abut.store import Store

TEMPORARY: Final = 300
"""Seconds that temporary credentials are good for at least: obstore gets new ones five minutes before they end."""


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signs URLs of a bucket."""

    store: S3Store
    """The objects, at the endpoint that clients reach."""
    seconds: int
    """How long URLs are good for."""

    async def url(self, key: str) -> tuple[str, int]:
        """Return a URL at which an object can be read by GET, and how many seconds it is good for.

        Raises
        ------
        TimeoutError
            If whoever gives out temporary credentials is silent.
        """
        async with asyncio.timeout(PATIENCE):
            made = await obstore.sign_async(self.store, "GET", key, timedelta(seconds=self.seconds))
            if self.seconds <= TEMPORARY or "X-Amz-Security-Token=" not in made:
                return made, self.seconds
            return await obstore.sign_async(self.store, "GET", key, timedelta(seconds=TEMPORARY)), TEMPORARY


def signer_of(store: Store, seconds: int, endpoint: str | None = None) -> Signer | None:
    """Return who signs URLs of an archive's objects; None if nobody does.

    Parameters
    ----------
    store : Store
        The archive's objects.
    seconds : int
        How long URLs are to be good for; 0: none are made. With temporary credentials at most `TEMPORARY`.
    endpoint : str, optional
        Endpoint as clients reach it; default: the store's own.
    """
    if not seconds or not isinstance(store.backend, S3Store):
        return None
    if endpoint is None:
        return Signer(store.backend, seconds)
    reached = S3Store.from_url(
        store.url, endpoint=endpoint, client_options={"allow_http": endpoint.startswith("http://")}
    )
    return Signer(reached, seconds)
