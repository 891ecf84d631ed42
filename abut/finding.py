"""Finding products: which layers of a zone have something in a window and a period, and what a filter chose of them.

A *finder* answers from the archive alone (`ArchiveFinder`), or asks a STAC API (`abut.finding_api`). Either way what
decides is read from the archive: ledgers say who holds what, one item per layer what its products have in common.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from abut import product as products
from abut.archive import open_archive
from abut.errors import BadRequestError
from abut.holdings import Held, Holdings, hull_of, in_threads, load_all, unsettled
from abut.lattice import BlockRange
from abut.newcomers import Listing, near, newcomers_of, read_item
from abut.strips import Layer, layer_of, sensed
from abut.tiling import tile

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Collection, Iterable, Mapping
    from datetime import datetime

    from abut.archive import Archive
    from abut.lattice import Bounds
    from abut.period import Period
    from abut.store import Store

type Item = Mapping[str, Any]
"""A STAC item as JSON values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which products are chosen, beside window and period; all that is given must hold.

    They alone decide what a view shows: blocks that a chosen product released are read from their holders, and cropped
    to its legacy footprint if those were not chosen.
    """

    ids: frozenset[str] | None = None
    """Product ids."""
    tiles: frozenset[str] | None = None
    """Ids of tiles, such as ``32TNM``."""
    max_cloud_cover: float | None = None
    """Largest ``eo:cloud_cover`` in percent; products that do not state theirs are not chosen."""
    relative_orbit: int | None = None
    """Relative orbit."""
    datatake: str | None = None
    """Id of the datatake, with or without the baseline at its end."""
    predicate: Callable[[Item], bool] | None = None
    """Any condition on the item."""
    cql2: str | Mapping[str, Any] | None = None
    """Any condition in CQL2, text or JSON; only a STAC API can tell."""

    def __post_init__(self) -> None:
        if self.tiles is not None:
            object.__setattr__(self, "tiles", frozenset(tile(name).id for name in self.tiles))
        if self.ids is not None:
            object.__setattr__(self, "ids", frozenset(name.removesuffix(".SAFE") for name in self.ids))

    def takes_member(self, member: Held) -> bool:
        """Whether what the ledger says of a product permits it."""
        return (self.ids is None or member.product in self.ids) and (self.tiles is None or member.tile.id in self.tiles)

    def takes_layer(self, layer: Layer) -> bool:
        """Whether what the products of a layer have in common permits them."""
        return (self.relative_orbit is None or layer.relative_orbit == self.relative_orbit) and (
            self.datatake is None or self.datatake.rpartition("_N")[0] == layer.strip.datatake
            or self.datatake == layer.strip.datatake
        )  # fmt: skip

    @property
    def reads_items(self) -> bool:
        """Whether each product's item is needed to tell."""
        return self.max_cloud_cover is not None or self.predicate is not None

    def takes_item(self, item: Item) -> bool:
        """Whether a product's item permits it."""
        cover = item["properties"].get("eo:cloud_cover")
        if self.max_cloud_cover is not None and (cover is None or cover > self.max_cloud_cover):
            return False
        return self.predicate is None or bool(self.predicate(item))


