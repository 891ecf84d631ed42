"""What is computed from a cube pixel by pixel: spectral indices, and their composites over time; lazily."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - pydantic may look at it
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from abut.errors import BadRequestError, TooLargeError
from abut.layout import BAND
from abut.messages import quoted
from workflows.composites import Moment, composite
from workflows.indices import INDICES, NODATA, SCALE, Index, index_of_numbers

if TYPE_CHECKING:
    import datetime as dt

    import xarray as xr
    from numpy.typing import NDArray

type Method = Literal["median", "max"]
"""What a composite takes of the values of a pixel."""

METHODS: Final[tuple[Method, ...]] = ("median", "max")
"""All of them."""

STEPS: Final = 200
"""Most steps of a composite: a block of one band at all of them is in memory, 1.8 MB each at 10 m."""
_ROWS: Final = 3
"""What a composite has of each index: values, counts, sources."""


@dataclass(frozen=True, slots=True)
class Derived:
    """What is wanted instead of pixels; get it with `derived_of`."""

    names: tuple[str, ...]
    """Indices."""
    method: Method | None = None
    """How steps become one; None: they stay."""

    @property
    def bands(self) -> list[str]:
        """Bands that they need, in the order of ``bandId``."""
        return sorted({band for name in self.names for band in INDICES[name].bands}, key=lambda band: BAND[band].index)

    @property
    def chunks(self) -> dict[str, int]:
        """How a cube is read for it: those of all bands show the same ground; for a composite a block at all steps."""
        if self.method is None:
            return {"time": 1, "y": 1, "x": 1} if self._is_mixed else {}
        return {"time": -1, "y": 1, "x": 1}

    @property
    def _is_mixed(self) -> bool:
        return len({BAND[band].resolution for band in self.bands}) > 1

    def of(self, cube: xr.Dataset | xr.DataTree) -> xr.DataTree:
        """Return the indices of a lazy cube of `bands` at their own pixel sizes, read with `chunks`; lazily.

        Returns
        -------
        xarray.DataTree
            Groups by pixel size, that of the coarsest band of each index. Variables (time, y, x): ``ndvi`` ... int16,
            index times 10,000 (`workflows.indices`), -32768 nodata; of a composite also ``ndvi_count`` (steps with
            data) and ``ndvi_source`` (number of the first of them that has the value, counted along ``step``; -1 where
            none has), int16. A composite has one time, that of the first step; what coordinates told along ``time``,
            they tell along ``step``.

        Raises
        ------
        TooLargeError
            If a composite is asked for of more than `STEPS` steps.
        """
        import xarray as xr  # noqa: PLC0415 - slow to import

        assert isinstance(cube, xr.DataTree)  # noqa: S101 - an index takes no `resolution`, see `derived_of`
        groups: dict[str, xr.Dataset] = {}
        for size in sorted({INDICES[name].resolution for name in self.names}):
            names = [name for name in self.names if INDICES[name].resolution == size]
            own = cube.children[f"r{size}m"].to_dataset(inherit=False)
            moments = _moments(own)
            if self.method is not None and len(moments) > STEPS:
                raise TooLargeError(
                    f"{len(moments)} steps are more than the {STEPS} of one composite; ask for less time"
                )
            data: dict[str, Any] = {}
            for name in names:
                data |= self._one(name, cube, moments)
            coords = {key: value for key, value in own.coords.items() if "band" not in value.dims}
            if self.method is not None:
                coords = _single(coords)
            made = xr.Dataset(data, coords, own.attrs)
            for variable in made.data_vars.values():
                variable.encoding["grid_mapping"] = "spatial_ref"
            groups[f"/r{size}m"] = made
        about = {**cube.attrs, "composite": self.method} if self.method else dict(cube.attrs)
        return xr.DataTree.from_dict({"/": xr.Dataset(attrs=about), **groups})

    def _one(self, name: str, cube: xr.DataTree, moments: tuple[Moment, ...]) -> dict[str, Any]:
        """Return the variables of an index."""
        import dask.array  # noqa: PLC0415 - an extra

        da: Any = dask.array

        index = INDICES[name]
        nodes: list[Any] = [cube.children[f"r{BAND[band].resolution}m"] for band in index.bands]
        arrays = [node[BAND[band].key].data for node, band in zip(nodes, index.bands, strict=True)]
        offsets = tuple(
            tuple(int(value) for value in node["radio_add_offset"].sel(band=band).to_numpy())
            for node, band in zip(nodes, index.bands, strict=True)
        )
        how = _How(name, offsets, tuple(int(one) for one in nodes[0]["quantification_value"].to_numpy()), moments)
        if index.resolution != BAND[index.bands[0]].resolution:
            coarsest = next(array for array, band in zip(arrays, index.bands, strict=True) if _is_own(band, index))
        else:
            coarsest = arrays[0]
        about = {"long_name": index.title, "units": "1", "scale_factor": 1 / SCALE, "_FillValue": np.int16(NODATA)}
        if self.method is None:
            steps = da.arange(len(moments), chunks=(coarsest.chunks[0],), dtype=np.int64)[:, None, None]
            layers = da.map_blocks(how.layers, steps, *arrays, dtype=np.int16, chunks=coarsest.chunks)
            return {name: (("time", "y", "x"), layers, about)}
        made = da.map_blocks(
            how.composite, *arrays, method=self.method, dtype=np.int16, chunks=((_ROWS,), *coarsest.chunks[1:])
        )
        what = "Largest" if self.method == "max" else "Lower median"
        texts = ("Steps that have data", "Number of the first step that has this value; -1 none")
        return {
            name: (("time", "y", "x"), made[0:1], {**about, "long_name": f"{what} of the steps: {index.title}"}),
            f"{name}_count": (("time", "y", "x"), made[1:2], {"long_name": texts[0], "units": "1"}),
            f"{name}_source": (("time", "y", "x"), made[2:3], {"long_name": texts[1], "nodata": np.int16(-1)}),
        }


@dataclass(frozen=True, slots=True)
class _How:
    """What the pixels of an index are computed with; small, since every task has it."""

    name: str
    offsets: tuple[tuple[int, ...], ...]
    """By band of the formula, by step."""
    quantification: tuple[int, ...]
    """By step."""
    moments: tuple[Moment, ...]

    def layers(self, steps: NDArray[np.int64], *bands: NDArray[np.uint16]) -> NDArray[np.int16]:
        """Return the index of some steps, (step, y, x)."""
        return np.stack([self._layer(int(step), [band[row] for band in bands]) for row, step in enumerate(steps.flat)])

    def composite(self, *bands: NDArray[np.uint16], method: Method) -> NDArray[np.int16]:
        """Return value, count and source of each pixel, (3, y, x)."""
        layers = [self._layer(step, [band[step] for band in bands]) for step in range(len(self.moments))]
        made = composite(layers, self.moments, method)
        order = np.array([self.moments.index(one) for one in made.moments] + [-1], np.int16)  # -1 stays -1
        return np.stack([made.values, made.count.astype(np.int16), order[made.source]])

    def _layer(self, step: int, bands: list[NDArray[np.uint16]]) -> NDArray[np.int16]:
        offsets = [one[step] for one in self.offsets]
        return index_of_numbers(INDICES[self.name], bands, offsets, self.quantification[step])


def derived_of(given: Mapping[str, Any]) -> Derived | None:
    """Return what is to be computed, or None if pixels are wanted.

    Parameters
    ----------
    given : mapping
        What was asked for: ``index``, names or a text such as ``ndvi,nbr``; ``composite``, one of `METHODS`; and all
        else.

    Raises
    ------
    BadRequestError
        If a value has no meaning, or does not go with something else that is asked for.
    """
    names, method = given.get("index"), given.get("composite")
    if names is None:
        if method is not None:
            raise BadRequestError(f"composite {quoted(method)} needs an index: one of {', '.join(INDICES)}")
        return None
    listed = [name.strip().lower() for name in names.split(",")] if isinstance(names, str) else list(names)
    for name in listed:
        if name not in INDICES:
            raise BadRequestError(f"index {quoted(name)} is not one of {', '.join(INDICES)}")
    if method not in (None, *METHODS):
        raise BadRequestError(f"composite {quoted(method)} is not one of {', '.join(METHODS)}")
    for other in ("bands", "resolution", "to", "reflectance", "masks", "angles"):
        if given.get(other) not in (None, False):
            raise BadRequestError(f"{other} does not go with index: an index has its own bands and pixel size")
    return Derived(tuple(dict.fromkeys(listed)), method)


def _is_own(band: str, index: Index) -> bool:
    return BAND[band].resolution == index.resolution


def _moments(cube: xr.Dataset) -> tuple[Moment, ...]:
    """Return what steps are put in order by: their number tells those apart that have all else in common."""
    times: list[dt.datetime] = cube["time"].to_numpy().astype("datetime64[us]").tolist()
    takes = [str(one) for one in cube["datatake"].to_numpy()]
    return tuple(
        Moment(time, take, f"{number:06}") for number, (time, take) in enumerate(zip(times, takes, strict=True))
    )


def _single(coords: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return the coordinates of a composite: its one time is that of the first step; all others are along ``step``."""
    kept: dict[Any, Any] = {}
    for key, value in coords.items():
        variable = value.variable
        if "time" in variable.dims:
            dims = ["step" if dim == "time" else dim for dim in variable.dims]
            name = "step_time" if key == "time" else key
            kept[name] = (dims, variable.to_numpy(), variable.attrs, variable.encoding)
        else:
            kept[key] = variable
    time = coords["time"].variable
    kept["time"] = (
        "time",
        time.to_numpy()[:1],
        {**time.attrs, "long_name": "Start of the first datatake, UTC"},
        time.encoding,
    )
    return kept
