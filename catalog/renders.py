"""Pictures of the products, as the render extension describes them to tile servers such as titiler."""

from __future__ import annotations

from typing import Any, Final

DISPLAY: Final = (500, 4_000)
"""Digital numbers that colour pictures show from black to white.

Wide enough for products from before baseline 04.00, which have no offset, and for those after, whose digital numbers
are higher by 1,000.
"""


def renders() -> dict[str, dict[str, Any]]:
    """Return the render objects of the collection, by name.

    Colours are stretched in digital numbers. Indices are ratios, which an offset would falsify: they ask for
    reflectance (``unscale``, titiler's word for: apply scale and offset) and are right for every baseline. Expressions
    name the assets as ``b1``, ``b2``, ... in the order of ``assets``, as titiler does.
    """
    return {
        "true-colour": _colour("True colour", "B04", "B03", "B02"),
        "false-colour": _colour("False colour: vegetation in red", "B08", "B04", "B03"),
        "swir": _colour("Short-wave infrared: fire, bare ground, snow against clouds", "B12", "B8A", "B04"),
        "ndvi": _index("Vegetation index (NDVI)", "B08", "B04", "rdylgn", (-0.2, 1.0)),
        "ndmi": _index("Moisture index (NDMI)", "B8A", "B11", "rdylbu", (-0.6, 0.6)),
        "ndsi": _index("Snow index (NDSI)", "B03", "B11", "blues", (0.0, 1.0)),
        "cirrus": {
            "title": "Cirrus clouds",
            "assets": ["B10"],
            "unscale": True,
            "rescale": [[0.0, 0.03]],
            "resampling": "bilinear",
        },
    }


def _colour(title: str, *bands: str) -> dict[str, Any]:
    return {
        "title": title,
        "assets": list(bands),
        "rescale": [list(DISPLAY) for _ in bands],
        "resampling": "bilinear",
    }


def _index(title: str, first: str, second: str, colours: str, shown: tuple[float, float]) -> dict[str, Any]:
    """Return the picture of a normalized difference, (first - second) / (first + second)."""
    return {
        "title": title,
        "assets": [first, second],
        "expression": "(b1-b2)/(b1+b2)",
        "unscale": True,
        "rescale": [list(shown)],
        "colormap_name": colours,
        "resampling": "bilinear",
    }
