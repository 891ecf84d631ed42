"""The storage extension (version 2): items whose hrefs are ``s3://`` say how that bucket is reached.

Items are stored with relative hrefs, and without it; it is added, and taken back, with the hrefs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from catalog.extensions import STORAGE

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMES: Final = "storage:schemes"
"""Property that has all schemes by name."""
REFS: Final = "storage:refs"
"""Member of an asset that names its schemes."""
NAME: Final = "archive"
"""Name of the scheme of the archive's own bucket."""

type Scheme = tuple[tuple[str, str | bool], ...]
"""Members of a scheme, hashable; empty: there is none."""


def scheme_of(products: str, *, endpoint: str | None, region: str | None) -> Scheme:
    """Return how the objects below a URL are reached; nothing if that is not ``s3://``.

    Parameters
    ----------
    products : str
        URL of the archive's folder ``products``.
    endpoint : str or None
        Endpoint of the S3 server as clients reach it; None: that of AWS.
    region : str or None
        Region; None: not known.
    """
    parts = urlsplit(products)
    if parts.scheme != "s3":
        return ()
    known: dict[str, str | bool] = (
        {"type": "custom-s3", "platform": endpoint}
        if endpoint
        else {
            "type": "aws-s3",
            "platform": "https://{bucket}.s3.{region}.amazonaws.com",
        }
    )
    known["bucket"] = parts.netloc
    if region:
        known["region"] = region
    return (*known.items(), ("requester_pays", False))


def stored_in(item: Mapping[str, Any], scheme: Scheme, relative: Mapping[str, Any]) -> dict[str, Any]:
    """Return an item that says where its assets lie; parts are shared with the given one.

    Parameters
    ----------
    item : mapping
        One of the archive's own items; others, and those that say so already, are left as they are.
    scheme : Scheme
        How the bucket is reached.
    relative : mapping
        Its assets as they are stored: those with relative hrefs lie there.
    """
    properties, listed = item.get("properties", {}), item.get("stac_extensions")
    if not scheme or not properties.get("abut:store") or not isinstance(listed, list) or SCHEMES in properties:
        return dict(item)
    made = {**item, "properties": {SCHEMES: {NAME: dict(scheme)}, **properties}}
    if "assets" in item:
        made["assets"] = {
            name: {REFS: [NAME], **asset} if relative[name]["href"].startswith("./") else asset
            for name, asset in item["assets"].items()
        }
    if STORAGE not in listed:
        made["stac_extensions"] = [*listed, STORAGE]
    return made


def without_storage(item: dict[str, Any], scheme: Scheme) -> None:
    """Take back, in place, what `stored_in` did."""
    properties, listed = item.get("properties", {}), item.get("stac_extensions")
    if not scheme or not properties.get("abut:store") or properties.get(SCHEMES) != {NAME: dict(scheme)}:
        return
    del properties[SCHEMES]
    for asset in item.get("assets", {}).values():
        if asset.get(REFS) == [NAME]:
            del asset[REFS]
    if isinstance(listed, list):
        item["stac_extensions"] = [uri for uri in listed if uri != STORAGE]
