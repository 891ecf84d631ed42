"""Coordinate systems that strangers may name: by the codes of registries, and by nothing else.

What PROJ and GDAL take for a coordinate system may name a file (``+init=/path:x``, ``+nadgrids=/path``), which they
open: a named pipe would hold a thread for ever, and answers would tell which files there are.
"""

from __future__ import annotations

import re
from typing import Any, Final

from abut.errors import BadRequestError
from abut.messages import quoted

_CODE: Final = re.compile(
    r"(?:EPSG|OGC|ESRI|IAU_2015):[A-Za-z0-9]{1,12}|https?://www\.opengis\.net/def/crs/[A-Za-z]+/[0-9.]+/[A-Za-z0-9]+"
    r"|urn:ogc:def:crs:[A-Za-z]+:[0-9.]*:[A-Za-z0-9]+",
    re.IGNORECASE,
)


def require_code(name: str, value: Any) -> None:
    """See that a coordinate system is named by a code, or is a number.

    Parameters
    ----------
    name : str
        Name of the parameter, for the message.
    value : str or int
        Such as ``EPSG:32632``, ``OGC:CRS84``, a URL of opengis.net, or 32632.

    Raises
    ------
    BadRequestError
        If not.
    """
    if isinstance(value, str) and not _CODE.fullmatch(value) and not re.fullmatch(r"[0-9]{4,6}", value):
        raise BadRequestError(f"{name}: {quoted(value)} is not a coordinate system such as EPSG:32632")
