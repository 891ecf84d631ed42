"""The SAFE of a STAC item, whoever's: which of its assets and links lead to one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote, urljoin, urlsplit

from abut.errors import SourceError
from ingest.remote.address import Address, parse_address

SAFE_KEYS: Final = ("safe", "product", "safe_zip", "archive", "download", "enclosure")
"""Keys of assets, and relations of links, in small letters, that mean the whole product; the first goes first."""

ZIP_TYPES: Final = ("application/zip", "application/x-zip-compressed")
"""Media types of a zip."""

_ID: Final = re.compile(r"S2[A-Z][A-Za-z0-9_.-]{1,199}", re.ASCII)
_SAFE: Final = re.compile(r"(s3://[^?#]+?\.SAFE)(/|$)", re.IGNORECASE)


def product_of(item: Mapping[str, Any]) -> str:
    """Return the id of an item's product: the name of its SAFE as the metadata says it, or the item's own id."""
    named = _mapping(item.get("properties")).get("s2:product_uri")
    for name in (named, item.get("id")):
        if isinstance(name, str):
            stem = re.sub(r"\.SAFE$", "", name, flags=re.IGNORECASE)
            if _ID.fullmatch(stem):
                return stem
    return ""


def safe_of(item: Mapping[str, Any], api: str, *, buckets: bool) -> Address:
    """Return where the SAFE of an item lies.

    Parameters
    ----------
    item : mapping
        The item, as the API gave it.
    api : str
        URL of the API. An item of Abut's own has its SAFE at ``/legacy`` beside it, made anew.
    buckets : bool
        Whether what lies in a bucket can be read; if not, what is on a web server goes first.

    Raises
    ------
    SourceError
        If it has none, or none that may be followed; the message says what its assets are instead.
    """
    product = product_of(item)
    if product and isinstance(_mapping(item.get("properties")).get("abut:store"), str):
        base = api.rstrip("/").rpartition("/")[0]
        return parse_address(f"{base}/legacy/{quote(str(item['id']), safe='')}?format=safe", product)
    hrefs = list(_hrefs(item))
    found = [_SAFE.match(href) for _, href, _ in hrefs]
    folders = [match[1] for match in found if match]
    zips = [
        href if "://" in href else urljoin(f"{api}/", href)
        for key, href, media_type in hrefs
        if (key in SAFE_KEYS or media_type in ZIP_TYPES or _path(href).endswith(".zip")) and not _SAFE.match(href)
    ]
    zips = [href for href in zips if href.startswith(("s3://", "http://", "https://"))]
    if not folders and not zips:
        example = next((href for _, href, _ in hrefs), "none at all")[:200]
        raise SourceError(f"item {str(item.get('id'))[:200]}: has no SAFE; its assets are others, such as {example}")
    in_buckets = [*folders, *(href for href in zips if href.startswith("s3://"))]
    on_web = [href for href in zips if not href.startswith("s3://")]
    ordered = [*in_buckets, *on_web] if buckets else [*on_web, *in_buckets]
    address = parse_address(ordered[0], product)
    if address.url.startswith("http://") and api.startswith("https://"):
        raise SourceError(f"{address.url}: plain HTTP, in an item of {api}; it is not followed")
    return address


def _hrefs(item: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield key, href and media type of all assets, their alternates, and links; what is likeliest the SAFE first."""
    found: list[tuple[str, str, str]] = []
    for key, asset in _mapping(item.get("assets")).items():
        places = [asset, *_mapping(_mapping(asset).get("alternate")).values()]
        found += [(str(key).lower(), *_place(place, asset)) for place in places]
    links = item.get("links")
    for link in links if isinstance(links, list) else ():
        if str(_mapping(link).get("rel")).lower() in SAFE_KEYS:
            found.append((str(link["rel"]).lower(), *_place(link, link)))
    rank = {key: number for number, key in enumerate(SAFE_KEYS)}
    yield from sorted((one for one in found if one[1]), key=lambda one: rank.get(one[0], len(rank)))


def _place(place: Any, asset: Any) -> tuple[str, str]:
    href = _mapping(place).get("href")
    media_type = _mapping(place).get("type") or _mapping(asset).get("type") or ""
    return href if isinstance(href, str) else "", str(media_type).partition(";")[0].strip().lower()


def _path(href: str) -> str:
    try:
        return urlsplit(href).path.lower()
    except ValueError:
        return ""


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
