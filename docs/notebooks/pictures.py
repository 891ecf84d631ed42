"""Pictures of moments and of comparisons, by matplotlib."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch, Rectangle

from workflows.runs.distance import is_different, on_pixels
from workflows.runs.results import ground

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from abut.lattice import Bounds
    from workflows.runs.compare import Comparison

plt.rcParams.update({"figure.dpi": 72, "savefig.dpi": 72, "font.size": 9, "image.interpolation": "nearest"})

CLASSES = ("#ffffff", "#7fbf7b", "#c8c8c8", "#5e4fa2")
"""No data, clear, cloud, shadow."""
COVER = ("#ffffff", "#377eb8", "#4daf4a", "#c8a165", "#d9d9d9", "#5e4fa2")
"""No data, water, vegetation, bare, cloud, shadow."""
DIFFERENCE = ("#dedede", "#cc2828", "#000000")
"""Equal, differs, differs beyond the radius."""
_STEP = 1_500
"""More pixels than this on a side are not shown: every second, third ... is."""


def extent(box: Bounds, corner: Bounds) -> tuple[float, float, float, float]:
    """Return where some ground is, in km from the north-west of other ground: left, right, bottom, top."""
    x, y = corner.left, corner.top
    return (box.left - x) / 1e3, (box.right - x) / 1e3, (box.bottom - y) / 1e3, (box.top - y) / 1e3


def true_colour(moment: xr.DataTree, tile: Bounds) -> Figure:
    """Show a moment (B04, B03, B02) with the edges of a tile and of the core."""
    window, core = ground(moment, "window"), ground(moment)
    group = moment["r10m"].to_dataset()
    thinned = [group[name].to_numpy()[::6, ::6].astype(float) for name in ("b04", "b03", "b02")]
    offsets = [float(group.radio_add_offset.sel(band=name)) for name in ("B04", "B03", "B02")]
    colours = np.stack([(band + add) / 3_000 for band, add in zip(thinned, offsets, strict=True)], axis=-1).clip(0, 1)
    colours[thinned[0] == 0] = 1
    figure, axes = plt.subplots(figsize=(5.2, 5.2), layout="constrained")
    axes.imshow(colours, extent=extent(window, core))
    _edge(axes, tile.intersection(window) or core, core, "red", "edge of the tile")
    _edge(axes, core, core, "black", "core")
    axes.set(title="The ground: core, tile, and what lies around", xlabel="km", ylabel="km")
    axes.legend(loc="upper right")
    return figure


def _edge(axes: Axes, box: Bounds, core: Bounds, colour: str, label: str) -> None:
    left, right, bottom, top = extent(box, core)
    axes.add_patch(Rectangle((left, bottom), right - left, top - bottom, fill=False, ec=colour, lw=1.5, label=label))


def three(comparison: Comparison, name: str, palette: tuple[str, ...] = (), label: str = "") -> Figure:
    """Show a variable of the lone tile, the same with its neighbourhood, and where they differ."""
    near, lone = _both(comparison, name)
    figure, axes = plt.subplots(1, 3, figsize=(12, 4.4), layout="constrained", sharex=True, sharey=True)
    how: dict[str, Any] = {"cmap": ListedColormap(palette), "vmin": -0.5, "vmax": len(palette) - 0.5}
    if not palette:
        seen = near.to_numpy()[near.to_numpy() != near.attrs["_FillValue"]]
        how = {"cmap": "gray", "vmin": np.percentile(seen, 2), "vmax": np.percentile(seen, 98)}
    where = _extent_of(near)
    for one, axis, title in ((lone, axes[0], "the tile alone"), (near, axes[1], "with its neighbourhood")):
        axis.imshow(_shown(one), extent=where, **how)
        axis.set(title=f"{label or name}: {title}", xlabel="km")
    _differing(axes[2], comparison, name)
    axes[0].set_ylabel("km")
    if palette:
        names = str(near.attrs["flag_meanings"]).split()
        patches = [Patch(fc=colour, ec="grey", label=one) for colour, one in zip(palette, names, strict=True)]
        axes[0].legend(handles=patches[1:], loc="upper left", fontsize=7)
    return figure


def difference(comparison: Comparison, name: str, title: str) -> Figure:
    """Show where a variable of the lone tile differs from that with its neighbourhood."""
    figure, axis = plt.subplots(figsize=(5, 4.8), layout="constrained")
    _differing(axis, comparison, name)
    axis.set(title=title, ylabel="km")
    return figure


def _differing(axis: Axes, comparison: Comparison, name: str) -> None:
    near, lone = _both(comparison, name)
    metres = on_pixels(comparison.metres, comparison.window, near)
    wrong = is_different(near.to_numpy(), lone.to_numpy()).astype(np.uint8)
    wrong[(wrong > 0) & (metres > comparison.certificate.radius)] = 2
    axis.imshow(_shown(wrong), extent=_extent_of(near), cmap=ListedColormap(DIFFERENCE), vmin=-0.5, vmax=2.5)
    count, beyond = int((wrong > 0).sum()), int((wrong == 2).sum())
    axis.set(title=f"{count:,} of {wrong.size:,} differ, {beyond:,} beyond the radius", xlabel="km")
    rings = [one.most for one in comparison.certificate.variables[0].rim[1:-1] if one.most]
    lines = axis.contour(
        np.where(metres > 1e6, np.nan, metres / 1e3),
        levels=[one / 1e3 for one in rings],
        colors="#0072b2",
        linewidths=0.8,
        extent=_extent_of(near),
        origin="upper",
    )
    axis.clabel(lines, fmt="%g km", fontsize=7)


def _both(comparison: Comparison, name: str) -> tuple[xr.DataArray, xr.DataArray]:
    """Return a variable with its neighbourhood and of the lone tile; those of several pixel sizes are `r20m/b8a`."""
    (found,) = (one for one in comparison.near if one.split("/")[-1] == name)
    return comparison.near[found], comparison.lone[found]


def _shown(values: Any) -> Any:
    step = -(-max(values.shape) // _STEP)
    return np.asarray(values)[::step, ::step]


def _extent_of(variable: xr.DataArray) -> tuple[float, float, float, float]:
    y, x = (variable.sizes[axis] * abs(float(variable[axis][1] - variable[axis][0])) / 1e3 for axis in ("y", "x"))
    return 0, x, -y, 0


def table(comparison: Comparison, name: str) -> None:
    """Print the values that the lone tile gets wrong, by distance to ground that it lacks."""
    (one,) = (one for one in comparison.certificate.variables if one.name.split("/")[-1] == name)
    print(f"{name}: distance to what is missing      values     wrong")
    for ring in one.rim:
        share = f"{ring.differing / ring.pixels:8.2%}" if ring.pixels else "       -"
        print(f"{ring.label:>36} {ring.pixels:>11,} {ring.differing:>9,} {share}")


def grounds(moment: xr.DataTree) -> tuple[Bounds, Bounds]:
    """Return the window and the core of a moment."""
    return ground(moment, "window"), ground(moment)
