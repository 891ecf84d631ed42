"""An archive of made products before settling, and copies of it, for the tests of whole paths."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from abut.archive import Archive, create_archive
from abut.layout import BANDS
from abut.ledger import Ledger, load
from abut.legacy import read_bands
from ingest.ingest import ingest
from ingest.register import join
from ingest.safe_source import safe_sources
from tests.products import Family, Made, make_family

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


@dataclass(frozen=True)
class Base:
    """An archive in which all products were ingested and none was settled, and what the SAFEs hold."""

    archive: Archive
    made: dict[str, Made]
    """By product id."""
    truth: dict[str, dict[str, str]]
    """SHA-256 of each band as rasterio reads the SAFE, by product id and band."""

    def ids(self, *tiles: str) -> list[str]:
        return [name for name, made in self.made.items() if made.tile in tiles]


def make_base(families: Iterable[Family], folder: Path) -> Base:
    """Make products, ingest them, and read their pixels the slow, obvious way."""
    archive = create_archive(folder / "archive")
    made: dict[str, Made] = {}
    for family in families:
        products = make_family(family, folder / "products")
        for safe in dict.fromkeys(product.safe for product in products):
            for source in safe_sources(safe):
                ingest(archive, source)
                made[source.id] = next(p for p in products if p.safe == safe and p.tile == source.tile.id)
    truth = {
        name: {band.name: hashlib.sha256(product.pixels(band)).hexdigest() for band in BANDS}
        for name, product in made.items()
    }
    return Base(archive, made, truth)


def copied(base: Base, folder: Path, ids: Iterable[str] | None = None) -> Iterator[tuple[Archive, str]]:
    """Yield a new archive after each product that is committed to it; objects are hard links."""
    wanted = list(base.made) if ids is None else list(ids)
    archive = create_archive(folder)
    source = base.archive.store.root
    assert source is not None
    for name in wanted:
        product = base.archive.product(name)
        shutil.copytree(source / product.folder, folder / product.folder, copy_function=os.link)
        item = json.loads((source / "products" / f"{name}.json").read_bytes())
        item["properties"]["abut:revision"] = 0
        archive.store.swap(f"products/{name}.json", json.dumps(item).encode(), None)
        join(archive, archive.product(name))
        yield archive, name


def copy(base: Base, folder: Path, ids: Iterable[str] | None = None) -> Archive:
    return [archive for archive, _ in copied(base, folder, ids)][-1]


def assert_recreates(base: Base, archive: Archive, name: str) -> None:
    found = {band.name: hashlib.sha256(array).hexdigest() for band, array in read_bands(archive, archive.product(name))}
    assert found == base.truth[name]


def ledger_of(archive: Archive, name: str) -> Ledger:
    return load(archive.store, archive.product(name).layer)[0]


def shares(ledger: Ledger) -> tuple[int, int]:
    """Blocks that are not empty anywhere, and blocks stored."""
    members = ledger.members.values()
    return len({block for member in members for block in member.valid}), sum(len(member.held) for member in members)
