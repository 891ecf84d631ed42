"""Hrefs of exported items: to the archive, and to each other."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Any

from abut.errors import ExportError
from catalog.hrefs import ITEMS, with_hrefs
from catalog.places import GENERATED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def products_of(archive: str) -> str:
    """Return where products are, from the location of an archive: an absolute path, or a URL."""
    return f"{archive.rstrip('/')}/{ITEMS}"


def relative_base(archive: str, target: str, depth: int) -> str:
    """Return the way from a file of an export to the products of an archive.

    Parameters
    ----------
    archive, target : str
        Locations of the archive and of the export, absolute paths or URLs.
    depth : int
        Number of folders below `target` that the file lies in.

    Raises
    ------
    ExportError
        If there is no such way, because they lie on different machines or in different buckets.
    """
    ours, theirs = (_parts(location) for location in (archive, target))
    if ours[0] != theirs[0]:
        raise ExportError(f"{target}: no relative links lead from there to {archive}")
    return posixpath.join(*[".."] * depth, posixpath.relpath(ours[1], theirs[1]), ITEMS)


def rewritten(item: Mapping[str, Any], asset: Callable[[str], str], link: Callable[[str], str]) -> dict[str, Any]:
    """Return an item with other hrefs, without the links that an export makes anew; the given one is not changed."""
    kept = [found for found in item.get("links", []) if found["rel"] not in GENERATED]
    return with_hrefs({**item, "links": kept, "assets": item.get("assets", {})}, asset, link)


def _parts(location: str) -> tuple[str, str]:
    """Return what must be the same, scheme and host or bucket, and the path below it."""
    scheme, separator, rest = location.rpartition("://")
    if not separator:
        return "", location
    host, _, path = rest.partition("/")
    return f"{scheme}{separator}{host}", f"/{path}"
