"""Answers that several applications give: what is wrong, as the JSON that STAC APIs use for errors."""

from __future__ import annotations

import json
import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import Response

from abut.messages import describe

if TYPE_CHECKING:
    from collections.abc import Mapping

_LOG: Final = logging.getLogger("abut.services")


def problem(status: int, description: str, headers: Mapping[str, str] | None = None, **more: Any) -> Response:
    """Return an error answer.

    Parameters
    ----------
    status : int
        Status of HTTP.
    description : str
        What is wrong, in one line.
    headers : mapping, optional
        Further headers.
    **more : JSON
        Further members of the body.
    """
    code = "".join(word.capitalize() for word in HTTPStatus(status).phrase.replace("-", " ").split())
    body = {"code": code, "description": description, **more}
    return Response(
        json.dumps(body, ensure_ascii=False),
        status,
        {"cache-control": "no-store", **(headers or {})},
        "application/json",
    )


def unavailable(error: BaseException, place: str) -> Response:
    """Return the answer where a store or database fails; the log says how, the client does not learn where it is."""
    _LOG.error("%s", describe(error, place))
    return problem(503, "the archive does not answer; try again", {"retry-after": "5"})
