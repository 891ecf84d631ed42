"""What can be ingested: paths of this machine, URLs, and folders of either, each as the SAFEs that it stands for."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from abut.errors import InvalidSafeError
from ingest.container import MANIFEST
from ingest.job import find_safes
from ingest.remote.address import Address, parse_address

if TYPE_CHECKING:
    from collections.abc import Iterable


def find_places(places: Iterable[str | os.PathLike[str] | Address]) -> list[str | Address]:
    """Return the SAFE products that paths and URLs stand for.

    Parameters
    ----------
    places : iterable of path, URL or Address
        Paths as for `ingest.job.find_safes`. URLs: ``s3://bucket/path/X.SAFE`` and ``s3://bucket/path/X.zip``; any
        other ``s3://bucket/path`` is a prefix with ``*.SAFE`` and ``*.zip`` directly below, which are taken by name;
        ``https://...`` is a zip.

    Returns
    -------
    list of str or Address
        Each once, in the order given.

    Raises
    ------
    InvalidSafeError
        If there is nothing at a path, or a folder or prefix holds no SAFE.
    SourceError
        If a URL is none of a SAFE, or a prefix can't be listed.
    """
    found: dict[str, str | Address] = {}
    for place in places:
        if isinstance(place, Address):
            found.setdefault(place.url, place)
        elif isinstance(place, str) and "://" in place:
            for address in _addresses_at(parse_address(place)):
                found.setdefault(address.url, address)
        else:
            for safe in find_safes([place]):
                found.setdefault(os.path.realpath(safe), safe)
    return list(found.values())


def _addresses_at(address: Address) -> list[Address]:
    if not address.in_bucket or address.url.lower().endswith((".safe", ".zip")):
        return [address]
    from ingest.remote.bucket import open_bucket  # noqa: PLC0415 - paths of this machine do without

    folders, objects = open_bucket(address.bucket).children(address.key)
    if f"{address.key}/{MANIFEST}".lstrip("/") in objects:
        return [address]
    wanted = [key for key in folders if key.lower().endswith(".safe")]
    wanted += [key for key in objects if key.lower().endswith(".zip")]
    if not wanted:
        raise InvalidSafeError(
            f"{address.url}: neither a SAFE (no {MANIFEST}) nor a prefix with *.SAFE or *.zip directly below"
        )
    return [parse_address(f"s3://{address.bucket}/{key}") for key in sorted(wanted)]
