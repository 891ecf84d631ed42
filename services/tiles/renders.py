"""Named pictures as parameters of titiler's routes, and as a list for clients.

``render=NAME`` stands for layers, an expression, colours and resampling; what a request says itself takes the place of
what the name says, one by one. A request that names neither a picture nor layers gets `DEFAULT`.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

from color_operations import parse_operations  # type: ignore[import-untyped]  # it has no types
from fastapi import Query
from rio_tiler.colormap import cmap, parse_color
from rio_tiler.errors import InvalidColorFormat
from rio_tiler.types import ColorMapType  # noqa: TC002 - FastAPI reads the annotation
from titiler.core.dependencies import DefaultDependency

from abut.errors import BadRequestError
from abut.messages import quoted
from catalog.renders import DEFAULT, RENDERS, SHOWN
from services.tiles.expressions import parse_expression
from services.tiles.layers import ALL
from services.tiles.warp import Resampling  # noqa: TC001 - FastAPI reads the annotation

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from catalog.renders import Render
    from services.tiles.expressions import Expression

LAYERS_LIMIT: Final = 13
"""Layers of a request."""

KINDS_LIMIT: Final = 256
"""Values of a colour map that a request brings."""

INTERVALS_LIMIT: Final = 64
"""Intervals of one."""

LARGEST_KIND: Final = 2**31 - 1
"""Largest value of a colour map, and least but for its sign."""

FORMULA_LENGTH: Final = 200
"""Characters of a formula of colours."""

FORMULA_OPERATIONS: Final = 10
"""Operations of a formula of colours: each is several passes over the picture."""

RenderName = Annotated[
    str | None,
    Query(description="Named picture; see `/renders`", json_schema_extra={"enum": list(RENDERS)}),
]
Names = Annotated[
    list[str] | None,
    Query(description="Bands and flags such as B04,B03,B02 or classification, separated by commas"),
]


def render_of(name: str | None) -> Render | None:
    """Return the picture of a name; None of None.

    Raises
    ------
    BadRequestError
        If there is none of this name.
    """
    if name is None:
        return None
    if name not in RENDERS:
        raise BadRequestError(f"render: {quoted(name)} is none of {', '.join(RENDERS)}")
    return RENDERS[name]


def layers_of(names: Iterable[str]) -> tuple[str, ...]:
    """Return the layers that a parameter names, in its order.

    Raises
    ------
    BadRequestError
        If one is none, or they are too many.
    """
    found = tuple(part.strip() for name in names for part in name.split(","))
    for name in found:
        if name not in ALL:
            raise BadRequestError(f"bands: {quoted(name)} is none of {', '.join(ALL)}")
    if len(found) > LAYERS_LIMIT:
        raise BadRequestError(f"bands: {len(found)} of them, more than {LAYERS_LIMIT}")
    return found


@dataclass
class LayerParams(DefaultDependency):
    """What is read, and what is computed of it: titiler's `layer_dependency`."""

    render: RenderName = None
    """Named picture."""
    bands: Names = None
    """Layers, in the order of ``b1``, ``b2``, ..."""
    assets: Names = None
    """The same, as titiler's clients call it."""
    expression: Annotated[
        str | None,
        Query(description="Band arithmetic such as (B08-B04)/(B08+B04); b1, b2, ... are the bands in their order"),
    ] = None
    """Arithmetic."""

    def __post_init__(self) -> None:
        """Check it all, before anything is read."""
        self.asked  # noqa: B018 - raises

    @property
    def asked(self) -> tuple[tuple[str, ...], Expression | None]:
        """Layers to read, and what is computed of them."""
        if self.bands and self.assets:
            raise BadRequestError("bands and assets mean the same: give one of them")
        named = layers_of(self.bands or self.assets or ())
        whole = not (named or self.expression)  # what is seen is what the picture's name says
        render = render_of(self.render) or (RENDERS[DEFAULT] if whole else None)
        layers = named or (render.layers if render and not self.expression else ())
        text = self.expression or (render.expression if render else None)
        if text is None:
            return layers, None
        computed = parse_expression(text, layers)
        return computed.layers, computed

    def as_dict(self, exclude_none: bool = True) -> dict[str, Any]:
        """Return what a reader gets: `layers` and, if there is one, the checked `expression`."""
        layers, expression = self.asked
        return {"layers": layers, "expression": expression} if expression or not exclude_none else {"layers": layers}


@dataclass
class DatasetParams(DefaultDependency):
    """How it is read: titiler's `dataset_dependency`."""

    render: RenderName = None
    """Named picture."""
    resampling: Annotated[
        Resampling | None, Query(description="How pixels are made where they are not those of a product")
    ] = None
    """How pixels are made; flags are never mixed."""
    unscale: Annotated[
        bool | None, Query(description="Reflectance (the default), or digital numbers as they are stored (false)")
    ] = None
    """Whether bands are reflectance."""

    def as_dict(self, exclude_none: bool = True) -> dict[str, Any]:  # noqa: ARG002 - nothing here is None
        """Return what a reader gets: `resampling` and `unscale`."""
        render = render_of(self.render)
        resampling = self.resampling or (render.resampling if render else "nearest")
        return {"resampling": resampling, "unscale": self.unscale is not False}


