"""Plots of the report: SVG, small, the same bytes for the same figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    type Line = Sequence[tuple[float, float]]

_STYLE: Final[Any] = {
    "svg.hashsalt": "abut",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.dpi": 100,
}
_COLOURS: Final = ("#1b6ca8", "#e08e0b", "#3a9d5d", "#b5495b", "#7d5ba6", "#6b6b6b", "#9c6644", "#2a9d8f")


def bars(
    path: Path, names: Sequence[str], stacks: Mapping[str, Sequence[float]], label: str, *, log: bool = False
) -> None:
    """Write horizontal bars, one a name, of stacked values.

    Parameters
    ----------
    path : Path
        SVG that is written.
    names : sequence of str
        What the bars are.
    stacks : mapping of str to sequence of float
        Values of the bars, by what they are of; of one alone no legend is shown.
    label : str
        Quantity and unit.
    log : bool
        Whether the axis is logarithmic.
    """
    figure, axes = _figure(1.1 + 0.32 * len(names))
    left = [0.0] * len(names)
    places = list(range(len(names)))[::-1]
    for number, (name, values) in enumerate(stacks.items()):
        axes.barh(places, values, left=left, color=_COLOURS[number % len(_COLOURS)], label=name)
        left = [one + other for one, other in zip(left, values, strict=True)]
    for place, value in zip(places, left, strict=True):
        axes.annotate(f" {value:.3g}", (value, place), va="center", fontsize=8)
    axes.set_yticks(places, names)
    if log:
        axes.set_xscale("log")
    axes.set_xlabel(label)
    axes.margins(x=0.12)
    _save(figure, axes, path, legend=len(stacks) > 1)


def lines(
    path: Path,
    found: Mapping[str, Line],
    across: str,
    label: str,
    *,
    log: bool = False,
    dashed: Sequence[str] = (),
) -> None:
    """Write lines of points.

    Parameters
    ----------
    path : Path
        SVG that is written.
    found : mapping of str to sequence of pairs
        Points (x, y) of each line.
    across, label : str
        Quantities and units of x and y.
    log : bool
        Whether both axes are logarithmic.
    dashed : sequence of str
        Lines that are no figures: what would be ideal, what is modelled.
    """
    figure, axes = _figure(3.2)
    for number, (name, points) in enumerate(found.items()):
        x, y = zip(*points, strict=True)
        colour, style = _COLOURS[number % len(_COLOURS)], "--" if name in dashed else "-"
        axes.plot(x, y, style, marker="" if name in dashed else "o", color=colour, label=name, markersize=4)
    if log:
        axes.set_xscale("log")
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    axes.set_xlabel(across)
    axes.set_ylabel(label)
    axes.grid(alpha=0.25)
    _save(figure, axes, path, legend=True)


def _figure(height: float) -> tuple[Any, Any]:
    import matplotlib as mpl  # noqa: PLC0415 - slow to import
    from matplotlib.figure import Figure  # noqa: PLC0415 - as above

    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(7.2, height), layout="constrained")
        return figure, figure.add_subplot()


def _save(figure: Any, axes: Any, path: Path, *, legend: bool) -> None:
    if legend:
        axes.legend(frameon=False, fontsize=8)
    import matplotlib as mpl  # noqa: PLC0415 - slow to import

    path.parent.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(_STYLE):
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
