"""What is checked of every request before it is answered.

Parameters that an operation does not have are refused, as OGC API Features demands: a misspelt filter that is
ignored returns everything, and nobody notices. So are parameters that are given twice.
"""

from __future__ import annotations

import email.message
from collections.abc import Container  # noqa: TC003 - as it is for Request

from fastapi import params
from fastapi.dependencies.utils import get_flat_params
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request  # noqa: TC002 - FastAPI reads the annotation

from abut.errors import BadRequestError
from abut.messages import quoted

_ELSEWHERE = (params.Path, params.Header, params.Cookie)
"""Parameters that are not in the query; fields of models of queries have no kind of their own."""


async def check(request: Request) -> None:
    """Raise what is wrong with a request as such: names of parameters, characters, type of its body."""
    if "\0" in request.scope["path"]:
        raise HTTPException(404, f"no resource {quoted(request.scope['path'])}")
    route = request.scope["route"]
    if isinstance(route, APIRoute):
        _check_parameters(request, known_parameters(request, route))
        written = (route.openapi_extra or {}).get("requestBody", {}).get("content", ())
        if route.body_field is not None or written:
            await _check_body(request, written)


def known_parameters(request: Request, route: APIRoute) -> list[str]:
    """Return the names of the parameters of a route, which an application looks up once."""
    found: dict[str, list[str]] = request.app.state.parameters
    if route.unique_id not in found:
        fields = get_flat_params(route.dependant)
        described = (route.openapi_extra or {}).get("parameters", ())
        found[route.unique_id] = [
            *(field.alias for field in fields if not isinstance(field.field_info, _ELSEWHERE)),
            *(one["name"] for one in described if one["in"] == "query"),  # see `services.stac.routes`
        ]
    return found[route.unique_id]


def _check_parameters(request: Request, known: list[str]) -> None:
    names = [name for name, _ in request.query_params.multi_items()]
    for name in names:
        if name not in known:
            raise BadRequestError(f"parameter {quoted(name)} is unknown here; there are {', '.join(known) or 'none'}")
        if names.count(name) > 1:
            raise BadRequestError(f"{name}: given more than once; lists are separated by commas")
        if "\0" in (value := request.query_params[name]):
            raise BadRequestError(f"{name}: {quoted(value)} has the character \\u0000")


async def _check_body(request: Request, written: Container[str]) -> None:
    """Raise what is wrong with a body: one that is written has one of the types of its operation.

    The body of a search was read before, by FastAPI. One that is written is large, and is not read before its token
    was looked at: of that, headers have to do.
    """
    body = b"" if written else await request.body()
    kind = request.headers.get("content-type", "")
    message = email.message.Message()
    message["content-type"] = kind
    sent = message.get_content_type()
    taken = sent in written if written else sent == "application/json" or sent.endswith("+json")
    if (body or (written and _announced(request))) and not taken:
        raise HTTPException(415, f"a body of type {quoted(kind)} is not JSON of a kind that is taken here")
    if b"\\u0000" in body.replace(b"\\\\", b""):
        raise BadRequestError("body: has the character \\u0000")


def _announced(request: Request) -> bool:
    """Whether the headers of a request say that a body follows."""
    return request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers
