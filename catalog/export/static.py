"""Static STAC: files that link to each other, to be read by any client from a folder, a web server or S3.

::

    catalog.json
    sentinel-2-l1c/collection.json
    sentinel-2-l1c/2025-08/catalog.json
    sentinel-2-l1c/2025-08/<item id>.json

All links between these files are relative, so that they can be moved together.
"""

from __future__ import annotations

import json
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import batched
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import quote

import obstore

from abut.errors import ExportError
from abut.store import open_store
from catalog.export.extent import Extent
from catalog.export.hrefs import products_of, relative_base, rewritten
from catalog.export.result import Exported
from catalog.hrefs import below, resolved
from catalog.places import GENERATED, GEOJSON

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from abut.store import Store
    from catalog.interface import Catalogue

type Grouping = Literal["month", "tile"]
"""What the items of one folder have in common."""

MARK: Final = "abut:export"
"""Field of the root of an export, by which it is known as one."""

_ROOT: Final = "catalog.json"
_JSON: Final = "application/json"
_BATCH: Final = 500
_THREADS: Final = 16
_DEPTH: Final = 2
"""Folders that items lie in: collection, group."""


@dataclass(slots=True)
class _Writer:
    """Writes files, and keeps the account."""

    store: Store
    keys: set[str] = field(default_factory=set)
    data_bytes: int = 0

    def write(self, files: Iterable[tuple[str, dict[str, Any]]]) -> None:
        """Write JSON files, some at once."""
        with ThreadPoolExecutor(_THREADS) as threads:
            for key, size in threads.map(self._put, files):
                self.keys.add(key)
                self.data_bytes += size

    def _put(self, file: tuple[str, dict[str, Any]]) -> tuple[str, int]:
        key, document = file
        data = json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
        obstore.put(self.store.backend, key, data, use_multipart=False)
        return key, len(data)


def export_static(
    catalogue: Catalogue,
    target: str,
    *,
    archive: str,
    by: Grouping = "month",
    relative: bool = False,
    force: bool = False,
    on_item: Callable[[], object] = lambda: None,
) -> Exported:
    """Write a catalogue as static STAC.

    Items that are added while it runs may be left out. The root is written last: before, the target is marked as an
    export that is not finished.

    Parameters
    ----------
    catalogue : Catalogue
        What to write; withdrawn items are left out.
    target : str
        Folder, made if missing, or ``s3://bucket/prefix``.
    archive : str
        Where the archive is for those who read the export: absolute path or URL.
    by : str
        What the items of one folder have in common: ``month`` or ``tile``.
    relative : bool
        Whether assets get relative hrefs. Default: absolute ones.
    force : bool
        Whether to replace an earlier export.
    on_item : callable
        Called after each item.

    Raises
    ------
    ExportError
        If the target is not empty and is not to be replaced, or is no export; if no relative hrefs are possible.
    """
    store = open_store(target, create=True)
    products = products_of(archive)
    to_assets = relative_base(archive, store.url, _DEPTH) if relative else products
    _claim(store, force=force)
    groups, extents = _survey(catalogue, by)
    writer = _Writer(store)

    def absolute(href: str) -> str:
        return resolved(href, products)

    def asset(href: str) -> str:
        return below(href, to_assets) if href.startswith("./") else absolute(href)

    def files(items: Iterable[Mapping[str, Any]]) -> Iterable[tuple[str, dict[str, Any]]]:
        for item in items:
            group = groups[item["collection"]].get(item["id"])
            if group is not None:
                link = _linker(groups[item["collection"]], group, absolute)
                made = rewritten(item, asset, link)
                made["links"] = _links(_DEPTH, collection="../collection.json") + made["links"]
                yield f"{quote(item['collection'], safe='')}/{group}/{item['id']}.json", made
            on_item()

    for batch in batched(catalogue.items(), _BATCH):
        writer.write(files(batch))
    collections = catalogue.collections()
    for collection in collections:
        name = collection["id"]
        writer.write(_group_files(name, groups[name]))
        writer.write(
            [(f"{quote(name, safe='')}/collection.json", _collection(collection, groups[name], extents[name]))]
        )
    writer.write([(_ROOT, _root(collections, "finished"))])
    store.delete(_stale(store, writer.keys))
    return Exported(
        target=store.url,
        collections=len(collections),
        items=sum(len(members) for members in groups.values()),
        files=len(writer.keys),
        data_bytes=writer.data_bytes,
    )


