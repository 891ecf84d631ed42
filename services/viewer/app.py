"""The page that shows an archive in a browser, and the files that it is made of."""

from __future__ import annotations

import hashlib
import mimetypes
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route

from services.answers import problem
from services.proxy import BASE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request
    from starlette.types import ASGIApp

DIST: Final = Path(__file__).with_name("dist")
"""Where the build (`services/viewer/setup`) puts the page."""
PAGE: Final = "index.html"
"""Name of the page itself."""
_ALLOWED: Final = (
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' blob: data:",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'self'",
)
POLICY: Final = "; ".join(_ALLOWED)
"""What the page may load: nothing but from where it came, and no script or style that is written into it."""

_SUFFIXES: Final = {"br": ".br", "gzip": ".gz"}
_SAFE: Final = {"x-content-type-options": "nosniff"}


@dataclass(frozen=True, slots=True)
class File:
    """A file of the page."""

    media_type: str
    """Its media type."""
    etag: str
    """A digest of its content, as HTTP quotes it."""
    bodies: Mapping[str, bytes]
    """Its bytes by content coding; the plain ones as ``identity``."""

    def answer(self, request: Request, headers: Mapping[str, str]) -> Response:
        """Return it in the best coding that the client accepts, or 304 if it has it."""
        coding = next((name for name in _SUFFIXES if name in self.bodies and _accepts(request, name)), "identity")
        shared = {**_SAFE, **headers, "etag": f'"{self.etag}-{coding}"', "vary": headers.get("vary", "Accept-Encoding")}
        known = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
        if shared["etag"] in known:
            return Response(status_code=304, headers=shared)
        coded = {} if coding == "identity" else {"content-encoding": coding}
        return Response(self.bodies[coding], headers={**shared, **coded}, media_type=self.media_type)


@dataclass(frozen=True, slots=True)
class Viewer:
    """The built page in memory."""

    files: Mapping[str, File]
    """By name; names carry a digest, but for the page's."""

    def page(self, request: Request) -> Response:
        """Return the page."""
        headers = {
            "cache-control": "no-cache",
            "content-security-policy": POLICY,
            "referrer-policy": "same-origin",
            "cross-origin-opener-policy": "same-origin",
            "vary": "Accept, Accept-Encoding",
        }
        return self.files[PAGE].answer(request, headers)

    def file(self, request: Request) -> Response:
        """Return a file of the page, which never changes under its name."""
        name = request.path_params["name"]
        file = self.files.get(name)
        if file is None or name == PAGE:
            raise HTTPException(404, f"there is no {name}")
        return file.answer(request, {"cache-control": "public, max-age=31536000, immutable"})


def load_viewer(folder: Path = DIST) -> Viewer | None:
    """Return the built page, or None where it was not built.

    Parameters
    ----------
    folder : Path
        Where the build put it.
    """
    if not (folder / PAGE).is_file():
        return None
    endings = tuple(_SUFFIXES.values())
    names = [path.name for path in folder.iterdir() if not path.name.startswith(".") and path.suffix not in endings]
    return Viewer({name: _load(folder / name) for name in names})


def wants_page(request: Request) -> bool:
    """Tell whether a client prefers a page to JSON, as browsers do; who accepts anything gets JSON."""
    weights = _weights(request.headers.get("accept", ""))
    html = weights.get("text/html", 0)
    return html > 0 and html >= weights.get("application/json", 0)


def files_app(viewer: Viewer | None) -> Starlette:
    """Return the application with the page's files, to be mounted at ``/viewer``; its root leads to the page."""

    async def file(request: Request) -> Response:
        if viewer is None:
            raise HTTPException(404, "the viewer was not built: run services/viewer/setup")
        return viewer.file(request)

    async def to_page(request: Request) -> Response:
        return RedirectResponse(f"{request.scope.get(BASE, '')}/", 307)

    return Starlette(routes=[Route("/", to_page), Route("/{name}", file)], exception_handlers={HTTPException: _refused})


def create_viewer_app(viewer: Viewer) -> ASGIApp:
    """Return the viewer alone: the page at ``/``, its files below ``/viewer``.

    The page asks for data where it came from, so something in front has to lead ``/stac``, ``/tiles`` and ``/cubes``
    to the services that answer there.
    """

    async def page(request: Request) -> Response:
        return viewer.page(request)

    return Starlette(routes=[Route("/", page), Mount("/viewer", files_app(viewer))])


def _load(path: Path) -> File:
    data = path.read_bytes()
    coded = {name: Path(f"{path}{suffix}") for name, suffix in _SUFFIXES.items()}
    bodies = {"identity": data, **{name: other.read_bytes() for name, other in coded.items() if other.is_file()}}
    kind = {".js": "text/javascript"}.get(path.suffix) or mimetypes.guess_type(path.name)[0]
    return File(kind or "application/octet-stream", hashlib.sha256(data).hexdigest()[:32], bodies)


def _accepts(request: Request, coding: str) -> bool:
    return _weights(request.headers.get("accept-encoding", "")).get(coding, 0) > 0


def _weights(header: str) -> dict[str, float]:
    """Return what a header such as ``Accept`` names, and how much each is wanted."""
    found = {}
    for entry in header.split(","):
        name, *parameters = (part.strip() for part in entry.split(";"))
        weight = next((text.removeprefix("q=") for text in parameters if text.startswith("q=")), "1")
        try:
            found[name.lower()] = float(weight)
        except ValueError:
            found[name.lower()] = 0.0
    return found


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - the handler of no other
    return problem(error.status_code, error.detail, error.headers)
