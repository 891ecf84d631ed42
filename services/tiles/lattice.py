"""The lattice as GeoJSON: tiles of the grid, blocks of a product and who holds them, what is stored no longer.

From the grid, ledgers and records; no pixels are read. Mount `lattice_routes` at ``/lattice``.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Query
from starlette.requests import Request  # noqa: TC002 - FastAPI reads the annotation
from starlette.responses import Response

from abut import __version__
from abut.errors import BadRequestError
from abut.period import parse_period
from catalog.geometry import ground_of
from catalog.places import GEOJSON
from services.cubes.context import has
from services.stac.parameters import bbox as parse_bbox
from services.stac.render import HEADERS, JSON, json_answer
from services.tiles.overlap import Share, grounds_of, lent, live, ranks_of, share_of, sizes_of
from services.tiles.routes import route_in
from services.tiles.saved import Selection
from services.tiles.squares import BLOCK_PARTS, TILE_PARTS, geometry_of, outlines, tiles_in

if TYPE_CHECKING:
    from abut.archive import Archive
    from abut.lattice import Block
    from abut.ledger import Ledger, Member
    from abut.product import Product
    from abut.tiling import Tile
    from services.cubes.execution import Workshop

GRID_HEADERS: Final = {"cache-control": "public, max-age=86400"}
"""The tiling grid does not change."""

_OK: Final[dict[int | str, dict[str, Any]]] = {200: {"content": {GEOJSON: {"schema": {"type": "object"}}}}}

_BOX: Final = "West, south, east, north in degrees; west > east crosses 180 degrees"
_ITEM: Final = "Id of a product"


def lattice_routes(archive: Archive, workshop: Workshop) -> APIRouter:
    """Return the routes ``/grid``, ``/blocks`` and ``/overlap``.

    Errors are those of `abut.errors`, which the application answers: `BadRequestError`, `InvalidPeriodError`,
    `ProductNotFoundError`, `TooLargeError`; and `RefusedError`, as the workshop has limits.

    Parameters
    ----------
    archive : Archive
        The archive.
    workshop : Workshop
        Where they are answered.
    """
    router = APIRouter(tags=["Lattice"], route_class=route_in(workshop))
    selection = Selection(archive)

    @router.get("/grid", summary="Footprints of the tiles of the Sentinel-2 grid", responses=_OK)
    def grid(request: Request, bbox: Annotated[str, Query(description=_BOX)]) -> Response:
        made = json_answer(request, _collection(map(_tile_feature, tiles_in(_box(bbox)))), GEOJSON)
        made.headers.update(GRID_HEADERS)
        return made

    @router.get("/blocks", summary="Blocks of a product, and who holds them", responses=_OK)
    def blocks(request: Request, item: Annotated[str, Query(description=_ITEM, max_length=200)]) -> Response:
        found = live(archive, item)
        return _known(request, found) or _answer(request, found, _blocks(*found))

    @router.get("/overlap", summary="Ground that is stored once: of a product, or of a box and a period", responses=_OK)
    def overlap(
        request: Request,
        item: Annotated[str | None, Query(description=_ITEM, max_length=200)] = None,
        bbox: Annotated[str | None, Query(description=_BOX)] = None,
        datetime: Annotated[str | None, Query(description="Instant, day, month, year or interval")] = None,
    ) -> Response:
        if item is not None:
            if bbox is not None or datetime is not None:
                raise BadRequestError("overlap is of an item, or of a bbox and datetime, not of both")
            found = live(archive, item)
            return _known(request, found) or _answer(request, found, _overlap(*found))
        if bbox is None:
            raise BadRequestError("overlap needs an item or a bbox")
        return json_answer(request, _saved(selection, _box(bbox), datetime), JSON)

    return router


def _box(text: str) -> tuple[float, float, float, float]:
    box = parse_bbox(text)
    if box is None:
        raise BadRequestError("bbox: '' is not a list of numbers")
    return box


def _tag(request: Request, found: tuple[Product, Member, Ledger]) -> str:
    """Return the ETag of what follows from a product and its ledger."""
    product, _, ledger = found
    text = f"{__version__} {request.url.path} {product.prefix} {ledger.layer} {ledger.revision}"
    return f'W/"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'


def _known(request: Request, found: tuple[Product, Member, Ledger]) -> Response | None:
    """Return the answer to a client that has what it asks for."""
    tag = _tag(request, found)
    return Response(status_code=304, headers={**HEADERS, "etag": tag}) if has(request, tag) else None


def _answer(request: Request, found: tuple[Product, Member, Ledger], value: dict[str, Any]) -> Response:
    made = json_answer(request, value, GEOJSON)
    made.headers["etag"] = _tag(request, found)
    return made


def _collection(features: Any, **more: Any) -> dict[str, Any]:
    return {"type": "FeatureCollection", **more, "features": list(features)}


def _feature(name: str, geometry: dict[str, Any] | None, properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "Feature", "id": name, "geometry": geometry, "properties": properties}


def _tile_feature(tile: Tile) -> dict[str, Any]:
    ground = tile.footprint
    return _feature(
        tile.id,
        geometry_of(outlines([ground], TILE_PARTS)[0]),
        {
            "tile": tile.id,
            "epsg": tile.zone.epsg,
            "bounds": [ground.left, ground.bottom, ground.right, ground.top],
        },
    )


def _blocks(product: Product, member: Member, ledger: Ledger) -> dict[str, Any]:
    """Return every block of a product's hull with its state.

    Properties: ``block`` (``epsg/p/q``), ``row`` and ``column`` (its chunk), ``state`` (``held``, ``released``,
    ``empty``), ``holder`` (id of the product that has it; None if empty), ``dropped`` (released, and deleted or about
    to be), ``owner`` (tile that ranks first), ``rank`` (of the product's own tile, from 0) and ``km2`` within the
    footprint.
    """
    hull = list(product.tile.hull)
    rings = outlines([block.bounds for block in hull], BLOCK_PARTS)
    features = [
        _feature(str(block), geometry_of(ring), _block_properties(product, member, block))
        for block, ring in zip(hull, rings, strict=True)
    ]
    return _collection(features, **_about(product, ledger), counts=_counts(product, member))


def _block_properties(product: Product, member: Member, block: Block) -> dict[str, Any]:
    row, column = product.tile.hull.position(block)
    ranks = ranks_of(product.tile.id)[block]
    release = member.released.get(block)
    return {
        "block": str(block),
        "row": row,
        "column": column,
        "state": _state(member, block),
        "holder": member.holder(block),
        "dropped": release is not None and release.dropped,
        "owner": ranks[0],
        "rank": ranks.index(product.tile.id) if product.tile.id in ranks else None,
        "km2": grounds_of(product.tile)[block] / 1_000_000,
    }


def _state(member: Member, block: Block) -> str:
    if block in member.held:
        return "held"
    return "released" if block in member.released else "empty"


def _about(product: Product, ledger: Ledger) -> dict[str, Any]:
    return {"product": product.id, "tile": product.tile.id, "layer": product.layer, "revision": ledger.revision}


def _counts(product: Product, member: Member) -> dict[str, int]:
    states = [_state(member, block) for block in product.tile.hull]
    return {state: states.count(state) for state in ("held", "released", "empty")}


def _overlap(product: Product, member: Member, ledger: Ledger) -> dict[str, Any]:
    """Return the ground that neighbours hold for a product, a feature for each of them, and what it comes to."""
    sizes = sizes_of(product.record)
    features = [
        _feature(
            one.holder,
            ground_of([part for part in map(_inside(product.tile), one.blocks) if part], product.tile.zone),
            {"holder": one.holder, "tile": one.tile.id, **_told(one.share), "dropped": one.dropped},
        )
        for one in lent(product, member, ledger)
    ]
    return _collection(
        features,
        **_about(product, ledger),
        held=_told(share_of(product.tile, member.held, sizes)),
        released=_told(share_of(product.tile, member.released, sizes)),
    )


def _inside(tile: Tile) -> Any:
    return lambda block: block.bounds.intersection(tile.footprint)


def _told(share: Share, *, measured: bool = True) -> dict[str, Any]:
    return {"blocks": share.blocks, "km2": share.km2, "bytes": share.bytes if measured else None}


def _saved(selection: Selection, box: tuple[float, float, float, float], period: str | None) -> dict[str, Any]:
    saved = selection.saved(box, parse_period(period))
    return {
        "products": saved.products,
        "released_by": saved.released_by,
        "held": _told(saved.held, measured=saved.measured),
        "released": _told(saved.released, measured=saved.measured),
    }
