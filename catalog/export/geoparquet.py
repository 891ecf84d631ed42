"""stac-geoparquet: all items as one table, to be read by anything that reads Parquet."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from importlib import import_module
from itertools import batched
from typing import TYPE_CHECKING, Any, Final

import obstore

from abut.errors import ExportError
from abut.store import open_store
from catalog.export.extent import Extent
from catalog.export.hrefs import products_of, rewritten
from catalog.export.result import Exported
from catalog.export.shapes import Shapes, flat
from catalog.hrefs import resolved

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from abut.store import Store
    from catalog.interface import Catalogue

SUFFIXES: Final = (".parquet", ".geoparquet")
"""How names of such files end."""

_BATCH: Final = 250
_LARGEST_FIRST: Final = 10_000
"""Items of the first rows at most: as many as have something that no item before them has."""


def export_geoparquet(
    catalogue: Catalogue,
    target: str,
    *,
    archive: str,
    collection: str,
    force: bool = False,
    on_item: Callable[[], object] = lambda: None,
) -> Exported:
    """Write the items of a collection as one stac-geoparquet file, all hrefs absolute.

    Items that are added while it runs may be left out. The file appears when it is complete.

    Parameters
    ----------
    catalogue : Catalogue
        What to write; withdrawn items are left out.
    target : str
        File whose name ends with ``.parquet`` or ``.geoparquet``: a path, or ``s3://bucket/key``.
    archive : str
        Where the archive is for those who read the table: absolute path or URL.
    collection : str
        Id of the collection: a table holds one, whose metadata it carries.
    force : bool
        Whether to replace a file that is there.
    on_item : callable
        Called after each item.

    Raises
    ------
    ExportError
        If there is such a file, the collection is unknown or empty, or items can't be one table.
    """
    import_module("rustac")  # an extra: better missed now than after a look at all items
    described = next((found for found in catalogue.collections() if found["id"] == collection), None)
    if described is None:
        raise ExportError(f"{target}: the catalogue has no collection {collection!r}")
    place = _target(target)
    if place.size is not None and not force:
        raise ExportError(f"{place.url}: exists (--force replaces it)")
    table = _Table(collection, archive)
    table.survey(catalogue)
    if not table.first:
        raise ExportError(f"{target}: collection {collection!r} has no items, and so no columns")
    table.extent.apply(described)
    count = asyncio.run(_write(place, table, catalogue, described, on_item))
    return Exported(target=place.url, collections=1, items=count, files=1, data_bytes=place.size or 0)


class _Table:
    """Rows of a collection's items, and what was seen of them on a first look at all."""

    def __init__(self, collection: str, archive: str) -> None:
        self.collection = collection
        self.extent = Extent()
        self.first: dict[str, dict[str, Any]] = {}
        self._products = products_of(archive)
        self._shapes = Shapes()
        self._seen: dict[str, str] = {}

    def survey(self, catalogue: Catalogue) -> None:
        """Look at all items; keep those that show something new, as they make the columns."""
        for item in catalogue.items(self.collection):
            row, name = self._row(item), item["id"]
            self.extent.add(item)
            self._seen[name] = _version(item)
            if self._shapes.learn(row, name):
                self.first[name] = row
                if len(self.first) > _LARGEST_FIRST:
                    raise ExportError(f"{self.collection}: items have too many different fields for one table")

    def rest(self, catalogue: Catalogue) -> Iterator[dict[str, Any]]:
        """Yield the rows of all other items."""
        for item in catalogue.items(self.collection):
            name = item["id"]
            if name in self.first or name not in self._seen:
                continue
            row = self._row(item)
            if self._seen[name] != _version(item) and self._shapes.learn(row, name):
                raise ExportError(f"{name}: was changed while it was exported; export again")
            yield row

    def _row(self, item: Mapping[str, Any]) -> dict[str, Any]:
        def absolute(href: str) -> str:
            return resolved(href, self._products)

        return flat(rewritten(item, absolute, absolute))


async def _write(
    target: _Target, table: _Table, catalogue: Catalogue, described: dict[str, Any], on_item: Callable[[], object]
) -> int:
    from rustac import GeoparquetWriter, RustacError  # noqa: PLC0415 - an extra

    rows = list(table.first.values())
    try:
        writer = await GeoparquetWriter.open(rows, target.path, drop_invalid_attributes=False, store=target.writer())
        writer.add_collection(described)
        count = _counted(rows, on_item)
        for batch in batched(table.rest(catalogue), _BATCH):
            await writer.write(list(batch))
            count += _counted(batch, on_item)
        await writer.finish()
    except RustacError as error:
        raise ExportError(f"{target.url}: {error}") from error
    return count


def _counted(rows: Sequence[Any], on_item: Callable[[], object]) -> int:
    for _ in rows:
        on_item()
    return len(rows)


def _version(item: Mapping[str, Any]) -> str:
    """Return what changes when an item does."""
    properties = item["properties"]
    return f"{properties.get('abut:revision')} {properties.get('updated')} {properties.get('deprecated')}"


@dataclass(frozen=True, slots=True)
class _Target:
    """Where a table is written."""

    store: Store
    name: str

    @property
    def url(self) -> str:
        return f"{self.store.url}/{self.name}"

    @property
    def path(self) -> str:
        """What the writer calls it: a path, or on S3 the name below the prefix."""
        return self.name if self.store.root is None else str(self.store.root / self.name)

    @property
    def size(self) -> int | None:
        """Bytes, or None if there is no such object."""
        try:
            return int(obstore.head(self.store.backend, self.name)["size"])
        except FileNotFoundError:
            return None

    def writer(self) -> Any:
        """Return a store of the writer's own kind, as it warns of others; None for a path."""
        if self.store.root is not None:
            return None
        from rustac.store import S3Store  # noqa: PLC0415 - an extra

        return S3Store.from_url(
            self.store.url, client_options={"allow_http": os.environ.get("AWS_ALLOW_HTTP", "").lower() in {"1", "true"}}
        )


def _target(url: str) -> _Target:
    folder, _, name = url.rpartition("/")
    if not name.endswith(SUFFIXES):
        raise ExportError(f"{url}: the name of a table ends with {' or '.join(SUFFIXES)}")
    return _Target(open_store(folder or ".", create=True), name)