_EVERYTHING: Final = Filter()


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for."""

    window: Bounds
    """The ground."""
    period: Period | None = None
    """When the datatake starts; None: ever."""
    wanted: Filter = _EVERYTHING
    """Further conditions."""


@dataclass(frozen=True, slots=True)
class Found:
    """A layer that has something in the window."""

    layer: Layer
    """What its products have in common."""
    holdings: Holdings
    """What its ledger says."""
    chosen: tuple[Held, ...]
    """Live products whose hull touches the window and that the filter took, by id; those too that no ledger knows."""


class Finder(Protocol):
    """Where products are found."""

    def find(self, archive: Archive, query: Query) -> tuple[Found, ...]:
        """Return the layers with chosen products, by name."""
        ...


@dataclass(frozen=True, slots=True)
class ArchiveFinder:
    """Finds products by what lies in the archive: names of ledgers, ledgers, items."""

    listing: Listing = field(default_factory=Listing, compare=False, repr=False)
    """Ids of the committed products, listed a moment ago."""

    def find(self, archive: Archive, query: Query) -> tuple[Found, ...]:
        """Return the layers with chosen products, by name.

        Raises
        ------
        BadRequestError
            If the filter is one that only a STAC API understands.
        InvalidArchiveError
            If a ledger or an item can't be understood.
        """
        if query.wanted.cql2 is not None:
            what = f"an archive alone can't tell {query.wanted.cql2!r}"
            raise BadRequestError(f"{archive.store.url}: CQL2 needs a STAC API; {what}")
        with ThreadPoolExecutor(1) as pool:
            listed = pool.submit(self.listing.ids, archive)  # meanwhile: of a store that is far away it takes longest
            mine = [name for name in archive.layers() if _zone_of(name) == query.window.zone.epsg]
            likely = [name for name in mine if near(sensed(name), query.period)]
            known = load_all(archive.store, likely)
            names = listed.result()
        others = [name for name in mine if name not in known]
        newcomers = newcomers_of(archive.store, names, known, others, query)
        return gathered(archive.store, known, newcomers, query)


@dataclass(frozen=True, slots=True)
class Foreseen:
    """A finder that was asked about several windows at once, before their answers are needed one by one."""

    answers: Mapping[Bounds, tuple[Found, ...]]
    """What was found, by window."""

    def find(self, archive: Archive, query: Query) -> tuple[Found, ...]:  # noqa: ARG002 - as other finders
        """Return the layers with chosen products, by name; KeyError if the window was not foreseen."""
        return self.answers[query.window]


def foresee(finder: Finder, archive: Archive, queries: Iterable[Query]) -> Foreseen:
    """Ask a finder several things at once: so many zones take as long as the slowest of them.

    Parameters
    ----------
    finder : Finder
        The finder.
    archive : Archive
        Where the objects are.
    queries : iterable of Query
        What will be looked for: windows alone differ.
    """
    asked = list(queries)
    found = in_threads(archive.store, lambda query: finder.find(archive, query), asked)
    return Foreseen({query.window: some for query, some in zip(asked, found, strict=True)})


def gathered(
    store: Store,
    known: Mapping[str, Holdings],
    newcomers: Iterable[Item],
    query: Query,
    names: Collection[str] | None = None,
) -> tuple[Found, ...]:
    """Return what is chosen of layers whose ledgers were read, and of products that no ledger knows.

    If names are given, they are the only products that may be chosen.
    """
    blocks = BlockRange.around(query.window)
    members = {name: list(holdings.members.values()) for name, holdings in known.items()}
    for item in newcomers:
        held = unsettled(item, f"{store.url}/{products.item_key(item['id'])}")
        members.setdefault(item["properties"]["abut:layer"], []).append(held)
    candidates = {
        name: touching
        for name, some in sorted(members.items())
        if (touching := [one for one in some if _may_be_chosen(one, blocks, query.wanted, names)])
    }
    layers = in_threads(store, lambda name: _layer(store, name, candidates[name]), candidates)
    taken = [
        (layer, candidates[layer.name])
        for layer in layers
        if layer is not None and _within(layer.time, query.period) and query.wanted.takes_layer(layer)
    ]
    chosen = _chosen(store, [one for _, some in taken for one in some], query.wanted)
    return tuple(
        Found(layer, known.get(layer.name, Holdings(layer.name, 0, {})), mine)
        for layer, some in taken
        if (mine := tuple(sorted((one for one in some if one.prefix in chosen), key=lambda one: one.product)))
    )


def locate(url: str | os.PathLike[str], token: str | None = None) -> tuple[Archive, Finder]:
    """Open an archive, and what finds products in it.

    Parameters
    ----------
    url : str or path
        A folder, ``s3://bucket/prefix``, or the URL of a service: its own (``https://host``) or that of its STAC API
        (``https://host/stac``); its objects are at ``/zarr`` beside the API.
    token : str, optional
        Bearer token of a service that needs one to read. Default: the environment's, see `abut.token`.

    Raises
    ------
    InvalidArchiveError
        If there is no archive, or the URL is not that of a service that has one.
    UnsupportedStoreError, CatalogueError
        If it can't be reached.
    """
    if str(url).lower().startswith(("http://", "https://")):
        from abut.finding_api import locate_service  # noqa: PLC0415 - which needs this module

        return locate_service(str(url), token)
    return open_archive(url), ArchiveFinder()


def _zone_of(layer: str) -> int | None:
    epsg = layer.partition(".")[0]
    return int(epsg) if epsg.isdecimal() else None


def _within(moment: datetime, period: Period | None) -> bool:
    return period is None or moment in period


def _touches(member: Held, blocks: BlockRange) -> bool:
    hull = hull_of(member.tile)
    return (
        hull.zone == blocks.zone
        and hull.p0 < blocks.p1
        and blocks.p0 < hull.p1
        and hull.q0 < blocks.q1
        and blocks.q0 < hull.q1
    )


def _may_be_chosen(member: Held, blocks: BlockRange, wanted: Filter, names: Collection[str] | None) -> bool:
    return (
        member.live
        and _touches(member, blocks)
        and wanted.takes_member(member)
        and (names is None or member.product in names)
    )


def _layer(store: Store, name: str, members: Iterable[Held]) -> Layer | None:
    """Return what products have in common, by the first that is still there."""
    for member in members:
        item = read_item(store, member.product)
        if item is not None:
            return layer_of(item, name, f"{store.url}/{products.item_key(member.product)}")
    return None


def _chosen(store: Store, members: list[Held], wanted: Filter) -> frozenset[str]:
    """Return the prefixes of the products whose items the filter takes."""
    if not wanted.reads_items:
        return frozenset(one.prefix for one in members)
    items = in_threads(store, lambda one: read_item(store, one.product), members)
    return frozenset(
        one.prefix for one, item in zip(members, items, strict=True) if item is not None and wanted.takes_item(item)
    )
