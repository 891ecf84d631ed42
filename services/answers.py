"""Answers that several applications give: what is wrong, as the JSON that STAC APIs use for errors."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Final

from starlette.responses import Response

from abut.messages import describe

if TYPE_CHECKING:
    from collections.abc import Mapping

CODES: Final = {
    400: "BadRequest",
    404: "NotFound",
    405: "MethodNotAllowed",
    413: "ContentTooLarge",
    416: "RangeNotSatisfiable",
    500: "InternalServerError",
    503: "ServiceUnavailable",
}
"""Names of the statuses in error bodies."""

_LOG: Final = logging.getLogger("abut.services")


def problem(status: int, description: str, headers: Mapping[str, str] | None = None, **more: str) -> Response:
    """Return an error answer.

    Parameters
    ----------
    status : int
        One of `CODES`.
    description : str
        What is wrong, in one line.
    headers : mapping, optional
        Further headers.
    **more : str
        Further members of the body.
    """
    body = {"code": CODES[status], "description": description, **more}
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
