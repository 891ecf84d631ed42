"""A catalogue behind a STAC API with transactions: one of Abut, or as far as possible any other.

To a server of Abut it is as good as a catalogue of one's own: items go and come as they lie in the archive, withdrawn
ones too. Any other server keeps no withdrawn items, knows no revisions, and may change the links of what it is sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import parse_qsl, quote, urlsplit

import httpx

from abut.catalogue import without_secrets
from abut.errors import CatalogueError
from catalog.announced import ARCHIVE, BULK, REGISTER
from catalog.comparing import digest
from catalog.item import COLLECTION_ID
from catalog.owner import Owner
from catalog.remote_http import Http, Patience, reason
from catalog.remote_items import batches, plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from types import TracebackType

PAGE: Final = 500
"""Items asked for at once."""


def open_remote(url: str, token: str = "", *, patience: Patience | None = None) -> RemoteCatalogue:
    """Open the catalogue behind a STAC API.

    Parameters
    ----------
    url : str
        URL of its landing page.
    token : str
        Bearer token, with the scope ``abut:register`` on servers of Abut.
    patience : Patience, optional
        How long to try.

    Raises
    ------
    CatalogueError
        If it can't be reached, or is no STAC API.
    """
    http = Http(without_secrets(url).rstrip("/"), token, patience or Patience())
    try:
        landing = http.json("GET", "/")
        classes = landing.get("conformsTo") if isinstance(landing, dict) else None
        if not isinstance(classes, list):
            raise CatalogueError(f"catalogue {http.url}: no STAC API (its answer has no conformsTo)")
    except BaseException:
        http.close()
        raise
    archive = str(landing.get(ARCHIVE) or "")
    return RemoteCatalogue(http, is_abut=REGISTER in classes, has_bulk=BULK in classes, archive=archive)


@dataclass(frozen=True, slots=True)
class RemoteCatalogue:
    """A catalogue behind a STAC API; implements `catalog.interface.Catalogue`. Open one with `open_remote`."""

    http: Http
    """Connection to the API."""
    is_abut: bool
    """Whether it hands out items as they are stored."""
    has_bulk: bool
    """Whether it takes many items at once."""
    archive: str = ""
    """Id of the archive that it serves; empty if it does not say."""

    @property
    def url(self) -> str:
        """URL of the API."""
        return self.http.url

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self.http.close()

    def owner(self) -> Owner | None:
        """Return the archive that the server says it serves, or None if it does not say."""
        return Owner(self.archive) if self.archive else None

    def claim(self, owner: Owner) -> Owner:
        """Return whose it is: what a server serves is decided where it runs."""
        return self.owner() or owner

    def upsert_many(self, items: Iterable[Mapping[str, Any]]) -> int:
        """Add or replace items, some hundreds at once; return how many were written.

        Raises
        ------
        ValueError
            If the server does not take an item; a server of Abut has written nothing of the same batch then.
        CatalogueError
            If the server can't be reached, or refuses.
        """
        return sum(self._send(collection, batch) for collection, batch in batches(items))

    def remove(self, item_id: str, collection: str = COLLECTION_ID) -> bool:
        """Take an item out, withdrawn or not; return whether it was listed."""
        item = self.get(item_id, collection)
        if item is None:
            return False
        if self.is_abut and collection == COLLECTION_ID and not item["properties"].get("abut:withdrawn"):
            # such a server removes withdrawn items only, so that no one deletes what a search can find
            item["properties"]["abut:withdrawn"] = True
            self._put(item)
        self.http.send("DELETE", _item_path(collection, item_id), but=(404,))
        return True

    def remove_if(self, expected: Mapping[str, Any]) -> bool:
        """Take an item out if it is listed and still what `get` returned; return whether it was taken out.

        Servers of Abut compare and remove in one step; of others the item is looked at just before.
        """
        collection, name = str(expected["collection"]), str(expected["id"])
        path = _item_path(collection, name)
        tag = self._tag(expected)
        if tag is None:
            return False
        if self.is_abut and collection == COLLECTION_ID and not expected["properties"].get("abut:withdrawn"):
            gone = {**expected, "properties": {**expected["properties"], "abut:withdrawn": True}}
            # Whether it was replaced is seen by what is there: a first answer may have been lost.
            self.http.send("PUT", path, body=gone, but=(404, 409, 412), if_match=tag)
            tag = self._tag(gone)
            if tag is None:
                return False
        answer = self.http.send("DELETE", path, but=(404, 412), if_match=tag)
        return answer.status_code != httpx.codes.PRECONDITION_FAILED

    def _tag(self, expected: Mapping[str, Any]) -> str | None:
        """Return the ETag of an item, empty if the server gives none; None if it is not what is expected."""
        collection, name = str(expected["collection"]), str(expected["id"])
        path = (_register_path if self.is_abut else _item_path)(collection, name)
        answer = self.http.send("GET", path, but=(404,))
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        listed = answer.json() if self.is_abut else plain(answer.json(), self.url)
        return answer.headers.get("etag", "") if digest(listed) == digest(expected) else None

    def get(self, item_id: str, collection: str = COLLECTION_ID) -> dict[str, Any] | None:
        """Return an item, withdrawn or not, or None if it is not listed."""
        if self.is_abut:
            found: dict[str, Any] | None = self.http.json("GET", _register_path(collection, item_id), but=(404,))
            return found
        found = self.http.json("GET", _item_path(collection, item_id), but=(404,))
        return None if found is None else plain(found, self.url)

    def revision(self, item_id: str, collection: str = COLLECTION_ID) -> int | None:
        """Return the ledger revision of an item, withdrawn or not, or None if it is not listed."""
        item = self.get(item_id, collection)
        return None if item is None else int(item["properties"].get("abut:revision", 0))

    def ids(self, collection: str = COLLECTION_ID) -> set[str]:
        """Return the ids of all items of a collection, withdrawn ones included."""
        if self.is_abut:
            return {name for page in self._register(collection, names=True) for name in page}
        return {item["id"] for item in self._found(collection, fields="id")}

    def items(self, collection: str | None = None, *, withdrawn: bool = False) -> Iterator[dict[str, Any]]:
        """Return all items, one after another, by collection and id; withdrawn ones too if asked for."""
        names = [collection] if collection is not None else [one["id"] for one in self.collections()]
        for name in names:
            if not self.is_abut:
                yield from sorted(self._found(name), key=lambda item: str(item["id"]))
                continue
            for page in self._register(name):
                for item in page:
                    if withdrawn or not item["properties"].get("abut:withdrawn"):
                        yield item

    def collections(self) -> list[dict[str, Any]]:
        """Return the collections, by id."""
        if self.is_abut:
            found: list[dict[str, Any]] = self.http.json("GET", "/register")["collections"]
            return found
        pages = self._pages("/collections", {})
        return sorted(
            (plain(one, self.url) for page in pages for one in page["collections"]), key=lambda one: str(one["id"])
        )

    def put_collection(self, collection: Mapping[str, Any]) -> None:
        """Add a collection, or replace the one of its id."""
        path = f"/collections/{quote(collection['id'], safe='')}"
        if self.http.send("PUT", path, body=collection, but=(404,)).status_code == httpx.codes.NOT_FOUND:
            answer = self.http.send("POST", "/collections", body=collection, but=(409,))
            if (
                answer.status_code == httpx.codes.CONFLICT
            ):  # another has added it, or the answer to a first try was lost
                self.http.send("PUT", path, body=collection)

    def remove_collection(self, collection: str) -> bool:
        """Take a collection and its items out; return whether it was listed."""
        path = f"/collections/{quote(collection, safe='')}"
        if self.http.json("GET", path, but=(404,)) is None:
            return False
        if self.is_abut and collection == COLLECTION_ID:
            for name in self.ids(collection):
                self.remove(name, collection)
        self.http.send("DELETE", path, but=(404,))
        return True

    def _send(self, collection: str, batch: list[Mapping[str, Any]]) -> int:
        if not self.has_bulk:
            return sum(self._put(item) for item in batch)
        path = f"/collections/{quote(collection, safe='')}/bulk_items"
        body = {"items": {item["id"]: item for item in batch}, "method": "upsert"}
        answer = self.http.send("POST", path, body=body, but=(400, 404, 409, 413))
        if answer.status_code == httpx.codes.REQUEST_ENTITY_TOO_LARGE and len(batch) > 1:
            half = len(batch) // 2
            return self._send(collection, batch[:half]) + self._send(collection, batch[half:])
        if not answer.is_success:
            raise ValueError(f"catalogue {self.url}: items of {collection!r}: {reason(answer)}")
        done = answer.json()
        if done["errors"]:
            first = done["errors"][0]
            raise ValueError(f"catalogue {self.url}: item {first['id']}: {first['msg']} ({len(done['errors'])} in all)")
        return int(done["success"])

    def _put(self, item: Mapping[str, Any]) -> bool:
        """Add or replace one item; return whether it was written."""
        collection, path = str(item["collection"]), _item_path(str(item["collection"]), str(item["id"]))
        if not self.is_abut and item["properties"].get("abut:withdrawn"):  # it would be found
            return self.http.send("DELETE", path, but=(404,)).is_success
        answer = self.http.send("PUT", path, body=item, but=(400, 404, 409, 422))
        if answer.status_code == httpx.codes.NOT_FOUND:
            where = f"/collections/{quote(collection, safe='')}/items"
            answer = self.http.send("POST", where, body=item, but=(400, 404, 409, 422))
            if answer.status_code == httpx.codes.CONFLICT:  # the answer to a first try was lost, or another was faster
                answer = self.http.send("PUT", path, body=item, but=(400, 404, 409, 422))
        if answer.status_code == httpx.codes.CONFLICT:
            return False
        if not answer.is_success:
            raise ValueError(f"catalogue {self.url}: item {item['id']}: {reason(answer)}")
        return True

    def _register(self, collection: str, *, names: bool = False) -> Iterator[list[Any]]:
        """Pages of all that a server of Abut has of a collection: ids, or items as they are stored."""
        after = ""
        while True:
            query = {"after": after, "limit": PAGE * (20 if names else 1), "names": str(names).lower()}
            page = self.http.json("GET", f"/register/{quote(collection, safe='')}", query=query, but=(404,))
            if page is None:
                return
            yield page["ids" if names else "items"]
            if page["next"] is None:
                return
            after = page["next"]

    def _found(self, collection: str, **query: str) -> Iterator[dict[str, Any]]:
        for page in self._pages(f"/collections/{quote(collection, safe='')}/items", {"limit": str(PAGE), **query}):
            for item in page["features"]:
                yield plain(item, self.url)

    def _pages(self, path: str, query: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        page = self.http.json("GET", path, query=query, but=(404,))
        while page is not None:
            yield page
            following = [link["href"] for link in page.get("links", []) if link["rel"] == "next"]
            if not following:
                return
            # of such a link only the parameters count: the token goes to no host but the one that it was given for
            page = self.http.json("GET", path, query=dict(parse_qsl(urlsplit(following[0]).query)))


def _item_path(collection: str, item: str) -> str:
    return f"/collections/{quote(collection, safe='')}/items/{quote(item, safe='')}"


def _register_path(collection: str, item: str) -> str:
    return f"/register/{quote(collection, safe='')}/{quote(item, safe='')}"
