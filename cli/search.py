"""`abut search`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click
from click.core import ParameterSource

from abut.completion import complete
from abut.errors import AbutError
from abut.period import parse_period
from abut.tiling import tile as tile_of
from catalog import cql2
from catalog.fields import chosen
from catalog.literals import box
from catalog.search import Fields
from cli.finding import found_by_api, found_in_archive
from cli.options import debug_option
from cli.output import print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_PAGE: Final = 250
_LATEST: Final[cql2.Node] = {
    "op": "or",
    "args": [
        {"op": "=", "args": [{"property": "deprecated"}, False]},
        {"op": "isNull", "args": [{"property": "deprecated"}]},
    ],
}
_COLUMNS: Final = ("item", "tile", "time", "cloud", "orbit", "baseline", "")


@click.command(
    epilog="Exit status: 0 it was searched, whether anything was found or not; 1 the API can't; 2 bad usage."
)
@click.option("--archive", "-a", envvar="ABUT_ARCHIVE", show_envvar=True, metavar="DIR|URL", help="An archive.")
@click.option(
    "--url", envvar="ABUT_STAC_URL", show_envvar=True, metavar="URL", help="A STAC API, instead of an archive."
)
@click.option("--collection", "collections", multiple=True, help="Only this collection; may be repeated.")
@click.option("--tile", "tiles", multiple=True, help="Only this tile, such as 32TNM; may be repeated.")
@click.option("--bbox", metavar="W,S,E,N", help="Only what touches this box, in degrees; W > E crosses 180.")
@click.option("--datetime", "times", metavar="FROM[/TO]", help="Years, months, days or RFC 3339; .. for an open end.")
@click.option("--cloud", type=float, metavar="PERCENT", help="At most so many clouds.")
@click.option("--filter", "expression", metavar="CQL2", help="Further conditions, in CQL2 text or JSON.")
@click.option("--latest", is_flag=True, help="Leave superseded versions out.")
@click.option("--sortby", metavar="KEYS", help="Such as -eo:cloud_cover,+datetime.  [default: latest first]")
@click.option("--max-items", type=click.IntRange(1), metavar="N", help="Stop after so many.  [default: all]")
@click.option("--limit", type=click.IntRange(1, 10_000), default=_PAGE, metavar="N", help="Items of a page.")
@click.option("--complete", "whole", is_flag=True, help="Add the products that hold blocks of those found.")
@click.option("--fields", metavar="NAMES", help="Only these, such as id,properties.datetime,-links; for JSON.")
@click.option("--ids", "form", flag_value="ids", help="Print ids, one a line.")
@click.option("--ndjson", "form", flag_value="ndjson", help="Print items, one a line.")
@click.option("--json", "form", flag_value="json", help="Print one GeoJSON feature collection.")
@debug_option()
def command(
    *,
    archive: str | None,
    url: str | None,
    form: str | None,
    whole: bool,
    fields: str | None,
    max_items: int | None,
    **asked: Any,
) -> None:
    """Find products: in an archive's catalogue, or through a STAC API.

    Both are asked the same. Hrefs of what is found are absolute.

    \b
    abut search --archive l1c --tile 32TNM --cloud 20 --latest
    abut search --url https://example.org/stac --bbox 10,46,11,47 --datetime 2025-08 --json
    abut search --archive l1c --filter "platform = 'sentinel-2c'" --sortby eo:cloud_cover --max-items 5 --ids
    """  # noqa: D301 - \b is click's mark before text that is not to be wrapped
    context = click.get_current_context()
    if url and archive and context.get_parameter_source("archive") == ParameterSource.ENVIRONMENT:
        archive = None
    if (archive is None) == (url is None):
        raise click.UsageError("name either --archive or --url")
    if url and not url.startswith(("http://", "https://")):
        raise click.UsageError(f"--url {url!r} is not the URL of a STAC API")
    try:
        values = _values(**asked)
        source = found_by_api(url, values, max_items) if url else found_in_archive(str(archive), values, max_items)
        with source as items:
            _print(_chosen(_completed(items) if whole else items, fields), form)
    except AbutError:
        raise
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def _values(
    *,
    collections: tuple[str, ...],
    tiles: tuple[str, ...],
    bbox: str | None,
    times: str | None,
    cloud: float | None,
    expression: str | None,
    latest: bool,
    sortby: str | None,
    limit: int,
) -> dict[str, Any]:
    """Return the parameters of a search as STAC API names them; all conditions are one filter."""
    is_json = expression is not None and expression.lstrip().startswith("{")
    condition = cql2.both(
        _property("in", "grid:code", [f"MGRS-{tile_of(name).id}" for name in tiles]) if tiles else None,
        None if cloud is None else _property("<=", "eo:cloud_cover", cloud),
        _LATEST if latest else None,
        cql2.parsed(expression, "cql2-json" if is_json else "cql2-text") if expression else None,
    )
    values = {
        "collections": list(collections),
        "bbox": _box(bbox) if bbox else None,
        "datetime": parse_period(times).interval if times else None,
        "filter": condition,
        "filter-lang": "cql2-json" if condition else None,
        "sortby": sortby,
        "limit": limit,
    }
    return {name: value for name, value in values.items() if value}


def _property(operator: str, name: str, value: Any) -> cql2.Node:
    return {"op": operator, "args": [{"property": name}, value]}


def _box(text: str) -> list[float]:
    try:
        return list(box([float(part) for part in text.split(",")]))
    except ValueError:
        raise ValueError(f"--bbox {text!r} is not W,S,E,N in degrees, such as 10,46,11,47") from None


def _completed(items: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield items and the holders of their blocks, once all are found."""
    for item in complete(items):
        yield item.to_dict(transform_hrefs=False)


def _chosen(items: Iterable[dict[str, Any]], names: str | None) -> Iterable[dict[str, Any]]:
    if not names:
        return items
    parts = [name.strip() for name in names.split(",") if name.strip()]
    fields = Fields(
        include=frozenset(name.removeprefix("+") for name in parts if not name.startswith("-")),
        exclude=frozenset(name[1:] for name in parts if name.startswith("-")),
    )
    return (chosen(item, fields) for item in items)


def _print(items: Iterable[dict[str, Any]], form: str | None) -> None:
    if form == "ids":
        for item in items:
            click.echo(item["id"])
    elif form == "ndjson":
        for item in items:
            print_json(item, indent=None)
    elif form == "json":
        print_json({"type": "FeatureCollection", "features": list(items)})
    else:
        print_table(_COLUMNS, map(_cells, items))


def _cells(item: Mapping[str, Any]) -> tuple[str, ...]:
    properties = item.get("properties", {})
    cloud, orbit = properties.get("eo:cloud_cover"), properties.get("sat:relative_orbit")
    return (
        item["id"],
        str(properties.get("grid:code", "-")).removeprefix("MGRS-"),
        str(properties.get("datetime") or properties.get("start_datetime") or "-")[:19],
        "-" if cloud is None else f"{cloud:.1f}",
        "-" if orbit is None else str(orbit),
        str(properties.get("processing:version", "-")),
        "superseded" if properties.get("deprecated") else "",
    )
