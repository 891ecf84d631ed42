"""titiler's routes over scenes: one product, and what a search finds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter
from morecantile import tms as known_sets
from morecantile.defaults import TileMatrixSets
from titiler.core.factory import TilerFactory, TMSFactory
from titiler.extensions.wmts import wmtsExtension

from services.tiles.dependencies import (
    CheckedHistogram,
    CheckedStatistics,
    Paths,
    PictureSize,
    PreviewSize,
    TileSizes,
    processing,
)
from services.tiles.grid import grid_routes
from services.tiles.reader import SceneReader
from services.tiles.rendering import picture
from services.tiles.renders import DatasetParams, LayerParams, ShowParams, colours_of
from services.tiles.routes import PictureRoute
from services.tiles.series import series_routes

if TYPE_CHECKING:
    from collections.abc import Callable

    from services.tiles.source import Context, Source

SETS: Final = TileMatrixSets(
    {
        name: known_sets.get(name)
        for name in ("WebMercatorQuad", "WorldCRS84Quad", "WorldMercatorWGS84Quad", "EuropeanETRS89_LAEAQuad")
    }
)
"""Sets of tiles that pictures come in."""

ITEMS: Final = "/items/{item_id}"
"""Where one product is."""
MOSAIC: Final = "/mosaic"
"""Where is what a search finds."""


def face_routes(context: Context) -> APIRouter:
    """Return titiler's routes for one product and for searches, and the definitions of the sets of tiles."""
    paths = Paths(context)
    router = APIRouter()
    for prefix, name, path in ((ITEMS, "item", paths.item), (MOSAIC, "mosaic", paths.mosaic)):
        router.include_router(_factory(prefix, name, path).router, prefix=prefix, tags=[name])
        router.include_router(series_routes(path), prefix=prefix, tags=[name])
    router.include_router(grid_routes(paths.mosaic))
    sets = TMSFactory(supported_tms=SETS, router=APIRouter(route_class=PictureRoute), name="sets")
    router.include_router(sets.router, tags=["sets"])
    return router


def _factory(prefix: str, name: str, path: Callable[..., Source]) -> TilerFactory:
    how: dict[str, Any] = {
        "layer_dependency": LayerParams,
        "dataset_dependency": DatasetParams,
        "tile_dependency": TileSizes,
        "stats_dependency": CheckedStatistics,
        "histogram_dependency": CheckedHistogram,
        "img_preview_dependency": PreviewSize,
        "img_part_dependency": PictureSize,
        "process_dependency": processing,
        "colormap_dependency": colours_of,
        "render_dependency": ShowParams,
    }
    shown = ("tile", "layer", "dataset", "process", "colormap", "render")
    wmts = wmtsExtension(
        tile_dependencies=[how[f"{kind}_dependency"] for kind in shown], layer_identifier_provider=lambda _: name
    )
    return TilerFactory(
        reader=SceneReader,
        path_dependency=path,
        router=APIRouter(route_class=PictureRoute),
        router_prefix=prefix,
        name=name,
        supported_tms=SETS,
        render_func=picture,
        add_viewer=False,  # it loads scripts from elsewhere
        extensions=[wmts],
        **how,
    )