@dataclass
class ShowParams(DefaultDependency):
    """How values become colours: titiler's `render_dependency`."""

    render: RenderName = None
    """Named picture."""
    rescale: Annotated[
        list[str] | None,
        Query(description="Values of the darkest and of the brightest colour, `low,high`; of all bands, or each"),
    ] = None
    """Range of each channel."""
    color_formula: Annotated[
        str | None,
        Query(description="Operations on colours as rio-color writes them, such as `gamma RGB 1.2`"),
    ] = None
    """Operations on colours."""
    add_mask: Annotated[
        bool | None, Query(alias="return_mask", description="Whether ground without data is transparent (the default)")
    ] = None
    """Whether there is a channel for what has no data."""

    def as_dict(self, exclude_none: bool = True) -> dict[str, Any]:
        """Return what the rendering gets: `rescale`, `color_formula`, `add_mask`."""
        render = render_of(self.render)
        ranges = ranges_of(self.rescale) if self.rescale else (render.shown if render else ())
        told = {"rescale": ranges or None, "color_formula": self.color_formula, "add_mask": self.add_mask}
        return {name: value for name, value in told.items() if value is not None or not exclude_none}

    def __post_init__(self) -> None:
        """Check it, before anything is read."""
        self.as_dict()
        if self.color_formula is not None:
            require_formula(self.color_formula)


def require_formula(text: str) -> None:
    """Raise unless a text is a formula of colours, of so many operations.

    Raises
    ------
    BadRequestError
        If it is none, or too long.
    """
    if len(text) > FORMULA_LENGTH:
        raise BadRequestError(f"color_formula: {quoted(text)} has more than {FORMULA_LENGTH} characters")
    try:
        count = len(parse_operations(text))
    except (ValueError, LookupError, TypeError) as error:
        raise BadRequestError(f"color_formula: {quoted(text)} is no operations on colours") from error
    if count > FORMULA_OPERATIONS:
        raise BadRequestError(f"color_formula: {quoted(text)} has {count} operations, more than {FORMULA_OPERATIONS}")


def stretch_of(layers: Iterable[str]) -> tuple[tuple[float, float], ...]:
    """Return ranges that show bands well, for a picture of reflectance of which the request says none."""
    return tuple(SHOWN.get(layer, (0, 255)) for layer in layers)


def ranges_of(texts: Sequence[str]) -> tuple[tuple[float, float], ...]:
    """Return the ranges ``low,high`` of a parameter, in one text or several.

    Raises
    ------
    BadRequestError
        If one is no range of numbers.
    """
    try:
        numbers = [float(part.strip(" []")) for text in texts for part in text.split(",")]
    except ValueError:
        numbers = []
    ranges = tuple(zip(numbers[::2], numbers[1::2], strict=False))
    bad = not all(math.isfinite(low) and math.isfinite(high) and low < high for low, high in ranges)
    if not ranges or len(numbers) % 2 or bad or len(ranges) > LAYERS_LIMIT:
        raise BadRequestError(f"rescale: {quoted(','.join(texts))} is not low,high for one band or each")
    return ranges


def colours_of(
    render: RenderName = None,
    colormap_name: Annotated[
        str | None, Query(description="Colour map of rio-tiler", json_schema_extra={"enum": sorted(cmap.list())})
    ] = None,
    colormap: Annotated[
        str | None, Query(description='Colours by value, JSON such as {"1": "#ff0000"} or [[[0, 1], "#ff0000"]]')
    ] = None,
) -> ColorMapType | None:
    """Return the colour map of a picture of one band: titiler's `colormap_dependency`.

    Raises
    ------
    BadRequestError
        If it is none.
    """
    if colormap_name is not None:
        if colormap_name not in cmap.list():
            raise BadRequestError(f"colormap_name: {quoted(colormap_name)} is none of {', '.join(sorted(cmap.list()))}")
        return cmap.get(colormap_name)
    if colormap is not None:
        return parse_colormap(colormap)
    named = render_of(render)
    if named is None or not (named.colours or named.kinds):
        return None
    return cmap.get(named.colours) if named.colours else {kind.value: (*kind.colour, 255) for kind in named.kinds}


def parse_colormap(text: str) -> ColorMapType:
    """Return a colour map that a request brings.

    Raises
    ------
    BadRequestError
        If it is none.
    """
    try:
        found = json.loads(text)
        if not isinstance(found, dict | list):
            raise TypeError("no object or array")
        made: ColorMapType = (
            {_value(value): _colour(colour) for value, colour in found.items()}
            if isinstance(found, dict)
            else [(_interval(*interval), _colour(colour)) for interval, colour in found]
        )
    except (ValueError, TypeError, OverflowError, RecursionError, InvalidColorFormat) as error:
        raise BadRequestError(f"colormap: {quoted(text)} is no colours by value") from error
    most = KINDS_LIMIT if isinstance(found, dict) else INTERVALS_LIMIT
    if not 1 <= len(found) <= most:
        raise BadRequestError(f"colormap: {quoted(text)} has {len(found)} colours, not 1 to {most}")
    return made


def _value(text: str) -> int:
    if abs(value := int(text)) > LARGEST_KIND:
        raise ValueError("a large number")
    return value


def _interval(low: Any, high: Any) -> tuple[float, float]:
    if not float(low) < float(high):
        raise ValueError("not low < high")
    return float(low), float(high)


def _colour(text: Any) -> tuple[int, int, int, int]:
    colour = parse_color(text)
    if not all(type(part) is int and 0 <= part <= 255 for part in colour):
        raise ValueError("not a colour")
    return colour
