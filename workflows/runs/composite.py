"""Monthly composites of spectral indices over all moments, without clouds, in pieces of blocks: memory is bounded.

Clouds are found moment by moment at 60 m, on pieces of `CLOUD_BLOCKS` blocks with the ground around them that clouds
and their shadows need; what is kept is a byte for each pixel of 60 m. Then, piece by piece, the bands of the indices
are read of all moments, without ground around, and the piece is finished before the next one is read; its side follows
from the number of moments, so that layers take at most `LAYER_BYTES`. Values depend on neither, nor on the order of
moments (`workflows.composites`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from workflows import clouds as sky
from workflows import shadows
from workflows.composites import Moment, composite
from workflows.indices import INDICES, NODATA, SCALE, spectral_index
from workflows.probability import BANDS
from workflows.runs.computing import texts, whole
from workflows.runs.results import ground, make_result, variables
from workflows.runs.scenes import scene_of
from workflows.runs.zone_output import Part
from workflows.runs.zone_plan import core_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import xarray as xr
    from numpy.typing import NDArray

    from abut.lattice import Block, Bounds
    from workflows.runs.parameters import Parameters
    from workflows.runs.results import Layer, Result
    from workflows.runs.workflow import Way
    from workflows.runs.zone_plan import Seen

    type Read = Callable[[Seen, Bounds, int, Sequence[str]], xr.DataTree | None]
    """Reads a moment of a core, with metres around it; None if no product has data there."""

CLOUD_BLOCKS: Final = 4
"""Side in blocks of the pieces on which clouds are found."""
LAYER_BYTES: Final = 400_000_000
"""Memory for the layers of a piece, one of int16 for each moment, and what is made of them."""
_COPIES: Final = 8
"""Bytes that a pixel of 10 m of a moment takes: its layer, ranked and copied."""


def cloud_radius(params: Parameters) -> int:
    """Return the metres of ground around a pixel that its clouds depend on; 0 without a mask."""
    return sky.radius(whole(params, "reach")) if params["mask"] == "clouds" else 0


def index_bands(params: Parameters) -> tuple[str, ...]:
    """Return the bands of the indices."""
    return tuple(dict.fromkeys(band for name in texts(params, "index") for band in INDICES[name].bands))


def needed_bands(params: Parameters) -> tuple[str, ...]:
    """Return the bands of the indices and of the mask."""
    masked = BANDS if params["mask"] == "clouds" else ()
    return tuple(dict.fromkeys((*index_bands(params), *masked)))


def composites(
    moments: Sequence[Seen], blocks: Sequence[Block], params: Parameters, read: Read, *, threads: int = 1
) -> Iterator[Part]:
    """Yield the composite of some blocks, piece by piece.

    Parameters
    ----------
    moments : sequence of Seen
        The moments of a period, in any order.
    blocks : sequence of Block
        What is wanted.
    params : mapping
        Parameters of the workflow `composite`.
    read : callable
        Reads a moment.
    threads : int
        Threads that may be used.

    Yields
    ------
    Part
        For each index its value, ``<index>_count`` (moments with a clear view) and ``<index>_source`` (index of the
        first of them, in the order of time, that has the value; -1 where there is none).
    """
    ordered = sorted(moments, key=lambda one: (one.time, one.datatake, one.products))
    whole_core = core_of(blocks)
    masks = {one: _hidden(one, blocks, params, read, threads) for one in ordered} if cloud_radius(params) else {}
    for piece in pieces_of(blocks, side_for(len(ordered))):
        core = core_of(piece)
        layers: dict[str, list[NDArray[np.int16]]] = {name: [] for name in texts(params, "index")}
        seen: list[Moment] = []
        for number, one in enumerate(ordered):
            moment = read(one, core, 0, index_bands(params))
            if moment is None:
                continue
            scene = scene_of(moment)
            hidden = masks[one][whole_core.slices(core, shadows.PIXEL)] if one in masks else None
            for name, some in layers.items():
                some.append(_masked(spectral_index(scene, name), hidden))
            seen.append(Moment(one.time, one.datatake, f"{number:06}"))
        if seen:
            yield Part(core, piece, variables(_result(core, layers, seen, str(params["method"])), core))


def of_moment(moment: xr.DataTree, params: Parameters, way: Way) -> Result:
    """Return the indices of one moment, nodata where it shows no clear ground: what composites are made of."""
    scene = scene_of(moment)
    hidden = None
    if cloud_radius(params):
        hidden = _classes(moment, params, way.threads, partial=way.partial) != sky.CLEAR
    made: dict[int, dict[str, Layer]] = {}
    for name in texts(params, "index"):
        values = _masked(spectral_index(scene, name), hidden)
        about = {
            "long_name": INDICES[name].title,
            "units": "1",
            "scale_factor": 1 / SCALE,
            "_FillValue": np.int16(NODATA),
        }
        made.setdefault(INDICES[name].resolution, {})[name] = values, about
    return make_result(ground(moment), made, {})


def side_for(moments: int) -> int:
    """Return the side in blocks of the pieces of so many moments: at least one."""
    pixels = LAYER_BYTES // (_COPIES * max(1, moments))
    return max(1, int((pixels / 960**2) ** 0.5))


def pieces_of(blocks: Sequence[Block], side: int) -> Iterator[list[Block]]:
    """Yield blocks by the squares of so many blocks that they lie in, counted from equator and easting 0."""
    squares: dict[tuple[int, int], list[Block]] = {}
    for block in blocks:
        squares.setdefault((block.p // side, block.q // side), []).append(block)
    yield from squares.values()


def _hidden(one: Seen, blocks: Sequence[Block], params: Parameters, read: Read, threads: int) -> NDArray[np.bool_]:
    """Return where a moment shows no clear ground, at 60 m, of the rectangle around blocks."""
    around = core_of(blocks)
    hidden = np.ones(around.shape(shadows.PIXEL), np.bool_)
    radius = -(-cloud_radius(params) // shadows.PIXEL) * shadows.PIXEL
    for piece in pieces_of(blocks, CLOUD_BLOCKS):
        core = core_of(piece)
        moment = read(one, core, radius, BANDS)
        if moment is not None:
            hidden[around.slices(core, shadows.PIXEL)] = _classes(moment, params, threads) != sky.CLEAR
    return hidden


def _classes(moment: xr.DataTree, params: Parameters, threads: int, *, partial: bool = False) -> NDArray[np.uint8]:
    found = sky.clouds_and_shadows(
        scene_of(moment),
        threshold=whole(params, "threshold"),
        reach=whole(params, "reach"),
        partial=partial,
        threads=threads,
    )
    return found.classes


def _masked(layer: NDArray[np.int16], hidden: NDArray[np.bool_] | None) -> NDArray[np.int16]:
    if hidden is None:
        return layer
    factor = layer.shape[0] // hidden.shape[0]
    made: NDArray[np.int16] = np.where(hidden.repeat(factor, 0).repeat(factor, 1), np.int16(NODATA), layer)
    return made


def _result(core: Bounds, layers: Mapping[str, list[NDArray[np.int16]]], seen: list[Moment], method: str) -> Any:
    made: dict[int, dict[str, Layer]] = {}
    for name, some in layers.items():
        found = composite(some, seen, "max" if method == "max" else "median")
        numbers = np.array([int(one.datastrip) for one in found.moments] + [-1], np.int16)  # -1 stays -1
        about = {"units": "1", "scale_factor": 1 / SCALE, "_FillValue": np.int16(NODATA)}
        title = f"{INDICES[name].title}, {'largest' if method == 'max' else 'lower median'} of the month"
        group = made.setdefault(INDICES[name].resolution, {})
        group[name] = found.values, {"long_name": title, **about}
        group[f"{name}_count"] = found.count, {"long_name": "Moments with a clear view of the pixel", "units": "1"}
        group[f"{name}_source"] = (
            numbers[found.source],
            {"long_name": "Moment that has this value, as index into `datatake`; -1 none", "nodata": np.int16(-1)},
        )
    return make_result(core, made, {})
