"""Parameters of requests, checked before anything is opened: what is asked for, and how large.

What a picture shows is in `services.tiles.renders`.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from fastapi import Path, Query
from pydantic import Field
from starlette.requests import Request  # noqa: TC002 - FastAPI reads the annotation
from titiler.core.algorithm import algorithms
from titiler.core.dependencies import DefaultDependency, HistogramParams, StatisticsParams, TileParams

from abut.errors import AbutError, BadRequestError
from abut.messages import quoted
from catalog.item import COLLECTION_ID
from services.stac.requests import condition
from services.tiles.source import Context, Source
from services.tiles.wish import ORDERS, Order, Wish

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rio_tiler.models import ImageData
    from titiler.core.algorithm.base import BaseAlgorithm

IDS: Final = 500
"""Ids and tiles of a request."""
SIDE: Final = 16_384
"""Largest side of a picture in pixels, whatever its area."""
BINS: Final = 1_000
"""Bins of a histogram."""
PERCENTILES: Final = 20
"""Percentiles and categories of statistics."""

_LISTED: Final = re.compile(r"[,\s]+")


@dataclass(frozen=True, slots=True)
class Paths:
    """Makes titiler's `path_dependency`: what a request reads."""

    context: Context
    """The service."""

    def item(self, request: Request, item_id: Annotated[str, Path(description="Id of a product.")]) -> Source:
        """Return one product."""
        return Source(self.context, Wish(item=item_id), request)

    def mosaic(  # noqa: PLR0917 - the parameters of a search
        self,
        request: Request,
        datetime: Annotated[
            str | None, Query(description="`2025`, `2025-07`, `2025-07-03`, RFC 3339, or two of them as `a/b`.")
        ] = None,
        ids: Annotated[str | None, Query(description="Ids of products, separated by commas.")] = None,
        tiles: Annotated[str | None, Query(description="Only these tiles, such as `32TNM,32TPM`.")] = None,
        cloud: Annotated[
            float | None, Query(ge=0, le=100, description="Only products with at most so many percent of clouds.")
        ] = None,
        orbit: Annotated[int | None, Query(ge=1, le=143, description="Only this relative orbit.")] = None,
        datatake: Annotated[str | None, Query(description="Only this datatake.")] = None,
        filter: Annotated[  # noqa: A002 - the name of STAC API
            str | None, Query(description="Only items that this CQL2 filter takes, as text or JSON.")
        ] = None,
        order: Annotated[
            Order, Query(description=f"Which product is shown where several have data: {', '.join(ORDERS)}.")
        ] = "latest",
        collections: Annotated[str | None, Query(description=f"`{COLLECTION_ID}`, which is all there is.")] = None,
    ) -> Source:
        """Return what a search finds."""
        if collections is not None and COLLECTION_ID not in _names("collections", collections):
            raise BadRequestError(f"collections: {quoted(collections)} is not {COLLECTION_ID}")
        wish = Wish(
            ids=_names("ids", ids),
            period=datetime,
            tiles=_names("tiles", tiles),
            cloud=cloud,
            orbit=orbit,
            datatake=datatake,
            filter=canonical(filter),
            order=order,
        )
        return Source(self.context, wish, request)


def canonical(text: str | None) -> str | None:
    """Return a CQL2 filter as JSON that is the same for equal filters.

    Raises
    ------
    BadRequestError
        If it is none.
    """
    node = condition({"filter": text} if text else {})
    return None if node is None else json.dumps(node, sort_keys=True, separators=(",", ":"))


@dataclass
class TileSizes(TileParams):
    """Pixels around a tile, and what a tile without data is: titiler's `tile_dependency`."""

    empty: Annotated[
        Literal["none", "transparent"],
        Query(description="What a tile without data is: no content (204), or transparent, as PNG and WebP can be."),
    ] = "none"
    """What is answered where nothing is."""


@dataclass
class PictureSize(DefaultDependency):
    """Pixels of a picture: of titiler's `img_preview_dependency` and `img_part_dependency`."""

    max_size: Annotated[
        int | None, Field(ge=1, le=SIDE, description="Largest of width and height, if neither is given.")
    ] = None
    """Largest of both."""
    height: Annotated[int | None, Field(ge=1, le=SIDE, description="Height; alone, the width follows.")] = None
    """Rows."""
    width: Annotated[int | None, Field(ge=1, le=SIDE, description="Width; alone, the height follows.")] = None
    """Columns."""


