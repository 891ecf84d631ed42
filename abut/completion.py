"""Items that a filter chose, made complete: with the products that hold the blocks that theirs released.

A search by tile or cloud cover finds a product, whose rim a neighbour may hold. Its links ``abut:neighbour`` name the
holders; loaded together they are the whole legacy tile.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import batched
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pystac
from pystac.extensions.version import ignore_deprecated
from pystac.utils import is_absolute_href, make_absolute_href

from abut.errors import CatalogueError, MissingObjectError, ProductNotFoundError
from abut.http_json import fetch
from abut.product import NEIGHBOUR
from abut.store import open_store
from abut.token import token_for_found
from abut.unusable import explained

if TYPE_CHECKING:
    from collections.abc import Iterable

_BATCH: Final = 100
_THREADS: Final = 8


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A holder that is to be fetched."""

    id: str
    """Its product id."""
    href: str
    """Where its item is, absolute."""
    of: pystac.Item
    """An item that it holds blocks of."""

    def missing(self) -> ProductNotFoundError:
        """Return the error that says that it is not there."""
        return ProductNotFoundError(f"{self.of.id}: product {self.id}, which holds blocks of it, is not at {self.href}")


def complete(
    items: Iterable[pystac.Item | Mapping[str, Any]] | Mapping[str, Any], *, token: str | None = None
) -> list[pystac.Item]:
    """Return items and the items of all products that hold blocks of theirs.

    Holders come from where the items came from: items that pystac-client found are completed by searches for ids of
    the same API, in batches and with its credentials; others by reading the links, in parallel, over HTTP, from S3 or
    from files. Holders that were withdrawn are among them (``abut:withdrawn``), as others need their blocks. Only
    holders of the given items are added: what these have released elsewhere is not completed.

    Parameters
    ----------
    items : iterable of pystac.Item or mapping, or mapping
        Items, a ``pystac.ItemCollection``, or a GeoJSON feature collection. They are not changed.
    token : str, optional
        Bearer token for links over HTTP; items that pystac-client found need none, as its own is used. Default: the
        environment's, below ``ABUT_TOKEN_URL``.

    Returns
    -------
    list of pystac.Item
        The given items in their order, then the added ones by id; none twice. Hrefs of assets of the added ones are
        absolute.

    Raises
    ------
    ProductNotFoundError
        If a holder is not where a link says; names both.
    CatalogueError
        If a server can't be reached, refuses, or answers with something else than the item.
    ValueError
        If an item has a relative link and does not say where it lies itself (``self`` link).
    """
    given: dict[tuple[str | None, str], pystac.Item] = {}
    for item in map(_item, _listed(items)):
        given.setdefault(_key(item), item)
    wanted: dict[tuple[str | None, str], _Wanted] = {}
    for item in given.values():
        for link in item.get_links(NEIGHBOUR):
            name = _holder(link)
            key = (item.collection_id, name)
            if key not in given and key not in wanted:
                wanted[key] = _Wanted(name, _absolute(link, item), item)
    return list(given.values()) + _fetched(sorted(wanted.values(), key=lambda one: one.id), token)


def _listed(items: Any) -> Iterable[Any]:
    if isinstance(items, Mapping):
        if items.get("type") != "FeatureCollection":
            raise ValueError(f"{items.get('type')!r} is no FeatureCollection; one item goes into a list")
        return list(items["features"])
    return list(items)


def _item(item: pystac.Item | Mapping[str, Any]) -> pystac.Item:
    if isinstance(item, pystac.Item):
        return item
    with ignore_deprecated():
        return pystac.Item.from_dict(dict(item), migrate=False)


def _key(item: pystac.Item) -> tuple[str | None, str]:
    return item.collection_id, item.id


def _holder(link: pystac.Link) -> str:
    """Return the id of the product that a link leads to; clones that pystac made of an item know only the href."""
    href = str(link.get_target_str())
    return str(link.extra_fields.get("abut:product") or href.rpartition("/")[2].removesuffix(".json"))


