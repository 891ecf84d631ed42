"""A tile of the Sentinel-2 grid and so many metres around it, in the coordinates of its zone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query
from rasterio.crs import CRS
from starlette.responses import Response
from titiler.core.factory import img_endpoint_params
from titiler.core.resources.enums import ImageType

from abut.errors import BadRequestError
from abut.export.gdal import Grid
from abut.inputs import asked_of
from services.cubes.answers import TemporaryFile
from services.cubes.files import products_of
from services.tiles.dependencies import PreviewSize, processing
from services.tiles.native import Native, finest, require_bytes, write_native
from services.tiles.reader import SceneReader
from services.tiles.rendering import NATIVE, picture
from services.tiles.renders import DatasetParams, LayerParams, ShowParams, colours_of
from services.tiles.routes import DownloadRoute
from services.tiles.source import options_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from abut.lattice import Bounds
    from services.tiles.source import Source

FORMATS: Final = tuple(map(ImageType, ("tif", "tiff", "npy", "png", "jpeg", "jpg", "webp")))
"""Formats of native pixels, and of pictures."""


def grid_routes(path: Callable[..., Source]) -> APIRouter:
    """Return the route ``/grid/{tile}.{format}``.

    Parameters
    ----------
    path : callable
        Dependency that says what is read.
    """
    router = APIRouter(route_class=DownloadRoute, tags=["grid"])

    @router.get("/grid/{tile}.{format}", summary="A tile and what lies around it", **img_endpoint_params)
    def grid(  # noqa: PLR0917 - FastAPI names them
        tile: Annotated[str, Path(description="A tile, such as `32TNM`.")],
        format: Annotated[ImageType, Path(description="`tif` or `npy`: native DN; `png`, `jpeg`, `webp`: a picture.")],  # noqa: A002 - in URLs
        layers: Annotated[LayerParams, Depends()],
        dataset: Annotated[DatasetParams, Depends()],
        size: Annotated[PreviewSize, Depends()],
        process: Annotated[Any, Depends(processing)],
        colours: Annotated[Any, Depends(colours_of)],
        show: Annotated[ShowParams, Depends()],
        src_path: Any = Depends(path),  # noqa: B008, FAST002 - annotations can't name it
        buffer: Annotated[float, Query(description="Metres around the tile, rounded up to a multiple of 60.")] = 0,
    ) -> Response:
        """Native pixels as GeoTIFF or NumPy array, DN as a cube has them; or a picture of at most `max_size` pixels.

        The pixels of a file are as large as those of its finest band.
        """
        if format not in FORMATS:
            raise BadRequestError(f"format {format.value!r} is not one of {', '.join(one.value for one in FORMATS)}")
        ground = asked_of({"tile": tile, "buffer": buffer}).window
        if format in NATIVE:
            return _native(src_path, tile, buffer, layers, format)
        edges = (ground.left, ground.bottom, ground.right, ground.top)
        crs = CRS.from_epsg(ground.zone.epsg)
        with SceneReader(src_path) as reader:
            asked = {**layers.as_dict(), **size.as_dict(), **dataset.as_dict()}
            image = reader.part(edges, bounds_crs=crs, **asked)
        image = process(image) if process else image
        content, kind = picture(image, output_format=format, colormap=colours, **show.as_dict())
        return Response(content, media_type=kind, headers=_placed(ground))

    return router


def _native(source: Source, tile: str, buffer: float, layers: LayerParams, form: ImageType) -> Response:
    """Return the answer with native pixels."""
    asked = layers.as_dict()
    if "expression" in asked:
        raise BadRequestError(f"format {form.value} has native pixels of bands, not of an expression")
    names = tuple(dict.fromkeys(asked["layers"]))
    size, limit = finest(names), source.context.settings.tile_grid_bytes
    ground = asked_of({"tile": tile, "buffer": buffer}).window
    require_bytes((len(names), *ground.shape(size)), limit)
    options = options_of(source.context, source.wish)
    options |= {"bands": names, "resolution": size, "chunks": {}}
    cube: Any = source.context.connection.tile(tile, buffer, **options)
    native = Native(cube, names, Grid(ground, size), source.wish.order)
    native.require(limit)
    source.told.products.update(products_of(cube))
    coordinates = ("time", "datatake", "product", "source", "radio_add_offset")
    source.told.of(str(cube[name].to_numpy().tolist()) for name in coordinates)
    folder, path = write_native(native, form.value, source.context.settings.scratch, source.stop)
    headers = {**_placed(ground), "content-disposition": f'attachment; filename="{tile}.{form.value}"'}
    return TemporaryFile(path, folder, form.mediatype, headers)


def _placed(ground: Bounds) -> dict[str, str]:
    return {
        "content-bbox": f"{ground.left},{ground.bottom},{ground.right},{ground.top}",
        "content-crs": f"<http://www.opengis.net/def/crs/EPSG/0/{ground.zone.epsg}>",
    }
