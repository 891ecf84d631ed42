"""Hrefs of items: relative to where they lie in the archive as it stores them, absolute for clients elsewhere."""

from __future__ import annotations

import posixpath
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ITEMS: Final = "products"
"""Folder of the items in an archive: relative links start there."""


def below(href: str, folder: str) -> str:
    """Return an href as the archive writes them (``./x``) as one below a folder; others are left alone.

    `catalog.documents` does the same to bytes.
    """
    return f"{folder}/{href.removeprefix('./')}" if href.startswith("./") else href


def resolved(href: str, folder: str) -> str:
    """Return any relative href, ``../x`` too, as it is seen from a folder: a path or URL, no slash at its end."""
    if "://" in href or href.startswith("/"):
        return href
    scheme, separator, path = folder.rpartition("://")
    return f"{scheme}{separator}{posixpath.normpath(posixpath.join(path, href))}"


def with_hrefs(item: Mapping[str, Any], asset: Callable[[str], str], link: Callable[[str], str]) -> dict[str, Any]:
    """Return an item with other hrefs; parts of it are shared with the given one, which is not changed."""
    made = {**item, "links": [{**found, "href": link(found["href"])} for found in item.get("links", [])]}
    if "assets" in item:
        made["assets"] = {key: {**found, "href": asset(found["href"])} for key, found in item["assets"].items()}
    return made


def absolute(item: Mapping[str, Any], base: str) -> dict[str, Any]:
    """Return a copy of an item whose assets and links can be opened from anywhere.

    Parameters
    ----------
    item : mapping
        Item as it lies in the archive, with links relative to ``<archive>/products/``.
    base : str
        Location of the archive: a folder, or a URL such as ``s3://bucket/archive``.

    Raises
    ------
    ValueError
        If a relative link leads out of the archive.
    """
    root = (base if "://" in base else Path(base).resolve().as_posix()).rstrip("/")

    def inside(href: str) -> str:
        found = resolved(href, f"{root}/{ITEMS}")
        if found != href and not found.startswith(f"{root}/"):
            raise ValueError(f"link {href!r} leads out of the archive {root}")
        return found

    return with_hrefs(item, inside, inside)