@dataclass
class PreviewSize(PictureSize):
    """The same, small where nothing is said."""

    max_size: Annotated[
        int | None, Field(ge=1, le=SIDE, description="Largest of width and height, if neither is given.")
    ] = 1024
    """Largest of both."""


@dataclass
class CheckedStatistics(StatisticsParams):
    """titiler's, with limits."""

    def __post_init__(self) -> None:
        """Check them."""
        super().__post_init__()  # type: ignore[no-untyped-call]  # titiler's
        if not all(0 <= one <= 100 for one in self.percentiles or ()):
            raise BadRequestError(f"p: {quoted(self.percentiles)} are not percentiles between 0 and 100")
        if len(self.percentiles or ()) > PERCENTILES or len(self.categories or ()) > BINS:
            raise BadRequestError(f"p, c: more than {PERCENTILES} percentiles or {BINS} categories")
        if not all(map(math.isfinite, self.categories or ())):
            raise BadRequestError(f"c: {quoted(self.categories)} are not finite")


@dataclass
class CheckedHistogram(HistogramParams):
    """titiler's, with limits."""

    def __post_init__(self) -> None:
        """Check them."""
        text, bounds = self.bins, self.range
        super().__post_init__()  # type: ignore[no-untyped-call]  # titiler's
        edges: Any = self.bins
        rising = isinstance(edges, int) or all(one < two for one, two in pairwise(edges))
        if not (rising and 1 <= (edges if isinstance(edges, int) else len(edges)) <= BINS):
            raise BadRequestError(f"histogram_bins: {quoted(text)} is not 1 to {BINS} bins, or edges that rise")
        numbers: Any = self.range or (0.0, 1.0)  # titiler makes numbers of the text
        low, high = numbers
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise BadRequestError(f"histogram_range: {quoted(bounds)} is not low,high")


def processing(
    algorithm: Annotated[
        str | None,
        Query(description="Algorithm of titiler.", json_schema_extra={"enum": sorted(algorithms.list())}),
    ] = None,
    algorithm_params: Annotated[str | None, Query(description="Its parameters, a JSON object.")] = None,
) -> Callable[[ImageData], ImageData] | None:
    """Return what is done with an image before it is rendered: titiler's `process_dependency`.

    Raises
    ------
    BadRequestError
        If there is no such algorithm, or it does not take such parameters.
    """
    if algorithm is None:
        return None
    if algorithm not in algorithms.list():
        raise BadRequestError(f"algorithm: {quoted(algorithm)} is none of {', '.join(sorted(algorithms.list()))}")
    try:
        made = algorithms.get(algorithm)(**_object(algorithm_params))
    except (ValueError, TypeError, RecursionError) as error:
        raise BadRequestError(f"algorithm_params: {quoted(algorithm_params)}: {_line(error)}") from error

    def process(image: ImageData) -> ImageData:
        try:
            processed = made(image)
        except AbutError:
            raise
        except Exception as error:  # titiler's algorithms check little of what they are given
            raise BadRequestError(f"algorithm {algorithm} can't be used here: {_line(error)}") from error
        if not processed.array.size:
            raise BadRequestError(f"algorithm {algorithm}: nothing is left of the picture")
        if processed.dataset_statistics is None:
            processed.dataset_statistics = _shown(type(made))
        return processed

    return process


def _shown(algorithm: type[BaseAlgorithm]) -> list[tuple[float, float]] | None:
    """Return the range of what an algorithm computes, as it states it; requests can't change that."""
    fields = algorithm.model_fields
    low, high = fields["output_min"].default, fields["output_max"].default
    return None if low is None or high is None else list(zip(low, high, strict=True))


def _object(text: str | None) -> Mapping[str, Any]:
    found = json.loads(text) if text else {}
    if not isinstance(found, dict):
        raise TypeError("not a JSON object")
    for name, value in found.items():
        numbers = value if isinstance(value, list) else [value]
        if any(isinstance(one, int | float) and not abs(one) <= 1e9 for one in numbers):
            raise ValueError(f"{name} is not a number up to 1e9")
        if name == "buffer" and not (isinstance(value, int) and 0 <= value <= 256):
            raise ValueError("buffer is not a number from 0 to 256")
    return found


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


def _names(parameter: str, text: str | None) -> tuple[str, ...]:
    if text is None:
        return ()
    found = tuple(name for name in _LISTED.split(text) if name)
    if not 1 <= len(found) <= IDS:
        raise BadRequestError(f"{parameter}: {len(found)} names, not 1 to {IDS}")
    return found
