"""An archive of items without pixels, for the tests of searches and exports: versions, holders, and withdrawn ones."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from abut.archive import Archive, create_archive
from abut.catalogue import without_secrets
from abut.tiling import tile
from catalog import Holding, make_collection, with_holding
from catalog.opening import open_catalogue
from tests.catalog_products import START, item, whole

if TYPE_CHECKING:
    from pathlib import Path

LATER = START + timedelta(days=40)


@dataclass(frozen=True)
class Listed:
    """An archive whose items are in its store and its catalogue."""

    archive: Archive
    items: dict[str, dict[str, Any]]
    """All items as they are stored, by id."""

    @property
    def url(self) -> str:
        return self.archive.store.url

    def named(self, *parts: str) -> list[str]:
        """Ids that contain all of some texts."""
        return sorted(name for name in self.items if all(part in name for part in parts))

    @property
    def live(self) -> list[str]:
        """Ids of those that are not withdrawn."""
        return sorted(name for name, made in self.items.items() if not made["properties"]["abut:withdrawn"])


def products() -> list[dict[str, Any]]:
    """Items of four tiles at two times: one released blocks, one holds none, one is superseded, one withdrawn."""
    west, east = item("32TMM", cloud_percentage=0.0), item("32TNM", cloud_percentage=60.5)
    old = item("32TMM", processing_baseline="02.04", id=west["id"].replace("N0509", "N0204"), full=False)
    empty, polar = item("32TPM", full=False), item("01WCS")
    later, hidden = item("32TNM", start=LATER), item("32TMM", start=LATER)
    rim = sorted(whole(tile("32TMM")))[:9]
    return [
        with_holding(west, holding("32TMM", dict.fromkeys(rim, east["id"]))),
        east,
        old,
        with_holding(empty, holding("32TPM", dict.fromkeys(whole(tile("32TPM")), east["id"]))),
        polar,
        with_holding(later, holding("32TNM", {(0, 0): hidden["id"]})),
        with_holding(hidden, holding("32TMM", {}, withdrawn=True)),
    ]


def holding(tile_id: str, holders: dict[Any, str], *, withdrawn: bool = False) -> Holding:
    """What the ledger says of a product that released some blocks."""
    held = whole(tile(tile_id)) - frozenset(holders)
    return Holding(revision=3, held=held, holders=holders, withdrawn=withdrawn, updated=LATER + timedelta(days=1))


def make_listed(folder: Path, url: str | None = None) -> Listed:
    """Make the archive, with a catalogue of its own or in a database."""
    archive = create_archive(folder, catalogue=without_secrets(url) if url else None)
    items = {made["id"]: made for made in products()}
    for name, made in items.items():
        archive.store.put_new(f"products/{name}.json", json.dumps(made).encode())
    collection = make_collection().to_dict(include_self_link=False)
    archive.store.put_new("collection.json", json.dumps(collection).encode())
    with open_catalogue(url or archive.catalogue_url) as catalogue:
        catalogue.put_collection(collection)
        catalogue.upsert_many(items.values())
    return Listed(archive, items)
