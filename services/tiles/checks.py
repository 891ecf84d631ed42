"""What is checked of every request for pictures before it is parsed further: names of parameters, and their values.

titiler's own routes look at some values only when it is too late: a zoom of a million is a million rows of limits, and
text that GDAL takes for a coordinate system may be the name of a file.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request  # noqa: TC002 - FastAPI reads the annotation

from abut.errors import BadRequestError
from abut.messages import quoted
from services.stac.auth import CALLER
from services.stac.checks import known_parameters
from services.systems import require_code
from services.tickets import PARAMETER as TICKET

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

REPEATED: Final = frozenset({"bands", "assets", "rescale", "p", "c", "zooms"})
"""Parameters that may be given several times."""
IGNORED: Final = frozenset({"service", "request", "version", "acceptversions", "sections", "updatesequence"})
"""What clients of WMTS add to any URL of capabilities, in whatever case."""
OF_TILES: Final = frozenset(
    {
        *(
            "render",
            "bands",
            "assets",
            "expression",
            "unscale",
            "resampling",
            "rescale",
            "color_formula",
            "return_mask",
        ),
        *("colormap", "colormap_name", "algorithm", "algorithm_params", "buffer", "padding", "empty", "tilesize"),
    }
)
"""What lists of tiles hand on to the tiles that they link to."""
ZOOM: Final = 30
"""Largest zoom that any set of tiles has."""

_ZOOMS: Final = re.compile(r"(?:\*|\w+)::(\d{1,2}),(\d{1,2})")


async def check(request: Request) -> None:
    """Raise what is wrong with a request as such.

    Raises
    ------
    BadRequestError
        If a parameter is unknown, given twice or has a value that none of the routes can use.
    """
    if "\0" in request.scope["path"]:
        raise HTTPException(404, f"no resource {quoted(request.scope['path'])}")
    route = request.scope["route"]
    if not isinstance(route, APIRoute):
        return
    known = known_parameters(request, route)
    if route.path.endswith(("/tiles", "/tiles/{tileMatrixSetId}")):
        known = [*known, *sorted(OF_TILES)]
    given = request.query_params.multi_items()
    caller = request.scope.get(CALLER)
    is_shown_by_ticket = caller is not None and caller.by_ticket
    is_wmts = route.path.endswith("/WMTSCapabilities.xml")
    for name, value in given:
        if name == TICKET and is_shown_by_ticket:
            continue  # it is handed on to the tiles, see `services.access`
        if name not in known and not (is_wmts and name.lower() in IGNORED):
            raise BadRequestError(f"parameter {quoted(name)} is unknown here; there are {', '.join(known) or 'none'}")
        if name not in REPEATED and sum(other == name for other, _ in given) > 1:
            raise BadRequestError(f"{name}: given more than once")
        if "\0" in value:
            raise BadRequestError(f"{name}: {quoted(value)} has the character \\u0000")
        if name in _VALUES:
            _VALUES[name](name, value)
    for part in _PARTS:
        if (text := request.path_params.get(part)) is not None:
            _require_size(part, str(text))


def _require_zoom(name: str, value: str) -> None:
    if not (value.isascii() and value.isdecimal() and int(value[:4]) <= ZOOM):
        raise BadRequestError(f"{name}: {quoted(value)} is not a zoom from 0 to {ZOOM}")


def _require_zooms(name: str, value: str) -> None:
    found = _ZOOMS.fullmatch(value)
    if not found or max(map(int, found.groups())) > ZOOM:
        raise BadRequestError(f"{name}: {quoted(value)} is not <tile matrix set>::<first>,<last>, zooms up to {ZOOM}")


def _require_size(name: str, value: str) -> None:
    if not (value.isascii() and value.isdecimal() and 1 <= int(value[:6]) <= _SIDE):
        raise BadRequestError(f"{name}: {quoted(value)} is not a number of pixels from 1 to {_SIDE}")


def _require_json(name: str, value: str) -> None:
    if value != "json":
        raise BadRequestError(f"{name}: {quoted(value)} is not json; there are no pages for people here")


_SIDE: Final = 16_384
_PARTS: Final = ("width", "height")
_VALUES: Final[Mapping[str, Callable[[str, str], None]]] = {
    **dict.fromkeys(("crs", "coord_crs", "dst_crs"), require_code),
    **dict.fromkeys(("minzoom", "maxzoom"), _require_zoom),
    **dict.fromkeys(("width", "height", "max_size", "tilesize"), _require_size),
    "zooms": _require_zooms,
    "f": _require_json,
}
"""What values have to be, by parameter."""
