"""Links of items as the archive stores them, and as clients elsewhere need them."""

from __future__ import annotations

import copy
import posixpath
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

ITEMS: Final = "products"
"""Folder of the items in an archive: relative links start there."""


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
    resolved = copy.deepcopy(dict(item))
    scheme, separator, path = base.partition("://")
    if not separator:
        scheme, path = "", Path(base).resolve().as_posix()
    root = path.rstrip("/")
    for holder in (*resolved["assets"].values(), *resolved["links"]):
        holder["href"] = _resolved(holder["href"], f"{scheme}{separator}", root)
    return resolved


def _resolved(href: str, scheme: str, root: str) -> str:
    if "://" in href or href.startswith("/"):
        return href
    path = posixpath.normpath(posixpath.join(root, ITEMS, href))
    if not path.startswith(f"{root}/"):
        raise ValueError(f"link {href!r} leads out of the archive {scheme}{root}")
    return scheme + path
