"""`abut list`."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from abut.period import FIRST, LAST, parse_period
from abut.tiling import tile
from catalog import cql2
from catalog.holding import holding_of
from catalog.item import COLLECTION_ID
from catalog.literals import box
from catalog.opening import open_own
from catalog.owner import require_own
from catalog.search import Search
from catalog.sqlite import open_catalogue as open_sqlite
from cli.opening import open_with_catalogue
from cli.options import archive_option, debug_option, json_option
from cli.output import print_json, print_table, size
from ingest.listing import stored_items

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from abut.archive import Archive
    from catalog.sqlite import Catalogue

_MOMENT: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Line:
    """One product of the list."""

    product: str
    """Product id."""
    tile: str
    """Tile."""
    datetime: str
    """Start of the datatake."""
    datatake: str
    """Id of the datatake."""
    baseline: str
    """Processing baseline."""
    cloud_cover: float | None
    """Clouds in percent."""
    held: int
    """Blocks that it holds."""
    released: int
    """Blocks that other products hold for it."""
    data_bytes: int
    """Bytes of its band objects as ingested; released blocks are counted."""
    withdrawn: bool
    """Whether it was withdrawn."""


@click.command
@archive_option()
@click.option("--tile", "tile_id", help="Only this tile, such as 32TNM.")
@click.option("--bbox", metavar="W,S,E,N", help="Only what touches this box, in degrees.")
@click.option("--datetime", "times", metavar="FROM[/TO]", help="Only datatakes that started then.")
@json_option("Print one JSON object a line, one for each product.")
@debug_option()
def command(archive: str, tile_id: str | None, bbox: str | None, times: str | None, *, as_json: bool) -> None:
    """List the products of an archive.

    By time and id; withdrawn ones are included.

    \b
    abut list --archive l1c
    abut list --archive l1c --tile 32TNM --datetime 2025-08-01/2025-08-31
    abut list --archive l1c --bbox 10,46,11,47 --json
    abut list --archive l1c --datetime 2025-08
    abut list --archive l1c --datetime 2025-08-01T10:00:00Z/..
    """  # noqa: D301 - \b is click's mark before text that is not to be wrapped
    with _catalogue(open_with_catalogue(archive), tile_id) as catalogue:
        try:
            found = catalogue.search(_search(tile_id, bbox, times), withdrawn=None)
        except ValueError as error:
            raise click.UsageError(str(error)) from error
        lines = map(_line, found)
        if as_json:
            for line in lines:
                print_json(asdict(line), indent=None)
        else:
            print_table(
                ("product", "tile", "datatake", "baseline", "cloud", "held", "released", "ingested", "withdrawn"),
                (_cells(line) for line in lines),
            )


@contextmanager
def _catalogue(archive: Archive, tile_id: str | None) -> Iterator[Catalogue]:
    """Open the archive's catalogue, or one made for the moment from what is listed elsewhere, or lies in the store."""
    path = archive.catalogue_path
    if path is not None and path.is_file():
        with open_sqlite(path, create=False) as catalogue:
            require_own(catalogue, archive, claim=False)
            yield catalogue
        return
    code = None if tile_id is None else f"MGRS-{tile(tile_id).id}"
    with (
        tempfile.TemporaryDirectory(prefix="abut-") as folder,
        open_sqlite(Path(folder, "catalog.sqlite")) as catalogue,
    ):
        catalogue.upsert_many(item for item in _items(archive) if code in (None, item["properties"]["grid:code"]))
        yield catalogue


def _items(archive: Archive) -> Iterator[dict[str, Any]]:
    if not archive.catalogue or archive.catalogue_path is not None:
        yield from stored_items(archive)
        return
    with open_own(archive, create=False, claim=False) as catalogue:
        yield from catalogue.items(COLLECTION_ID, withdrawn=True)


def _search(tile_id: str | None, bbox: str | None, times: str | None) -> Search:
    """Return what is looked for.

    Raises
    ------
    ValueError
        If a value has no meaning.
    """
    period = parse_period(times or None)
    return Search(
        bbox=_box(bbox) if bbox else None,
        start=None if period.start == FIRST else period.start,
        stop=None if period.end == LAST else period.end - _MOMENT,
        filter=cql2.from_query({"grid:code": {"eq": f"MGRS-{tile(tile_id).id}"}}) if tile_id else None,
    )


def _box(text: str) -> tuple[float, float, float, float]:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        raise click.UsageError(f"--bbox {text!r} is not W,S,E,N in degrees, such as 10,46,11,47") from None
    return box(numbers)


def _line(item: Mapping[str, Any]) -> Line:
    properties, holding = item["properties"], holding_of(item)
    return Line(
        product=item["id"],
        tile=properties["grid:code"].removeprefix("MGRS-"),
        datetime=properties["datetime"],
        datatake=properties["s2:datatake_id"],
        baseline=properties["processing:version"],
        cloud_cover=properties.get("eo:cloud_cover"),
        held=len(holding.held),
        released=len(holding.holders),
        data_bytes=properties["abut:data_bytes"],
        withdrawn=holding.withdrawn,
    )


def _cells(line: Line) -> tuple[str, ...]:
    return (
        line.product,
        line.tile,
        line.datatake,
        line.baseline,
        "-" if line.cloud_cover is None else f"{line.cloud_cover:.1f}",
        str(line.held),
        str(line.released),
        size(line.data_bytes),
        "yes" if line.withdrawn else "",
    )
