"""Results as files: Zarr, netCDF, GeoTIFF. They appear at their name when all is there, and replace nothing unasked."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from abut.errors import BadRequestError, ExportError
from abut.export.cube_zarr import zip_folder
from abut.export.folder import new_file, new_folder, writing
from workflows.errors import WorkflowError
from workflows.runs.output_tiff import write_tiff, write_tiffs
from workflows.runs.output_zarr import write_zarr

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    import xarray as xr

    from abut.export.folder import Work

    type Format = Literal["zarr", "zip", "netcdf", "cogs", "cog"]

_SUFFIXES: Final[dict[str, Format]] = {
    ".zarr": "zarr",
    ".zarr.zip": "zip",
    ".nc": "netcdf",
    ".tif": "cog",
    ".tiff": "cog",
}
_FOLDERS: Final = ("zarr", "cogs")
_IMAGE: Final = re.compile(r"\d{8}T\d{6}(-\d+)?_.+\.tif", re.ASCII | re.DOTALL)
"""Names in a folder of GeoTIFFs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The result of a moment, or of several (a composite)."""

    time: datetime
    """Start of the datatake, or of the period; UTC."""
    datatake: str
    """Datatakes, with spaces."""
    products: tuple[str, ...]
    """Products, in the order of the overlay."""
    variables: Mapping[str, xr.DataArray] = field(repr=False)
    """What `workflows.runs.results.variables` returns."""
    attributes: Mapping[str, Any] = field(repr=False)
    """What is said of the whole."""


def format_of(out: Path) -> Format:
    """Return the format that a name asks for.

    Parameters
    ----------
    out : Path
        ``x.zarr``, ``x.zarr.zip``, ``x.nc``, ``x.tif`` (one raster), or a name without a suffix: a folder of GeoTIFFs.

    Raises
    ------
    BadRequestError
        If it has another suffix.
    """
    name = out.name
    for suffix, found in _SUFFIXES.items():
        if name.lower().endswith(suffix) and name.lower() != suffix:
            return found
    if "." in name.lstrip(".") or name.lower() in _SUFFIXES or not name:
        raise BadRequestError(
            f"{out}: write to x.zarr, x.zarr.zip, x.nc or x.tif, or to a name without a suffix: a folder of GeoTIFFs"
        )
    return "cogs"


def require_free(out: Path, *, overwrite: bool) -> None:
    """See that something can be written at a name.

    Raises
    ------
    BadRequestError
        If the name asks for no format.
    ExportError
        If something is there, and it is not to be replaced or is no result of its kind.
    """
    kind = format_of(out)
    if not os.path.lexists(out):
        return
    if not overwrite:
        raise ExportError(f"{out}: is there already (--overwrite replaces it)")
    if not _replaceable(out, kind):
        raise ExportError(f"{out}: is there already, and is no result as `abut run` writes it: it is not replaced")


def _replaceable(out: Path, kind: Format) -> bool:
    if out.is_symlink():
        return False
    if kind == "zarr":
        # Not any Zarr: what `write_zarr` writes beside the variables, in the root or in a group.
        labels = (path for pattern in ("datatake", "*/datatake") for path in out.glob(f"{pattern}/zarr.json"))
        return (out / "zarr.json").is_file() and next(labels, None) is not None
    if kind == "cogs":
        return out.is_dir() and all(path.is_file() and _IMAGE.fullmatch(path.name) for path in out.iterdir())
    return out.is_file()


def write_steps(
    steps: Iterable[Step], out: Path, *, overwrite: bool = False, names: Sequence[str] | None = None
) -> list[str]:
    """Write results in the format that the name asks for, see `format_of`; one is in memory at a time.

    Zarr is version 3 with chunks of one step and 9,600 m; it and netCDF have the dimensions (time, y, x), and groups
    where pixel sizes differ. GeoTIFFs are cloud optimized, ``<time>_<variable>.tif``, with scale, nodata, unit and, for
    classes, a colour table; they are read again and compared.

    Parameters
    ----------
    steps : iterable of Step
        Results in the order of time; all with the same variables.
    out : Path
        Name of the file or folder.
    overwrite : bool
        Replace a result that is there, when the new one is complete.
    names : sequence of str, optional
        Variables to write, as the step names them or without their group. Default: all; for ``x.tif`` the first.

    Returns
    -------
    list of str
        The variables that were written.

    Raises
    ------
    BadRequestError
        If the name asks for no format, or there is more than it can hold.
    ExportError
        If something is there, or it can't be written (disk full).
    WorkflowError
        If steps differ in variables, or a name is none of them.
    """
    kind = format_of(out)
    require_free(out, overwrite=overwrite)
    written: list[str] = []
    chosen = _chosen(steps, names, written, single=kind == "cog")
    with _place(out, kind) as work, writing(out):
        if kind == "cogs":
            write_tiffs(chosen, work)
        elif kind == "cog":
            _one_tiff(chosen, work, out)
        else:
            _labelled(chosen, work, kind, out)
    return written


def _chosen(steps: Iterable[Step], names: Sequence[str] | None, written: list[str], *, single: bool) -> Iterator[Step]:
    """Yield the steps with the variables that are wanted; fill in which they are."""
    first: dict[str, tuple[tuple[int, ...], np.dtype[Any]]] | None = None
    for step in steps:
        there = list(step.variables)
        wanted = _wanted(there, names) if names else there[:1] if single else there
        if single and len(wanted) > 1:
            raise BadRequestError(f"a file .tif holds one raster, not {', '.join(wanted)}: write to a folder")
        some = {name: step.variables[name] for name in wanted}
        shapes = {name: (one.shape, one.dtype) for name, one in some.items()}
        if first is None:
            first = shapes
            written.extend(wanted)
        elif first != shapes:
            raise WorkflowError(f"the result of {step.time:%Y-%m-%dT%H:%M:%S} has other variables than the first one")
        chosen = replace(step, variables=some)
        del step, some
        yield chosen
        del chosen  # before the next one is computed
    if first is None:
        raise WorkflowError("there is no result to write")


def _wanted(there: list[str], names: Sequence[str]) -> list[str]:
    found = []
    for name in names:
        matches = [one for one in there if name in (one, one.rpartition("/")[2])]
        if not matches:
            raise WorkflowError(f"{name!r} is no variable of the result; there are {', '.join(there)}")
        found += matches
    return list(dict.fromkeys(found))


def _one_tiff(steps: Iterator[Step], work: Work, out: Path) -> None:
    step = next(steps)
    ((name, variable),) = step.variables.items()
    write_tiff(step, name, variable, work.content, work.scratch / "plain.tif")
    if next(steps, None) is not None:
        raise BadRequestError(f"{out}: a file .tif holds one moment, and there are more: write to a folder or x.zarr")


def _labelled(steps: Iterator[Step], work: Work, kind: Format, out: Path) -> None:
    folder = work.content if kind == "zarr" else work.scratch / "zarr"
    write_zarr(steps, folder)
    if kind == "zip":
        zip_folder(folder, work.content)
    elif kind == "netcdf":
        try:
            _write_netcdf(folder, work.content)
        except ImportError as error:
            raise ExportError(f"{out}: {error.name} is not installed: pip install 'abut[cubes]'") from error


def _write_netcdf(folder: Path, path: Path) -> None:
    """Write what is in a Zarr as netCDF, one variable in memory at a time."""
    import xarray as xr  # noqa: PLC0415 - slow to import

    with xr.open_datatree(folder, engine="zarr", mask_and_scale=False, chunks=None) as tree:
        groups = {node.path: node.to_dataset(inherit=False) for node in tree.subtree}
        for group in groups.values():
            group.attrs = _held(group.attrs)
            for variable in group.data_vars.values():
                variable.attrs = _typed(variable.attrs, variable.dtype)
        packed = {"zlib": True, "complevel": 1, "shuffle": True}
        encoding = {
            path: {
                str(name): {**packed, "grid_mapping": one.attrs.pop("grid_mapping")}
                for name, one in group.data_vars.items()
            }
            for path, group in groups.items()
        }
        if set(groups) == {"/"}:
            groups["/"].to_netcdf(path, engine="h5netcdf", encoding=encoding["/"])
        else:
            xr.DataTree.from_dict(groups).to_netcdf(path, engine="h5netcdf", encoding=encoding)


def _typed(attributes: Mapping[str, Any], dtype: np.dtype[Any]) -> dict[str, Any]:
    """Return attributes as netCDF can hold them: flags and nodata of the variable's own type, no objects."""
    kept = _held(attributes)
    for name in ("flag_values", "flag_masks", "_FillValue", "nodata"):
        if name in kept:
            kept[name] = np.asarray(kept[name], np.uint8 if dtype.kind == "b" else dtype)[()]
    return kept


def _held(attributes: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return the attributes that netCDF can hold."""
    return {name: value for name, value in attributes.items() if value is not None and not isinstance(value, dict)}


@contextmanager
def _place(out: Path, kind: Format) -> Iterator[Work]:
    make = new_folder if kind in _FOLDERS else new_file
    if not os.path.lexists(out):
        with make(out) as work:
            yield work
        return
    with writing(out):
        beside = Path(tempfile.mkdtemp(prefix=".abut-", dir=out.parent))  # a name that nobody killed has left
    try:
        with make(beside / "fresh") as work:
            yield work
        with writing(out):
            _swap(beside / "fresh", out, beside / "old")
    finally:
        if (beside / "old").exists() and not os.path.lexists(out):  # nothing came in its place
            (beside / "old").rename(out)
        shutil.rmtree(beside, ignore_errors=True)


def _swap(fresh: Path, out: Path, old: Path) -> None:
    if not out.is_dir():
        fresh.replace(out)
        return
    out.rename(old)
    fresh.rename(out)
