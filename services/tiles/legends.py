"""The list of named pictures, with what their colours mean."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

from rio_tiler.colormap import cmap

from catalog.renders import RENDERS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from catalog.renders import Render

SAMPLES: Final = 9
"""Colours that a legend names of a continuous colour map, evenly spaced."""


@cache
def list_renders() -> dict[str, Any]:
    """Return the pictures as JSON.

    Returns
    -------
    dict
        ``renders``: a list of ``name``, ``title``, ``layers``, ``expression`` (or None), ``rescale``, ``resampling``
        and ``legend``. A legend is of type ``classes`` (``value``, ``label`` and ``colour`` of each), ``ramp``
        (``low``, ``high``, and ``colours`` evenly spaced from one to the other) or ``rgb`` (``layer``, ``low`` and
        ``high`` of each channel).
    """
    return {
        "renders": [
            {
                "name": name,
                "title": render.title,
                "layers": list(render.layers),
                "expression": render.expression,
                "rescale": [list(shown) for shown in render.shown],
                "resampling": render.resampling,
                "legend": _legend(render),
            }
            for name, render in RENDERS.items()
        ]
    }


def _legend(render: Render) -> dict[str, Any]:
    if render.kinds:
        classes = [{"value": kind.value, "label": kind.label, "colour": _hex(kind.colour)} for kind in render.kinds]
        return {"type": "classes", "classes": classes}
    if len(render.shown) == 1:
        low, high = render.shown[0]
        return {"type": "ramp", "low": low, "high": high, "colours": _ramp(render.colours)}
    channels = [
        {"layer": layer, "low": low, "high": high}
        for layer, (low, high) in zip(render.layers, render.shown, strict=True)
    ]
    return {"type": "rgb", "channels": channels}


def _ramp(name: str | None) -> list[str]:
    table: Any = cmap.get(name) if name else {level: (level, level, level) for level in range(256)}
    return [_hex(table[round(255 * step / (SAMPLES - 1))]) for step in range(SAMPLES)]


def _hex(colour: Sequence[int]) -> str:
    return "#" + "".join(f"{int(part):02x}" for part in colour[:3])
