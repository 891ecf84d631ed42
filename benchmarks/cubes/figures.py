"""The figures: each is a ratio of one run, beside its target and what bounds it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from abut.connection import connect
from abut.counted import counted
from abut.lattice import BlockRange
from abut.layout import BAND
from abut.tiling import tile
from abut.window import tile_window
from benchmarks.cubes import snippets
from benchmarks.cubes.jobs import Given
from benchmarks.cubes.make import europe_by_zone
from benchmarks.cubes.measure import Taken, UnequalError, compare, lines_of_code, require_truth
from benchmarks.cubes.scene import BUFFER, DATE, DATES, LATER, MIDDLE, SEEN, TILES, around_corner, blocks, border
from benchmarks.table import EXACT, SHOWN, Row
from tests.test_view_scale import ground_of
from tests.toy import START

if TYPE_CHECKING:
    from abut.lattice import Bounds
    from benchmarks.cubes.scene import Size


@dataclass(frozen=True, slots=True)
class Place:
    """Where jobs read: locally, or behind the proxies."""

    name: str
    """Name in the tables."""
    archive: str
    """Folder of the archive, or URL of its service."""
    files: str
    """Folder of all else, or the URL at which it is served."""
    far: bool = False
    """Whether requests are counted."""

    def given(self, where: str, window: Bounds, bands: tuple[str, ...], **more: str | int | bool) -> Given:
        """Return what a job is told that reads from here."""
        edges = (window.left, window.bottom, window.right, window.top)
        proxy = (self.archive if where == self.archive else self.files) if self.far else ""
        return Given(where, edges, bands, window.zone.epsg, proxy=proxy, **{"day": DATE, **more})  # type: ignore[arg-type] # of their fields

    def url(self, name: str) -> str:
        """Return a file or folder as a URL."""
        return f"{self.files}/{name}" if self.far else (Path(self.files) / name).resolve().as_uri()


def edges_of(bounds: Bounds) -> list[int]:
    """Return left, bottom, right, top."""
    return [bounds.left, bounds.bottom, bounds.right, bounds.top]


def plan_by_hand(archive: str, bands: tuple[str, ...], out: Path) -> None:
    """Write down the keys and places of the objects that tile + buffer is made of: what the counterpart is given."""
    window = tile_window(MIDDLE, BUFFER)
    plan = connect(archive).plan(window, datetime=DATE, bands=bands)
    jobs = []
    for block in BlockRange.around(window):
        parts = plan.source.parts(0, block)
        if len(parts) != 1:
            raise UnequalError(f"{block} has {len(parts)} holders: the archive is not settled")
        jobs += [(parts[0].key(BAND[name]), name, edges_of(block.bounds)) for name in bands]
    out.write_text(json.dumps(jobs))


def windows(size: Size, place: Place, keys: Path) -> tuple[list[Row], dict[str, Taken]]:
    """Compare tile + buffer with the tile alone and with reading its objects by hand, all bands."""
    window, foot = tile_window(MIDDLE, BUFFER), tile(MIDDLE).footprint
    wide = place.given(place.archive, window, size.bands, tile=MIDDLE, buffer=BUFFER)
    alone, more = "tile alone", "tile + 10 km"
    jobs = {
        alone: ("abut_tile", place.given(place.archive, foot, size.bands, tile=MIDDLE)),
        more: ("abut_tile", wide),
        "by hand": ("by_hand", replace(wide, extra=str(keys))),
    }
    taken = compare(jobs, size.rounds)
    require_truth(taken[more], "truth", replace(wide, proxy=""))
    objects = len(BlockRange.around(window)) / len(BlockRange.around(foot))
    what = f"{place.name}: tile + 10 km"
    area = f"area {window.area / foot.area:.2f}, objects {objects:.2f}; {taken[more].told}"
    rows = [
        Row(f"{what} / tile alone, time", taken[more].wall / taken[alone].wall, "<= 1.6", area),
        Row(f"{what} / tile alone, CPU", taken[more].cpu / taken[alone].cpu, SHOWN, area),
        Row(f"{what} / by hand, time", taken[more].wall / taken["by hand"].wall, "<= 1.4", taken["by hand"].told),
        Row(f"{what} / by hand, CPU", taken[more].cpu / taken["by hand"].cpu, "<= 1.4", "by hand: nothing is planned"),
    ]
    return rows, taken


def counterparts(size: Size, place: Place) -> tuple[list[Row], dict[str, Taken]]:
    """Compare the archive with COGs, JP2s, per-tile and zone-wide Zarr: the same window, few bands."""
    given = place.given(place.archive, tile_window(MIDDLE, BUFFER), size.few, tile=MIDDLE)
    other = replace(given, where=f"{place.files}/cog", proxy=place.files if place.far else "")
    stores = json.dumps([place.url(f"tiles/T{name}_.zarr") for name in TILES])
    jobs = {
        "archive": ("archive", given),
        "odc-stac": ("odc_cogs", other),
        "per-tile Zarr": ("per_tile", replace(other, extra=stores)),
        "zone-wide Zarr": ("zone_wide", replace(other, where=place.url("zone.zarr"))),
    }
    taken = compare(jobs, size.rounds)
    one, odc = taken["archive"], taken["odc-stac"]
    what = f"{place.name}: {', '.join(size.few)} of tile + 10 km"
    rows = [
        Row(f"{what} / odc-stac on COGs, CPU", one.cpu / odc.cpu, "<= 0.40", f"odc-stac decodes overlap; {odc.told}"),
        Row(f"{what} / odc-stac on COGs, time", one.wall / odc.wall, SHOWN, one.told),
    ]
    if not place.far:
        images = replace(given, where=f"{place.files}/jp2")
        taken |= (both := compare({"archive": jobs["archive"], "JP2s": ("safe_jp2s", images)}, 1))
        jp2s, note = both["JP2s"], "each pixel is asked of one JP2; OpenJPEG"
        rows.append(Row(f"{what} / JP2s with rasterio, CPU", one.cpu / jp2s.cpu, "<= 0.033", f"{note}; {jp2s.told}"))
        rows.append(Row(f"{what} / JP2s with rasterio, time", one.wall / jp2s.wall, SHOWN, one.told))
        taken["archive"] = one
    return rows, taken


def layouts(near: dict[str, Taken], far: dict[str, Taken]) -> list[dict[str, str | float]]:
    """Return the table of item 4: per-tile Zarr, the archive, zone-wide Zarr."""
    folder = Path(str(snippets.__file__)).parent
    table: list[dict[str, str | float]] = []
    for name, module in (("per-tile Zarr", "per_tile"), ("archive", "archive"), ("zone-wide Zarr", "zone_wide")):
        table.append(
            {
                "layout": name,
                "lines of code": lines_of_code(folder / f"{module}.py"),
                "requests": far[name].requests,
                "MB": far[name].bytes / 1e6,
                "local s": near[name].wall,
                "local CPU s": near[name].cpu,
                "HTTP s": far[name].wall,
                "HTTP CPU s": far[name].cpu,
            }
        )
    return table


def across(size: Size, place: Place) -> list[Row]:
    """Compare tile + buffer at the border of the zone with and without the zone beside."""
    at, _ = border(size)
    given = place.given(place.archive, tile_window(at, BUFFER), size.few, tile=at.id, buffer=BUFFER)
    jobs = {
        "with the zone beside": ("abut_tile", given),
        "own zone alone": ("abut_tile", replace(given, across=False)),
    }
    taken = compare(jobs, size.rounds, equal=False)
    both, own = taken.values()
    share = "the rim beyond the tile is reprojected from its neighbour zone"
    return [Row(f"{place.name}: {at} + 10 km, zone beside too / alone, time", both.wall / own.wall, SHOWN, share)]


def time_series(size: Size, near: Place, far: Place) -> list[Row]:
    """Count what a series of a small window reads, and compare with what `explain` says and with what it touches."""
    window, bands = around_corner(size), size.few[:1]
    connection = connect(near.archive)
    store, count = counted(connection.archive.store)
    watched = replace(connection, archive=replace(connection.archive, store=store))
    options = {"datetime": LATER, "bands": bands, "resolution": size.finest}
    cube = watched.cube(window=window, **options)  # type: ignore[arg-type] # of their keywords
    keys = [key for key in count.keys.elements() if "/c/" in key]
    [explained] = connection.explain(window, **options).zones  # type: ignore[arg-type] # as above
    if not (len(set(keys)) == len(keys) == explained.most_objects == explained.least_objects):
        raise UnequalError(f"{len(keys)} objects were read, explain says {explained.most_objects}")
    if cube.sizes["time"] != DATES:
        raise UnequalError(f"{cube.sizes['time']} dates instead of {DATES}")
    touched = DATES * len(BlockRange.around(window))
    jobs = {
        "series, local": ("series", near.given(near.archive, window, bands, day=LATER)),
        "series, HTTP": ("series", far.given(far.archive, window, bands, day=LATER)),
    }
    taken = compare(jobs, size.rounds)
    one, other = taken.values()
    pixels = "x".join(map(str, window.shape(size.finest)))
    what = f"{DATES} dates of {pixels} px around a corner of four blocks"
    return [
        Row(f"{what}: objects read / blocks that it touches", len(keys) / touched, EXACT, f"{touched} blocks"),
        Row(f"{what}: seconds, local", one.wall, SHOWN, one.told),
        Row(f"{what}: seconds, {far.name}", other.wall, SHOWN, f"{len(keys)} objects, the rest plans; {other.told}"),
    ]


def planning(size: Size, month: Path) -> list[Row]:
    """Plan a month of Europe from ledgers alone."""
    zones = europe_by_zone(size.tiles)
    grounds = {zone: ground_of(some) for zone, some in zones.items()}
    first = next(iter(grounds.values()))
    told = json.dumps([[zone.epsg, *edges_of(ground)] for zone, ground in grounds.items()])
    place = Place("local", str(month), "")
    taken = compare(
        {"planning": ("plan_month", place.given(str(month), first, (), tile="all", extra=told))}, size.rounds
    )
    one = taken["planning"]
    layers = len(connect(month).archive.layers())
    what = f"planning a month of {sum(map(len, zones.values())):,} tiles, seconds"
    return [Row(what, one.wall, "< 5", f"{layers:,} ledgers to parse; {one.told}")]


def growth(size: Size, place: Place, out: Path) -> tuple[list[Row], list[dict[str, float]]]:
    """Write growing cubes lazily to Zarr: memory has to stay, time to grow with area and with dates."""
    curve: list[dict[str, float]] = []
    areas = [((rows, columns), 1) for rows, columns in (SEEN, (10, 10), (10, 20), (20, 20))]
    for shape, dates in [*areas, *((SEEN, dates) for dates in (1, 2, 5, 10))]:
        last = START + timedelta(days=5 * dates + 1)
        by_date = len(curve) >= len(areas)
        day = f"{LATER.partition('/')[0]}/{last:%Y-%m-%d}" if by_date else DATE
        given = place.given(
            place.archive, blocks(*shape), size.few, day=day, across=False, extra=str(out / "written.zarr")
        )
        name = f"{shape[0] * shape[1]} blocks, {dates} dates, lazily"
        taken = compare({name: ("to_zarr", given)}, size.rounds)[name]
        require_truth(taken, "truth_often", replace(given, extra=str(dates)))
        curve.append(
            {"blocks": shape[0] * shape[1], "dates": dates, "s": taken.wall, "CPU s": taken.cpu, "peak MB": taken.peak}
        )
    rows = []
    for what, low, high in (("area", curve[0], curve[len(areas) - 1]), ("dates", curve[len(areas)], curve[-1])):
        peaks = f"{low['peak MB']:.0f} and {high['peak MB']:.0f} MB"
        rows.append(Row(f"peak memory at 10 x the {what}", high["peak MB"] / low["peak MB"], "<= 1.2", peaks))
        seconds = f"{low['s']:.1f} and {high['s']:.1f} s"
        rows.append(Row(f"time at 10 x the {what} / 10 x the time", high["s"] / low["s"] / 10, "about 1", seconds))
    return rows, curve
