"""Legacy tiles over HTTP: ``/legacy/{id}?format=safe``, a zip of the SAFE or of GeoTIFFs, bit for bit as it came in."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from abut import __version__
from abut.errors import BadRequestError, ProductNotFoundError
from abut.export import export_geotiff, export_safe
from abut.export.cube_zarr import zip_folder
from abut.export.source import safe_layout
from abut.messages import quoted
from abut.product import holding
from services.cubes.answers import HANDLED, TemporaryFile
from services.cubes.context import aside, has
from services.cubes.execution import Workshop
from services.cubes.files import ZIP, Made, Unchanged
from services.cubes.users import Users

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from abut.archive import Archive
    from abut.product import Product
    from services.cubes.execution import Stop
    from services.settings import Settings
    from services.stac.auth import Access

FORMATS: Final = ("safe", "geotiff")
"""As what a tile comes."""


def create_legacy_app(archive: Archive, settings: Settings, access: Access | None) -> Starlette:
    """Return the application that serves legacy tiles.

    Parameters
    ----------
    archive : Archive
        The archive.
    settings : Settings
        What the operator decided.
    access : Access, optional
        Who knows tokens; None: users are told apart by address.
    """
    users = Users(access, archive.id)
    workshop = Workshop(
        threads=settings.legacy_threads,
        waiting=settings.cube_waiting,
        per_user=settings.cube_requests_per_user,
        seconds=settings.legacy_seconds,
        name="legacy",
    )

    async def tile(request: Request) -> Response:
        form = _format(request)
        user = await users.name(request)
        if request.method == "HEAD":
            return _headers(await aside(_live, archive, request.path_params["id"]), form)
        work = partial(_make, archive, request.path_params["id"], form, settings.scratch, partial(has, request))
        made = await workshop.run(request, user, work, _discard)
        if isinstance(made, Unchanged):
            return Response(status_code=304, headers={"etag": made.tag, "cache-control": "no-cache"})
        return TemporaryFile(made.path, made.folder, made.media_type, made.headers)

    app = Starlette(routes=[Route("/{id}", tile, methods=["GET"])], exception_handlers=dict(HANDLED))
    app.router.redirect_slashes = False
    app.state.place = archive.store.url  # see `services.cubes.answers`
    return app


def _format(request: Request) -> str:
    said = request.query_params.multi_items()
    for name, _ in said:
        if name != "format" or len(said) > 1:
            raise BadRequestError(f"parameter {quoted(name)} is unknown here, or given twice; there is format")
    form = request.query_params.get("format", "safe")
    if form not in FORMATS:
        raise BadRequestError(f"format {quoted(form)} is not one of {', '.join(FORMATS)}")
    return form


def _make(  # noqa: PLR0917 - the last is given by the workshop
    archive: Archive, name: str, form: str, scratch: str | None, is_known: Callable[[str], bool], stop: Stop
) -> Made | Unchanged:
    """Make the zip of a tile; each image is compared with the digest recorded at ingest."""
    product = _live(archive, name)
    tag = _tag(product, form)
    if is_known(tag):
        return Unchanged(tag)
    folder = Path(tempfile.mkdtemp(prefix="abut-legacy-", dir=scratch))
    try:
        out = folder / "out"
        done: Any = stop.check
        if form == "safe":
            export_safe(archive, product, out, done=done)
        else:
            export_geotiff(archive, product, out, done=done)
        packed = folder / _name(product, form)
        zip_folder(out, packed)
        shutil.rmtree(out)
        stop.check()
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return Made(folder, packed, ZIP, tag, (product.id,))


def _live(archive: Archive, name: str) -> Product:
    """Return a product that is not withdrawn: what the operator hid is not given to strangers."""
    product = archive.product(name)
    if holding(archive.store, product)[0].withdrawn is not None:
        raise ProductNotFoundError(f"{archive.store.url}: product {quoted(product.id)} was withdrawn")
    return product


def _name(product: Product, form: str) -> str:
    return f"{safe_layout(product).name if form == 'safe' else product.id}.zip"


def _tag(product: Product, form: str) -> str:
    digest = hashlib.sha256(f"{__version__} {product.folder} {form}".encode()).hexdigest()
    return f'W/"{digest[:32]}"'


def _headers(product: Product, form: str) -> Response:
    """Return the answer to HEAD: what GET would say before the tile is made, so without its length."""
    made = Made(Path(), Path(_name(product, form)), ZIP, _tag(product, form), (product.id,))
    answer = Response(None, 200, made.headers, ZIP)
    del answer.headers["content-length"]
    return answer


def _discard(made: Made | Unchanged) -> None:
    if isinstance(made, Made):
        made.discard()
