"""`abut run`."""

from __future__ import annotations

import os
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from click.core import ParameterSource

from abut.errors import BadRequestError
from cli.asking import connected
from cli.options import Common, debug_option, json_option
from cli.output import aside

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from workflows.runs.workflow import Workflow

_PLACES: Final = ("tile", "product", "tiles", "bbox")
_OUT: Final = click.Path(path_type=Path)


@click.command
@click.argument("name", required=False)
@click.argument("safes", nargs=-1, metavar="[SAFE]...", type=_OUT)
@click.option("--list", "listing", is_flag=True, help="List workflows, what they need, and what can be set.")
@click.option(
    "--archive",
    "-a",
    envvar="ABUT_ARCHIVE",
    show_envvar=True,
    metavar="DIR|URL",
    help="The archive: a folder, s3://bucket/prefix, or the URL of a service (`abut serve`).",
)
@click.option("--tile", metavar="TILE", help="A tile, such as 32TNM.")
@click.option("--product", metavar="ID", help="A product: its tile, with what its datatake saw around it.")
@click.option("--tiles", metavar="TILES", help="Several tiles, with commas, as one Zarr of the zone; restartable.")
@click.option("--bbox", metavar="W,S,E,N", help="A box, in degrees or as --crs says.")
@click.option("--crs", metavar="CRS", help="What the box is written in.  [default: EPSG:4326]")
@click.option("--core", metavar="W,S,E,N", help="Part of the tile: easting and northing in metres, multiples of 60.")
@click.option("--datetime", "period", metavar="FROM[/TO]", help="Years, months, days or RFC 3339; .. for an open end.")
@click.option("--baseline", metavar="NUMBER", help="Processing baseline, such as 05.11.  [default: newest]")
@click.option("--across", is_flag=True, help="Fill from other zones, resampled: results differ there.")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="Set a parameter of the workflow.")
@click.option("--radius", metavar="LENGTH", help="How far a function of your own looks.  [default: 0]")
@click.option("--bands", metavar="NAMES", help="What it needs, such as B02,B8A.  [default: all]")
@click.option("--buffer", metavar="LENGTH", help="Ground to read around.  [default: what the workflow needs]")
@click.option("--partial", is_flag=True, help="Do with less ground than the workflow looks at.")
@click.option("--threads", type=click.IntRange(1), metavar="N", help="Threads.  [default: cores, at most 4]")
@click.option("--workers", type=click.IntRange(0), metavar="N", help="Tasks at once, with --tiles.")
@click.option("--scheduler", metavar="ADDRESS", help="A Dask scheduler that runs them, with --tiles.")
@click.option("--out", metavar="NAME", help="x.zarr, x.zarr.zip, x.nc, x.tif; without a suffix a folder of GeoTIFFs.")
@click.option("--variables", metavar="NAMES", help="What to write.  [default: all; to x.tif the first]")
@click.option("--overwrite", is_flag=True, help="Replace a result that is there, when the new one is complete.")
@click.option("--compare", is_flag=True, help="Compare the results of SAFE products and of an archive of them.")
@click.option("--command", "program", metavar="TEXT", help="Compare what a program writes: 'prog {safe} {out}'.")
@click.option("--certificate", metavar="FILE", type=_OUT, help="Where --compare writes its verdict as JSON.")
@click.option("--maps", metavar="DIR", type=_OUT, help="Where --compare writes pictures of what differs.")
@click.option("--keep", metavar="DIR", type=_OUT, help="Where --compare keeps the archive that it makes.")
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), metavar="S", help="Seconds for a --command.")
@click.option("--twice", is_flag=True, help="Run a --command on the original twice: does it repeat itself?")
@json_option()
@debug_option()
def command(**given: Any) -> int:
    """Run a workflow on ground of an archive, or prove that it gives what it gives on SAFE.

    A workflow is one of `abut run --list`, or a function of your own, package.module:function, that is called with the
    digital numbers of a moment (an xarray.DataTree) and returns something of xarray with y and x.

    \b
    abut run --list
    abut run clouds --archive l1c --tile 32TNM --datetime 2025-07 --out clouds.zarr
    abut run index --archive l1c --bbox 11,46,11.5,46.5 --datetime 2025-07-03 --set index=ndvi,evi --out indices
    abut run mine:snow --bands B03,B11 --archive l1c --product S2B_MSIL1C_... --out snow.tif
    abut run clouds --compare *.SAFE
    abut run --command 'gdal_translate {safe} {out}/x.tif' --compare one.SAFE
    """  # noqa: D301 - \b is click's mark before text that is not to be wrapped
    with _one_line(), _notes():
        if given["listing"]:
            return _list(given)
        if given["compare"] or given["program"]:
            return _compare(given)
        return _run(given)


@contextmanager
def _one_line() -> Iterator[None]:
    """Turn what a workflow refuses into bad input, which is told in one line."""
    from workflows.errors import WorkflowError  # noqa: PLC0415 - numpy takes its time

    try:
        yield
    except WorkflowError as error:
        raise BadRequestError(str(error)) from error


@contextmanager
def _notes() -> Iterator[None]:
    """Print warnings as a line each, without the place in the program."""
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: click.echo(f"abut: note: {message}", err=True)
        yield


def _list(given: Mapping[str, Any]) -> int:
    from cli.run_list import list_command  # noqa: PLC0415 - needed by this alone
    from workflows.runs.registry import WORKFLOWS  # noqa: PLC0415 - scipy takes its time

    return list_command([_workflow(given)] if given["name"] else WORKFLOWS.values(), as_json=given["as_json"])


