"""Finding products by a STAC API, such as that of `abut serve`; its objects are at ``/zarr`` beside it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urljoin, urlsplit

from abut.archive import KEY, open_archive
from abut.errors import CatalogueError, InvalidArchiveError
from abut.finding import gathered
from abut.holdings import in_threads, load_all
from abut.http_json import fetch_json
from abut.lattice import BlockRange
from abut.newcomers import read_item
from abut.store import open_store
from abut.tiling import tiles_touching
from abut.token import same_origin, token_for, with_token
from abut.unusable import explained

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from abut.archive import Archive
    from abut.finding import Filter, Found, Query

COLLECTION: Final = "sentinel-2-l1c"
"""Id of the collection that is searched."""

_PAGE: Final = 1_000
_FIELDS: Final = ("id", "properties.abut:layer", "properties.abut:store")


@dataclass(frozen=True, slots=True)
class ApiFinder:
    """Finds products by the search of a STAC API; what the archive's own ledgers and items say goes first."""

    url: str
    """URL of the API, without a slash at its end."""
    token: str | None = field(default=None, repr=False, compare=False)
    """Token that it is asked with."""
    on_request: Callable[[str], None] | None = field(default=None, compare=False)
    """Called with the URL of each page that is asked for."""

    def find(self, archive: Archive, query: Query) -> tuple[Found, ...]:
        """Return the layers with chosen products, by name.

        Raises
        ------
        CatalogueError
            If the API can't be reached, refuses, or answers with something else than items.
        InvalidArchiveError
            If a ledger or an item can't be understood.
        """
        if not search_body(query)["query"]["grid:code"]["in"]:
            return ()
        layers: dict[str, dict[str, str]] = {}
        for item in self._searched(query):
            properties = item.get("properties", {})
            if properties.get("abut:layer"):
                layers.setdefault(properties["abut:layer"], {})[item["id"]] = properties.get("abut:store", "")
        known = load_all(archive.store, sorted(layers))
        unlisted = [
            product
            for name, some in layers.items()
            for product, prefix in some.items()
            if (member := known[name].members.get(product)) is None or member.prefix != prefix
        ]
        items = in_threads(archive.store, lambda name: read_item(archive.store, name), unlisted)
        newcomers = [item for item in items if item is not None and _is_newcomer(item, known)]
        names = None if _takes_all(query.wanted) else {name for some in layers.values() for name in some}
        told = replace(query, wanted=replace(query.wanted, max_cloud_cover=None, cql2=None))
        return gathered(archive.store, known, newcomers, told, names)

    def _searched(self, query: Query) -> Iterator[dict[str, Any]]:
        """Yield what the API finds, page by page."""
        url: str | None = f"{self.url}/search"
        body: dict[str, Any] | None = search_body(query)
        while url is not None:
            if self.on_request is not None:
                self.on_request(url)
            page = _answered(url, body, self.token if same_origin(url, self.url) else None)
            features = page.get("features")
            if not isinstance(features, list):
                raise CatalogueError(f"{url}: the answer has no features")
            yield from features
            url, body = _next(url, body, page)


def search_body(query: Query) -> dict[str, Any]:
    """Return the body of a search for a query: all tiles that touch the blocks of its window, not its ground.

    A chosen product may have released all that it had in the window; its geometry is then elsewhere.
    """
    wanted, ground = query.wanted, BlockRange.around(query.window).bounds
    tiles = {one.id for one in tiles_touching(ground)}
    codes = sorted(f"MGRS-{name}" for name in (tiles if wanted.tiles is None else tiles & wanted.tiles))
    conditions: dict[str, Any] = {"grid:code": {"in": codes}}
    if wanted.max_cloud_cover is not None:
        conditions["eo:cloud_cover"] = {"lte": wanted.max_cloud_cover}
    if wanted.relative_orbit is not None:
        conditions["sat:relative_orbit"] = {"eq": wanted.relative_orbit}
    body: dict[str, Any] = {
        "collections": [COLLECTION],
        "limit": _PAGE,
        "fields": {"include": list(_FIELDS)},
        "query": conditions,
    }
    if wanted.cql2 is not None:
        text = isinstance(wanted.cql2, str)
        body |= {"filter": wanted.cql2, "filter-lang": "cql2-text" if text else "cql2-json"}
    if wanted.ids is not None:
        body["ids"] = sorted(wanted.ids)
    if query.period is not None and query.period.interval != "..":
        body["datetime"] = query.period.interval
    return body


def locate_service(url: str, token: str | None = None) -> tuple[Archive, ApiFinder]:
    """Open the archive of a service, by its own URL or that of its STAC API, see `abut.token` for the token.

    Raises
    ------
    InvalidArchiveError
        If there is no STAC API, or none with an archive's objects beside it.
    CatalogueError, UnsupportedStoreError
        If it can't be reached.
    """
    start = url.rstrip("/")
    parts = urlsplit(start)
    if not parts.hostname or parts.query or parts.fragment:
        raise InvalidArchiveError(f"{url}: not the URL of a service, such as https://host or https://host/stac")
    mine = token_for(start, token)
    api = _api(start, mine)
    objects = f"{api.rpartition('/')[0]}/zarr"
    told = mine if same_origin(start, api) else None  # another host is not the one that the user named
    store = with_token(open_store(objects), told)
    try:
        return open_archive(store), ApiFinder(api, told)
    except InvalidArchiveError:
        with explained(objects):
            found = store.read(KEY)
        if found is not None:
            raise
    raise InvalidArchiveError(f"{url}: its STAC API has no objects of an archive beside it ({objects}/{KEY})")


def _api(start: str, token: str | None) -> str:
    """Return the URL of a STAC API: the given one, or the one that the index of a service links to."""
    try:
        page = fetch_json(start, token=token)
    except FileNotFoundError as error:
        raise InvalidArchiveError(f"{start}: there is nothing") from error
    if "stac_version" in page:
        return start
    links = page.get("links")
    for link in links if isinstance(links, list) else ():
        if isinstance(link, dict) and link.get("rel") == "data" and isinstance(link.get("href"), str):
            return urljoin(f"{start}/", str(link["href"])).rstrip("/")
    raise InvalidArchiveError(f"{start}: neither a STAC API nor a service that links to one")


def _answered(url: str, body: Mapping[str, Any] | None, token: str | None) -> dict[str, Any]:
    try:
        return fetch_json(url, body, token)
    except FileNotFoundError as error:
        raise CatalogueError(f"{url}: there is no search") from error


def _next(
    url: str, body: Mapping[str, Any] | None, page: Mapping[str, Any]
) -> tuple[str | None, dict[str, Any] | None]:
    """Return where the following page is, and what to send; no URL after the last."""
    link = next((link for link in page.get("links", []) if link.get("rel") == "next"), None)
    if link is None or not page["features"]:
        return None, None
    href = urljoin(url, link["href"])
    if str(link.get("method", "GET")).upper() != "POST":
        return href, None
    sent = link.get("body") or {}
    return href, {**(body or {}), **sent} if link.get("merge") else dict(sent)


def _takes_all(wanted: Filter) -> bool:
    """Whether the search was for all products of the window."""
    return wanted.cql2 is None and wanted.max_cloud_cover is None


def _is_newcomer(item: Mapping[str, Any], known: Mapping[str, Any]) -> bool:
    """Whether no ledger that was read knows an item's product under its attempt."""
    holdings = known.get(item["properties"]["abut:layer"])
    member = holdings.members.get(item["id"]) if holdings else None
    return member is None or bool(member.prefix != item["properties"]["abut:store"])