def _absolute(link: pystac.Link, item: pystac.Item) -> str:
    href, start = str(link.get_target_str()), item.get_self_href()
    if not is_absolute_href(href, start) and start is None:
        raise ValueError(f"{item.id}: its link {href!r} is relative, and it has no self link to start from")
    return make_absolute_href(href, start)


def _fetched(wanted: list[_Wanted], token: str | None) -> list[pystac.Item]:
    found: dict[str, pystac.Item] = {}
    apis = {id(api): api for one in wanted if (api := _api(one.of)) is not None}
    for number, api in apis.items():
        mine = [one for one in wanted if id(_api(one.of)) == number]
        for batch in batched(mine, _BATCH):
            found |= {item.id: item for item in _searched(api, batch)}
    rest = [one for one in wanted if one.id not in found]  # withdrawn ones too: their links lead to them, no search
    with ThreadPoolExecutor(_THREADS) as threads:
        found |= {item.id: item for item in threads.map(lambda one: _read(one, token), rest)}
    for item in found.values():
        item.make_asset_hrefs_absolute()
    return [found[one.id] for one in wanted]


def _api(item: pystac.Item) -> Any | None:
    """Return the client of pystac-client that found an item, if that can search."""
    link = item.get_root_link()
    root: Any = link.target if link is not None and link.is_resolved() else None
    return root if hasattr(root, "conforms_to") and root.conforms_to("ITEM_SEARCH") else None


def _searched(api: Any, wanted: Iterable[_Wanted]) -> list[pystac.Item]:
    batch = list(wanted)
    collections = sorted({str(one.of.collection_id) for one in batch})
    with ignore_deprecated():
        return list(api.search(ids=[one.id for one in batch], collections=collections, limit=len(batch)).items())


def _read(wanted: _Wanted, token: str | None) -> pystac.Item:
    """Read one item; its links are resolved from where it was read."""
    data = _data(wanted, token)
    try:
        document = json.loads(data)
        if document["id"] != wanted.id:
            raise ValueError(document["id"])
        with ignore_deprecated():
            return pystac.Item.from_dict(document, href=wanted.href, root=_client(wanted), migrate=False)
    except (KeyError, TypeError, ValueError, pystac.STACError, pystac.STACTypeError) as error:
        raise CatalogueError(f"{wanted.of.id}: {wanted.href} is not the item {wanted.id}") from error


def _client(wanted: _Wanted) -> Any | None:
    """Return the client that may be asked for a holder: the one that found the product, of the same API."""
    api = _api(wanted.of)
    root = api and api.get_self_href()
    return api if root and wanted.href.startswith(f"{root.rstrip('/')}/") else None


def _data(wanted: _Wanted, token: str | None) -> bytes:
    try:
        if (api := _client(wanted)) is not None:
            return _asked(api, wanted)
        if wanted.href.startswith(("http://", "https://")):
            return _downloaded(wanted, token)
        folder, _, name = wanted.href.rpartition("/")
        if wanted.href.startswith("s3://"):
            with explained(wanted.href):
                return open_store(folder).get(name)
        return Path(wanted.href.removeprefix("file://")).read_bytes()
    except (FileNotFoundError, MissingObjectError) as error:
        raise wanted.missing() from error


def _asked(api: Any, wanted: _Wanted) -> bytes:
    """Read by the means of a client of pystac-client: its credentials, and what it does where servers are busy."""
    from pystac_client.exceptions import APIError  # noqa: PLC0415 - whose items these are has it

    try:
        return str(api._stac_io.read_text(wanted.href)).encode()  # noqa: SLF001 - as pystac itself asks
    except APIError as error:
        status = getattr(error, "status_code", None)
        if status in {404, 410}:
            raise wanted.missing() from error
        failed = f"status {status}" if status else str(error)
        raise CatalogueError(f"{wanted.of.id}: {wanted.href} can't be read ({failed})") from error


def _downloaded(wanted: _Wanted, token: str | None) -> bytes:
    try:
        return fetch(wanted.href, token=token_for_found(wanted.href, token))
    except CatalogueError as error:
        raise CatalogueError(f"{wanted.of.id}: {error}") from error