def _workflow(given: Mapping[str, Any]) -> Workflow:
    """Return the workflow of a name, or of a user's function."""
    name = given["name"]
    if not name:
        raise click.UsageError("Missing argument 'NAME': a workflow of `abut run --list`, or package.module:function")
    from abut.asked import parse_bands  # noqa: PLC0415 - usage is checked first
    from abut.length import parse_length  # noqa: PLC0415 - as above
    from workflows.runs.registry import user_workflow, workflow  # noqa: PLC0415 - scipy takes its time

    if ":" not in name:
        for option in ("radius", "bands"):
            if given[option] is not None:
                raise click.UsageError(f"--{option} is for functions of your own; {name} knows its {option} itself")
        return workflow(name)
    bands = None if given["bands"] is None else [band.name for band in parse_bands(given["bands"])]
    radius = 0.0 if given["radius"] is None else parse_length(given["radius"])
    with aside():
        return user_workflow(name, -int(-radius // 1), bands)


def _settings(given: Mapping[str, Any], one: Workflow) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in given["settings"]:
        name, sign, value = text.partition("=")
        if not sign or not name.strip():
            raise click.UsageError(f"--set {text!r} is not NAME=VALUE")
        if name.strip() in found:
            raise click.UsageError(f"--set {name.strip()} is given twice")
        found[name.strip()] = value
    one.params(found)
    return found


def _compare(given: Mapping[str, Any]) -> int:
    from cli.run_compare import compare_command  # noqa: PLC0415 - needed by this alone

    places = (*_PLACES[:1], "tiles", "period", "baseline")
    for option in (*places, "out", "variables", "buffer", "partial", "workers", "scheduler"):
        if given[option] is not None and given[option] is not False:
            raise click.UsageError(f"--{'datetime' if option == 'period' else option} is not for --compare")
    if given["program"]:
        for option in ("settings", "radius", "bands", "threads"):
            if given[option]:
                shown = "set" if option == "settings" else option
                raise click.UsageError(f"--{shown} is for workflows: a program is run as it is")
        safes = tuple(Path(text) for text in (given["name"], *given["safes"]) if text)
        one, settings = None, {}
    else:
        one = _workflow(given)
        safes, settings = given["safes"], _settings(given, one)
    # An archive of the environment is where the user works: what is compared is named, or made of the SAFEs.
    source = click.get_current_context().get_parameter_source("archive")
    status: int = compare_command(
        one,
        safes,
        params=settings,
        program=given["program"],
        archive=given["archive"] if source != ParameterSource.ENVIRONMENT else None,
        product=given["product"],
        bbox=given["bbox"],
        crs=given["crs"],
        core=given["core"],
        across=given["across"],
        threads=_threads(given),
        certificate=given["certificate"],
        maps=given["maps"],
        keep=given["keep"],
        timeout=given["timeout"],
        twice=given["twice"],
        overwrite=given["overwrite"],
        as_json=given["as_json"],
    )
    return status


def _run(given: Mapping[str, Any]) -> int:
    if given["safes"]:
        raise click.UsageError(f"{given['safes'][0]} is one argument too many; SAFE products are for --compare")
    for option in ("certificate", "maps", "keep", "timeout", "twice"):
        if given[option]:
            raise click.UsageError(f"--{option} is for --compare")
    one = _workflow(given)
    settings = _settings(given, one)
    if not one.per_time and given["tile"] and not given["tiles"]:
        given = {**given, "tiles": given["tile"], "tile": None}  # a tile is one of several
    for option in ("archive", "out"):
        if given[option] is None:
            raise click.UsageError(f"Missing option '--{option}'.")
    _require_places(given)
    click.get_current_context().ensure_object(Common).archive = given["archive"]
    from cli.run_ground import task_of, written  # noqa: PLC0415 - needed by this alone
    from workflows.runs.output import require_free  # noqa: PLC0415 - xarray takes its time

    if given["tiles"]:
        from cli.run_tiles import tiles_command  # noqa: PLC0415 - dask takes its time

        return tiles_command(one, settings, given)
    if not one.per_time:
        raise click.UsageError(f"{one.name} is made of several moments: it needs --tile or --tiles, and --out x.zarr")
    here = {**given, "out": Path(given["out"]), "threads": _threads(given)}
    require_free(here["out"], overwrite=given["overwrite"])
    task = task_of(here, one, settings)
    return written(task, connected(given["archive"]), here)


def _threads(given: Mapping[str, Any]) -> int:
    return given["threads"] or min(os.cpu_count() or 1, 4)


def _require_places(given: Mapping[str, Any]) -> None:
    places = [name for name in _PLACES if given[name]]
    if len(places) != 1:
        names = ", ".join(f"--{name}" for name in _PLACES)
        raise click.UsageError(f"name one of {names}{f', not {len(places)}' if places else ''}")
    (place,) = places
    for option, wanted in (
        ("core", ("tile", "product")),
        ("crs", ("bbox",)),
        ("period", ("tile", "tiles", "bbox")),
        ("baseline", ("tile", "tiles", "bbox")),
        ("workers", ("tiles",)),
        ("scheduler", ("tiles",)),
    ):
        if given[option] is not None and place not in wanted:
            shown = "datetime" if option == "period" else option
            raise click.UsageError(f"--{shown} is for {', '.join(f'--{name}' for name in wanted)}")
