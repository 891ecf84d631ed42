"""Products found through a STAC API, whoever's, each with where its SAFE lies or why there is none."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from itertools import batched
from typing import TYPE_CHECKING, Any, Final

from abut.errors import SourceError, SourceUnavailableError
from ingest.remote.access import bearer, buckets_are_set, is_web
from ingest.remote.items import product_of, safe_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ingest.remote.address import Address

COLLECTION: Final = "sentinel-2-l1c"
"""What Abut, CDSE and Earth Search call their collection."""

_PAGE: Final = 100
_REPEATS: Final = 1_000
"""How many items may come again, as they do where a catalogue changes between two pages."""
_TIMEOUT: Final = (10.0, 60.0)
_FILTER: Final = "http://www.opengis.net/spec/cql2/1.0/conf/cql2-json"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is searched for."""

    url: str
    """URL of the API."""
    collections: tuple[str, ...] = (COLLECTION,)
    """Ids of collections."""
    bbox: tuple[float, float, float, float] | None = None
    """West, south, east and north in degrees."""
    datetime: str | None = None
    """Interval, as STAC API writes it."""
    max_cloud: float | None = None
    """Most clouds in percent; what does not say how many it has is left out."""
    ids: tuple[str, ...] | None = None
    """Ids of items; None: any."""


@dataclass(frozen=True, slots=True)
class Found:
    """An item that was found, or one that was asked for and is not there."""

    id: str
    """Id of the item."""
    product: str = ""
    """Id of its product, as far as the item tells."""
    address: Address | None = None
    """Where its SAFE lies; None if it has none."""
    error: str = field(default="", compare=False)
    """Why it has none."""


def search(wanted: Wanted) -> Iterator[Found]:
    """Search, and yield what is found; ids that were asked for and not found come last.

    Raises
    ------
    SourceError
        If the API refuses, or is none; `SourceUnavailableError` if it can't be reached or is busy.
    """
    if not is_web(wanted.url):
        raise SourceError(f"{wanted.url[:200]!r}: not the URL of a STAC API, such as https://host/stac")
    seen: set[str] = set()
    repeats = 0
    buckets = buckets_are_set()
    for item in _items(wanted):
        name = str(item.get("id"))
        if name in seen:
            repeats += 1
            if repeats > _REPEATS:
                raise SourceError(f"{wanted.url}: gives the same items again and again, such as {name[:200]!r}")
            continue
        if _is_cloudy(item, wanted):
            continue
        seen.add(name)
        try:
            yield Found(name, product_of(item), safe_of(item, wanted.url.rstrip("/"), buckets=buckets))
        except SourceError as error:
            yield Found(name, product_of(item), error=str(error))
    for name in dict.fromkeys(wanted.ids or ()):
        if name not in seen:
            yield Found(name, error=f"{wanted.url}: no item {name[:200]!r} in what was searched")


def _items(wanted: Wanted) -> Iterator[dict[str, Any]]:
    import requests  # noqa: PLC0415 - an extra, and it takes its time
    from pystac_client import Client  # noqa: PLC0415 - as above
    from pystac_client.exceptions import APIError  # noqa: PLC0415 - as above
    from pystac_client.stac_api_io import StacApiIO  # noqa: PLC0415 - as above

    def trusted(request: Any) -> Any:
        token = bearer(request.url)
        if token is not None:
            request.headers["Authorization"] = f"Bearer {token}"
        return request

    asked: dict[str, Any] = {"collections": list(wanted.collections), "limit": _PAGE}
    asked |= {"bbox": wanted.bbox, "datetime": wanted.datetime}
    try:
        client = Client.open(wanted.url, stac_io=StacApiIO(request_modifier=trusted, timeout=_TIMEOUT))
        if wanted.max_cloud is not None:
            asked |= _cloud_filter(client, wanted.max_cloud)
        for ids in [None] if wanted.ids is None else batched(wanted.ids, _PAGE):
            for item in client.search(**asked, ids=None if ids is None else list(ids)).items_as_dicts():
                if isinstance(item, dict):
                    yield item
    except APIError as error:
        status = getattr(error, "status_code", None)  # none, if there was no answer
        if status is None or status >= 500 or status == 429:
            raise SourceUnavailableError(f"{wanted.url}: can't be reached, or is busy ({_line(error)})") from error
        raise SourceError(f"{wanted.url}: refuses ({status}: {_line(error)})") from error
    except (requests.ConnectionError, requests.Timeout) as error:
        raise SourceUnavailableError(f"{wanted.url}: can't be reached ({_line(error)})") from error
    except (requests.RequestException, json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, SourceError):
            raise
        raise SourceError(f"{wanted.url}: no STAC API, or one that answers oddly ({_line(error)})") from error
    except Exception as error:
        # pystac's errors have no base of their own.
        if type(error).__module__.partition(".")[0] not in ("pystac", "pystac_client"):
            raise
        raise SourceError(f"{wanted.url}: no STAC API, or one that answers oddly ({_line(error)})") from error


def _cloud_filter(client: Any, most: float) -> dict[str, Any]:
    """Return how an API is asked for few clouds; what it can't be asked is looked at here, as everything is."""
    if client.conforms_to("FILTER") and client.has_conforms_to() and _FILTER in client.get_conforms_to():
        condition = {"op": "<=", "args": [{"property": "eo:cloud_cover"}, most]}
        return {"filter": condition, "filter_lang": "cql2-json"}
    if client.conforms_to("QUERY"):
        return {"query": {"eo:cloud_cover": {"lte": most}}}
    return {}


def _is_cloudy(item: dict[str, Any], wanted: Wanted) -> bool:
    if wanted.max_cloud is None:
        return False
    properties = item.get("properties")
    cover = properties.get("eo:cloud_cover") if isinstance(properties, dict) else None
    return not isinstance(cover, int | float) or cover > wanted.max_cloud


def _line(error: object) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