def _stale(store: Store, written: set[str]) -> list[str]:
    """Return the files of an earlier export that are not written anew; what else lies there is none of ours."""
    ours = (
        entry.key for entry in store.entries("") if entry.key.endswith(".json") and 0 < entry.key.count("/") <= _DEPTH
    )
    return [key for key in ours if key not in written]


def _claim(store: Store, *, force: bool) -> None:
    """Make sure that nothing but an export is lost, and mark what will be one."""
    if next(iter(store.entries("")), None) is not None:
        if not force:
            raise ExportError(f"{store.url}: is not empty (--force replaces an earlier export)")
        found = store.read(_ROOT)
        if found is None or not _marked(found.data):
            raise ExportError(f"{store.url}: is not empty, and no export of a catalogue that could be replaced")
    _Writer(store).write([(_ROOT, _root([], "unfinished"))])


def _marked(data: bytes) -> bool:
    try:
        return MARK in json.loads(data)
    except (ValueError, TypeError):
        return False


def _survey(catalogue: Catalogue, by: Grouping) -> tuple[dict[str, dict[str, str]], dict[str, Extent]]:
    """Return, by collection, the group of each item and the extent of all."""
    groups: dict[str, dict[str, str]] = defaultdict(dict)
    extents: dict[str, Extent] = defaultdict(Extent)
    for item in catalogue.items():
        groups[item["collection"]][item["id"]] = _group(item["properties"], by)
        extents[item["collection"]].add(item)
    return groups, extents


def _group(properties: Mapping[str, Any], by: Grouping) -> str:
    if by == "tile":
        return quote(str(properties.get("grid:code") or "other").removeprefix("MGRS-"), safe="")
    return str(properties.get("datetime") or properties.get("start_datetime") or "undated")[: len("2025-08")]


def _linker(groups: Mapping[str, str], own: str, absolute: Callable[[str], str]) -> Callable[[str], str]:
    """Return what makes of the links between items of the archive links between those of the export."""

    def link(href: str) -> str:
        name = href.removeprefix("./").removesuffix(".json")
        if not href.startswith("./") or name not in groups:
            return absolute(href)  # a holder that was withdrawn: it is no longer listed, but it is still there
        return href if groups[name] == own else f"../{groups[name]}/{name}.json"

    return link


def _links(depth: int, collection: str = "") -> list[dict[str, str]]:
    links = [
        {"rel": "root", "href": f"{'../' * depth or './'}{_ROOT}", "type": _JSON},
        {"rel": "parent", "href": f"./{_ROOT}" if collection else "../collection.json", "type": _JSON},
    ]
    return [*links, {"rel": "collection", "href": collection, "type": _JSON}] if collection else links


def _group_files(collection: str, groups: Mapping[str, str]) -> Iterable[tuple[str, dict[str, Any]]]:
    members: dict[str, list[str]] = defaultdict(list)
    for name, group in groups.items():
        members[group].append(name)
    for group, names in members.items():
        links = [{"rel": "item", "href": f"./{name}.json", "type": GEOJSON, "title": name} for name in sorted(names)]
        yield (
            f"{quote(collection, safe='')}/{group}/{_ROOT}",
            {
                "type": "Catalog",
                "stac_version": "1.1.0",
                "id": f"{collection}-{group}",
                "title": group,
                "description": f"Items of {collection}: {group}",
                "links": [*_links(_DEPTH), *links],
            },
        )


def _collection(collection: Mapping[str, Any], groups: Mapping[str, str], extent: Extent) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(json.dumps(collection))
    extent.apply(made)
    up = f"../{_ROOT}"
    made["links"] = [
        {"rel": "root", "href": up, "type": _JSON},
        {"rel": "parent", "href": up, "type": _JSON},
        *(link for link in made.get("links", []) if link["rel"] not in GENERATED),
        *(
            {"rel": "child", "href": f"./{group}/{_ROOT}", "type": _JSON, "title": group}
            for group in sorted(set(groups.values()))
        ),
    ]
    return made


def _root(collections: Iterable[Mapping[str, Any]], state: str) -> dict[str, Any]:
    children = [
        {
            "rel": "child",
            "href": f"./{quote(collection['id'], safe='')}/collection.json",
            "type": _JSON,
            "title": collection.get("title", collection["id"]),
        }
        for collection in collections
    ]
    return {
        "type": "Catalog",
        "stac_version": "1.1.0",
        "id": "abut",
        "title": "Abut",
        "description": "Products of an archive of Sentinel-2 Level-1C, stored once.",
        MARK: state,
        "links": [{"rel": "root", "href": f"./{_ROOT}", "type": _JSON}, *children],
    }
