"""A zone as one Zarr hierarchy that holds nothing: its chunks are objects of the archive's products.

``xr.open_datatree(abut.zone_store(archive, zone=32632, datetime="2025-07"), engine="zarr")``
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self, override

from zarr.abc.store import OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest
from zarr.storage import ObjectStore

from abut.asked import filter_of, parse_bands
from abut.errors import BadRequestError, MissingObjectError, NoDataError
from abut.finding import locate
from abut.lattice import RESOLUTIONS
from abut.layout import BANDS
from abut.period import Period, parse_period
from abut.pixels import PLANS
from abut.unusable import explained
from abut.view import select
from abut.zone_chunks import ZoneChunks
from abut.zone_layout import BandChunk, ZoneLayout, parse_zone, zone_blocks
from abut.zone_metadata import documents

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterator, Iterable, Iterator

    from zarr.abc.store import ByteRequest
    from zarr.core.buffer import Buffer, BufferPrototype

    from abut.lattice import Zone
    from abut.layout import Band
    from abut.store import Store as Objects
    from abut.view import View
    from abut.zone_chunks import Counts, ZoneSource


def zone_store(
    url: str | os.PathLike[str],
    zone: Zone | int | str,
    datetime: Any = None,
    *,
    bands: Iterable[str | Band] | str | None = None,
    resolution: int | None = None,
    masks: bool = True,
    group: Any = "datatake",
    baseline: str | None = None,
    token: str | None = None,
    **wanted: Any,
) -> ZoneStore:
    """Return a zone over some time as a read-only store of Zarr, for xarray, zarr-python, Dask ...

    Parameters
    ----------
    url : str or path
        The archive: a folder, ``s3://bucket/prefix``, or the URL of a service.
    zone : Zone, int or str
        EPSG code of the UTM zone, such as 32632.
    datetime : period, optional
        When datatakes start, see `abut.period.parse_period`. Default: ever.
    bands : iterable of str, or str, optional
        Names of bands. Default: all.
    resolution : int, optional
        10, 20 or 60: only the bands of this pixel size, as arrays of the root, for ``xr.open_zarr(store)``. Default:
        groups ``r10m``, ``r20m`` and ``r60m``, for ``xr.open_datatree(store, engine="zarr")`` or
        ``xr.open_zarr(store, group="r10m")``.
    masks : bool
        Whether there are arrays of masks beside those of the bands: ``b02_detector_footprint``, ``b02_quality``,
        ``l1c_classification``. They cost nothing until they are read.
    group : {"datatake", "solar_day"}
        What makes a step in time; the solar day is that of the zone's middle.
    baseline : str, optional
        Processing baseline, such as ``"05.11"``. Default: the newest of each strip.
    token : str, optional
        Bearer token of a service that needs one to read. Default: that of the environment, ``ABUT_TOKEN``.
    **wanted
        Filters, as those of `abut.connection.Connection.cube`: ids, tiles, max_cloud_cover, relative_orbit, datatake,
        predicate, cql2.

    Returns
    -------
    ZoneStore
        Arrays ``b02`` ... (time, y, x) of uint16 DN over the whole zone, one chunk for each block and step.

    Raises
    ------
    InvalidWindowError, InvalidPeriodError, BadRequestError
        If zone, period, bands, pixel size or a filter have no meaning.
    NoDataError
        If no product is found.
    InvalidArchiveError, UnsupportedStoreError, CatalogueError
        If there is no archive, or it can't be reached.
    """
    chosen = parse_bands(bands)
    view = zone_view(url, zone, datetime, group=group, baseline=baseline, token=token, **wanted)
    return ZoneStore.of(view, bands=chosen, resolution=resolution, masks=masks)


def zone_view(
    url: str | os.PathLike[str],
    zone: Zone | int | str,
    datetime: Any = None,
    *,
    group: Any = "datatake",
    baseline: str | None = None,
    token: str | None = None,
    **wanted: Any,
) -> View:
    """Return who holds the blocks of a zone over some time; parameters and errors as `zone_store`."""
    where, period = parse_zone(zone), parse_period(datetime)
    unknown = sorted(set(wanted) - FILTERS)
    if unknown:
        raise BadRequestError(f"{unknown[0]!r} is no option of a zone; there are {', '.join(sorted(FILTERS))}")
    archive, finder = locate(url, token)
    view = select(
        archive,
        finder,
        zone_blocks(where).bounds,
        period,
        wanted=filter_of(wanted),  # type: ignore[arg-type] # checked above
        baseline=baseline,
        group=group,
    )
    if not view.slots:
        when = "at any time" if period == Period() else f"in {period}"
        raise NoDataError(f"{archive.store.url}: no product of {where} {when} (of those asked for)")
    return view


FILTERS = frozenset({"ids", "tiles", "max_cloud_cover", "relative_orbit", "datatake", "predicate", "cql2"})
"""Keywords that choose products."""


class ZoneStore(Store):
    """A zone view as a store of Zarr; get one with `zone_store`, or of any source with `ZoneStore.of`.

    It can be pickled as far as the archive's store can (not ``memory://``).
    """

    def __init__(self, chunks: ZoneChunks, static: dict[str, bytes]) -> None:
        super().__init__(read_only=True)
        self.chunks = chunks
        self.static = static
        self._objects = ObjectStore(chunks.current.source.store.backend, read_only=True)

    @classmethod
    def of(
        cls,
        source: ZoneSource,
        *,
        bands: Iterable[Band] = BANDS,
        resolution: int | None = None,
        masks: bool = True,
        store: Objects | None = None,
        about: dict[str, Any] | None = None,
    ) -> Self:
        """Return the store of a source of blocks that knows the whole zone.

        Parameters
        ----------
        source : ZoneSource
            Who holds the blocks.
        bands, resolution, masks
            See `zone_store`.
        store : Store, optional
            The archive that the products are in, for masks. Default: the source's.
        about : dict, optional
            What the root says of itself, JSON values.

        Raises
        ------
        BadRequestError
            If there are no bands of the pixel size, or it is none.
        ValueError
            If the source is not one of the whole zone.
        """
        if resolution is not None and resolution not in RESOLUTIONS:
            raise BadRequestError(f"resolution {resolution!r} is not 10, 20 or 60 m, or None for groups")
        chosen = tuple(band for band in bands if resolution in (None, band.resolution))
        if not chosen:
            raise BadRequestError(f"resolution {resolution}: no band that was asked for has it")
        layout = ZoneLayout(source.zone, len(source.slots), chosen, masks, resolution)
        static = documents(
            layout, source.slots, source.profile, {"notes": list(source.notes), **(about or {})}, source.named
        )
        return cls(ZoneChunks(source, layout, store or source.store), static)

    @property
    def counts(self) -> Counts:
        """How many chunks were passed through, merged, absent ... so far, in this process."""
        return self.chunks.counts

    def __getstate__(self) -> dict[str, Any]:
        return {"chunks": self.chunks, "static": self.static}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["chunks"], state["static"])  # type: ignore[misc] # as pickled

    @override
    def __eq__(self, value: object) -> bool:
        if not isinstance(value, ZoneStore):
            return False
        mine, other = self.chunks.current.source, value.chunks.current.source
        return self.static == value.static and self.chunks.layout == value.chunks.layout and mine == other

    __hash__ = None  # type: ignore[assignment] # as other stores that compare

    def __str__(self) -> str:
        return f"{self.chunks.store.url} as {self.chunks.layout.zone}"

    def __repr__(self) -> str:
        return f"ZoneStore({self})"

    @override
    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        """Return an object's bytes, or a part of them; None if it is absent.

        Raises
        ------
        MissingObjectError
            If an object that somebody should hold is not there, and planning again names no other.
        """
        data = self.static.get(key)
        if data is None:
            chunk = self.chunks.layout.chunk(key)
            if chunk is None:
                return None
            if isinstance(chunk, BandChunk):
                found = await self._passed(chunk, prototype, byte_range)
                if found is not None:
                    return found
            data = await asyncio.to_thread(self.chunks.make, chunk)
        return None if data is None else prototype.buffer.from_bytes(_part(data, byte_range))

    async def _passed(
        self, chunk: BandChunk, prototype: BufferPrototype, byte_range: ByteRequest | None
    ) -> Buffer | None:
        """Return the object that is a chunk; None if it has no holder, or several."""
        for _ in range(PLANS + 1):
            passing = self.chunks.passing(chunk)
            if passing is None:
                return None
            plan, key = passing
            where = f"{plan.store.url}/{key}"
            with explained(where):
                found = await self._objects.get(key, prototype, byte_range)
            if found is not None:
                self.chunks.count("passed")
                return found
            if await asyncio.to_thread(self.chunks.current.renew, plan) is plan:
                break
        raise MissingObjectError(f"{where}: no such object")

    @override
    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """Return parts of several objects."""
        return list(await asyncio.gather(*(self.get(key, prototype, part) for key, part in key_ranges)))

    @override
    async def exists(self, key: str) -> bool:
        """Whether there is an object; the archive is not asked."""
        chunk = self.chunks.layout.chunk(key)
        return key in self.static or (chunk is not None and self.chunks.held(chunk))

    @property
    @override
    def supports_writes(self) -> bool:
        """It is read only."""
        return False

    @property
    @override
    def supports_deletes(self) -> bool:
        """It is read only."""
        return False

    @property
    @override
    def supports_listing(self) -> bool:
        """It can be listed."""
        return True

    @override
    async def set(self, key: str, value: Buffer) -> None:
        """Refuse: it is read only."""
        self._check_writable()

    @override
    async def delete(self, key: str) -> None:
        """Refuse: it is read only."""
        self._check_writable()

    @override
    async def list(self) -> AsyncIterator[str]:
        """List all keys, those of the chunks by array, step and block."""
        for key in self._keys(""):
            yield key

    @override
    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """List the keys that begin with something."""
        for key in self._keys(prefix):
            yield key

    @override
    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """List what lies directly in a folder."""
        folder = f"{prefix.rstrip('/')}/" if prefix.strip("/") else ""
        if folder.rstrip("/") in self.chunks.layout.arrays:
            yield "zarr.json"
            yield "c"
            return
        names = self._keys(folder) if "/c/" in folder else (key for key in self.static if key.startswith(folder))
        for name in dict.fromkeys(key.removeprefix(folder).partition("/")[0] for key in names):
            yield name

    def _keys(self, prefix: str) -> Iterator[str]:
        yield from (key for key in self.static if key.startswith(prefix))
        for path in self.chunks.layout.arrays:
            stem = f"{path}/c/"
            if stem.startswith(prefix) or prefix.startswith(stem):
                yield from (key for key in self._chunk_keys(path) if key.startswith(prefix))

    def _chunk_keys(self, path: str) -> Iterator[str]:
        layout = self.chunks.layout
        what = layout.arrays[path]
        if isinstance(what, tuple):
            yield from (f"{path}/c/{number}" for number in range(layout.axis_chunks(what[0])))
            return
        for slot in range(layout.steps):
            if what is None:
                yield f"{path}/c/{slot}/0/0"
                continue
            yield from (layout.key(path, slot, block) for block in self.chunks.held_blocks(slot))


def _part(data: bytes, byte_range: ByteRequest | None) -> bytes:
    if isinstance(byte_range, RangeByteRequest):
        return data[byte_range.start : byte_range.end]
    if isinstance(byte_range, OffsetByteRequest):
        return data[byte_range.offset :]
    if isinstance(byte_range, SuffixByteRequest):
        return data[-byte_range.suffix :]
    return data
