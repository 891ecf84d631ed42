"""Which of several SAFE products is compared, and an archive of them that has no overlap."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from abut.archive import create_archive
from abut.errors import InvalidSafeError, ProductNotFoundError
from ingest.ingest import Outcome
from ingest.job import Failure, find_safes
from ingest.parallel import ingest_many
from ingest.purge import purge
from ingest.safe import find_granules
from ingest.settle import settle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from abut.archive import Archive
    from abut.metadata import ProductMetadata
    from ingest.parallel import Progress


@dataclass(frozen=True, slots=True)
class Given:
    """A product that was given as SAFE."""

    safe: str
    """Path of the SAFE."""
    metadata: ProductMetadata
    """What it says."""


def given_products(paths: Iterable[Path | str]) -> list[Given]:
    """Return the products of SAFEs: folders, zips, and folders that hold such."""
    return [Given(safe, granule.metadata) for safe in find_safes(paths) for granule in find_granules(safe)]


def chosen(products: Sequence[Given], product: str | None = None) -> Given:
    """Return the product that is compared.

    Parameters
    ----------
    products : sequence of Given
        What there is.
    product : str, optional
        Its id. Default: the one with the most others of its datatake and zone around it, of several the first.

    Raises
    ------
    ProductNotFoundError
        If none has this id.
    """
    if product is not None:
        for one in products:
            if one.metadata.id == product.removesuffix(".SAFE"):
                return one
        raise ProductNotFoundError(f"{product}: none of the SAFEs; they are {_listed(products)}")
    return max(products, key=lambda one: len(around(products, one)))


def around(products: Sequence[Given], middle: Given) -> list[Given]:
    """Return a product, and those of the same datatake that touch its tile in its zone: neighbours and strips."""
    own = middle.metadata
    return [
        one
        for one in products
        if one.metadata.datatake_start == own.datatake_start
        and one.metadata.id[:3] == own.id[:3]
        and one.metadata.tile.footprint.intersection(own.tile.footprint) is not None
    ]


def store(folder: Path, safes: Sequence[str], *, on_progress: Callable[[Progress], None] = lambda _: None) -> Archive:
    """Make an archive of SAFEs in which nothing is stored twice that is equal.

    Parameters
    ----------
    folder : Path
        Where; it must be empty, or not there yet.
    safes : sequence of str
        The SAFEs.
    on_progress : callable
        See `ingest.parallel.ingest_many`.

    Raises
    ------
    InvalidSafeError
        If one can't be ingested.
    """
    archive = create_archive(folder)
    results = ingest_many(archive, safes, on_progress=on_progress)
    for failed in results:
        if isinstance(failed, Failure):
            text = failed.error if failed.path in failed.error else f"{failed.path}: {failed.error}"
            raise InvalidSafeError(text)
    layers = sorted({archive.product(one.product).layer for one in results if isinstance(one, Outcome)})
    settle(archive, layers)
    purge(archive, grace=timedelta(0), layers=layers)  # nobody else reads it
    return archive


def _listed(products: Sequence[Given]) -> str:
    return ", ".join(one.metadata.id for one in products)
