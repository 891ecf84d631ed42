"""Items that match a search, from a STAC API or an archive's own catalogue: one question, one kind of answer."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from abut.catalogue import POSTGRES, path_of, scheme_of
from abut.errors import CatalogueError
from abut.token import header_of, same_origin, token_for
from catalog.places import GENERATED, Places
from cli.opening import open_with_catalogue
from cli.reading import index_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from catalog.search import Page, Search

_API: Final = "abut:catalogue"
"""Stands for the URL of an API that there is not."""


@contextmanager
def found_in_archive(archive: str, values: Mapping[str, Any], most: int | None) -> Iterator[Iterator[dict[str, Any]]]:
    """Give the items that a search finds in an archive's catalogue; hrefs are absolute, and lead into the archive.

    Parameters
    ----------
    archive : str
        The archive.
    values : mapping
        Parameters of a STAC API search.
    most : int, optional
        Largest number of items.

    Raises
    ------
    ValueError
        If a value has no meaning; the message names the parameter and quotes the value.
    """
    opened = open_with_catalogue(archive)
    with index_of(opened) as url:
        if path_of(url) is None and scheme_of(url) not in POSTGRES:  # a STAC API itself
            with found_by_api(url, values, most) as items:
                yield items
            return
        from anyio.from_thread import start_blocking_portal  # noqa: PLC0415 - an extra

        from services.backends import backend_of  # noqa: PLC0415 - an extra
        from services.stac.requests import wanted  # noqa: PLC0415 - an extra

        base, search, backend = opened.store.url, wanted(values).search, backend_of(url)
        places = Places(_API, f"{base}/products")
        with start_blocking_portal() as portal, portal.wrap_async_context_manager(backend.running()):

            def ask(page: Search) -> Page:
                return portal.call(backend.search, page, places)

            yield (_in_archive(json.loads(item), places, base) for item in _paged(search, ask, most))


@contextmanager
def found_by_api(url: str, values: Mapping[str, Any], most: int | None) -> Iterator[Iterator[dict[str, Any]]]:
    """Give the items that a STAC API finds; the arguments are those of `found_in_archive`.

    Raises
    ------
    CatalogueError
        If it can't be reached, or refuses.
    """
    import requests  # noqa: PLC0415 - an extra, and it takes its time
    from pystac_client import Client  # noqa: PLC0415 - as above
    from pystac_client.exceptions import APIError  # noqa: PLC0415 - as above

    parameters = {name.replace("-", "_"): value for name, value in values.items()}
    told = header_of(token_for(url))

    def trusting(request: requests.Request) -> requests.Request:
        """Give a request the token, wherever an answer led it at the host that the user named."""
        if same_origin(str(request.url), url):
            request.headers = {**request.headers, **told}
        return request

    try:
        search = Client.open(url, request_modifier=trusting).search(**parameters, max_items=most)
        yield search.items_as_dicts()
    except APIError as error:
        raise CatalogueError(f"{url}: {_said(str(error))}") from error
    except (requests.RequestException, json.JSONDecodeError) as error:
        raise CatalogueError(f"{url}: can't be reached, or is no STAC API ({error})") from error


def _paged(search: Search, ask: Callable[[Search], Page], most: int | None) -> Iterator[bytes]:
    left, token = most, None
    while True:
        limit = search.limit if left is None else min(search.limit, left)
        page = ask(replace(search, limit=limit, token=token))
        yield from page.features
        left, token = None if left is None else left - len(page.features), page.next
        if token is None or left == 0:
            return


def _in_archive(item: dict[str, Any], places: Places, base: str) -> dict[str, Any]:
    """Return an item whose links to others lead to their files, as there is no API."""
    home = f"{places.collection(item['collection'])}/items/"

    def href(given: str) -> str:
        return f"{places.products}/{given.removeprefix(home)}.json" if given.startswith(home) else given

    kept: Iterable[dict[str, Any]] = (link for link in item["links"] if link["rel"] not in GENERATED)
    links = [{**link, "href": href(link["href"])} for link in kept]
    if item["properties"].get("abut:store"):
        own = {"rel": "self", "href": f"{places.products}/{item['id']}.json", "type": "application/geo+json"}
        links = [own, {"rel": "collection", "href": f"{base}/collection.json", "type": "application/json"}, *links]
    return {**item, "links": links}


def _said(answer: str) -> str:
    """Return what an API says about an error, out of the JSON of its answer."""
    try:
        said = json.loads(answer)
        return str(said.get("description") or said.get("detail") or answer)
    except (AttributeError, ValueError):
        return answer[:200] or "refused without a word"
