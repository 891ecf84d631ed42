"""Pictures of the products, by name: one table for the collection (render extension), the map tiles and the viewer."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from typing import Any, Final

from abut.layout import BANDS, CLASSIFICATION_BITS


@dataclass(frozen=True, slots=True)
class Kind:
    """One value of a picture that shows classes."""

    value: int
    """The value of the pixels."""
    label: str
    """What it means."""
    colour: tuple[int, int, int]
    """Red, green and blue, 0 ... 255."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Render:
    """A picture that is known by a name."""

    title: str
    """What it shows, in a few words."""
    layers: tuple[str, ...]
    """Bands and flags it is made of, as the map tiles name them."""
    assets: tuple[str, ...]
    """Assets of an item that these lie in."""
    expression: str | None = None
    """What is computed of the layers ``b1``, ``b2``, ...; None: they are shown as they are."""
    unscale: bool = True
    """Whether the layers are reflectance, not digital numbers; False for flags."""
    shown: tuple[tuple[float, float], ...] = ()
    """Value of the darkest and of the brightest colour, of each channel; none of classes."""
    colours: str | None = None
    """Name of a colour map of rio-tiler; None: shades of grey, or red, green and blue."""
    kinds: tuple[Kind, ...] = ()
    """Classes; values that are none of them are transparent."""
    resampling: str = "bilinear"
    """How pixels are made where they are not those of the product."""

    def stac(self) -> dict[str, Any]:
        """Return the object of the render extension.

        ``abut:layers`` names what the map tiles take where that is not an asset.
        """
        told: dict[str, Any] = {"title": self.title, "assets": list(self.assets)}
        if self.layers != self.assets:
            told["abut:layers"] = list(self.layers)
        if self.expression:
            told["expression"] = self.expression
        if self.unscale:
            told["unscale"] = True
        if self.shown:
            told["rescale"] = [list(one) for one in self.shown]
        if self.colours:
            told["colormap_name"] = self.colours
        if self.kinds:
            told["colormap"] = {str(kind.value): [*kind.colour, 255] for kind in self.kinds}
        return {**told, "resampling": self.resampling}


def renders() -> dict[str, dict[str, Any]]:
    """Return the render objects of the collection, by name.

    Everything is stretched in reflectance (``unscale``, titiler's word for: apply scale and offset), so that products
    from before baseline 04.00, which have no offset, look like those after it, whose digital numbers are higher by
    1,000. Expressions name the assets as ``b1``, ``b2``, ... in the order of ``assets``, as titiler does.
    """
    return {name: render.stac() for name, render in RENDERS.items()}


DEFAULT: Final = "true-colour"
"""Picture of a request that names none."""

SHOWN: Final = {
    **{band.name: (0.0, 0.5) for band in BANDS},
    "B01": (0.08, 0.35),
    "B02": (0.06, 0.30),
    "B03": (0.04, 0.30),
    "B04": (0.02, 0.30),
    "B05": (0.02, 0.35),
    "B09": (0.0, 0.3),
    "B10": (0.0, 0.03),
    "B11": (0.0, 0.45),
    "B12": (0.0, 0.40),
}
"""Reflectance that pictures show as darkest and brightest, by band.

Black is about what clear air itself scatters, which veils what is below; the other end is dry soil, or plants in the
near infrared. Clouds and snow are white.
"""

DETECTORS: Final = 12
"""Detectors of the instrument, numbered from 1."""


def _colour(title: str, *bands: str) -> Render:
    return Render(title=title, layers=bands, assets=bands, shown=tuple(SHOWN[band] for band in bands))


def _index(title: str, first: str, second: str, colours: str, shown: tuple[float, float]) -> Render:
    """Return the picture of a normalized difference, (first - second) / (first + second)."""
    return Render(
        title=title,
        layers=(first, second),
        assets=(first, second),
        expression="(b1-b2)/(b1+b2)",
        shown=(shown,),
        colours=colours,
    )


def _flags(title: str, layer: str, asset: str, kinds: tuple[Kind, ...]) -> Render:
    return Render(title=title, layers=(layer,), assets=(asset,), unscale=False, kinds=kinds, resampling="nearest")


def _detector(number: int) -> Kind:
    """Return the colour of a detector: neighbours lie far from each other on the circle of colours."""
    light = 0.40 if number % 2 else 0.62
    red, green, blue = colorsys.hls_to_rgb(number * 5 % DETECTORS / DETECTORS, light, 0.75)
    return Kind(number, f"Detector {number}", (round(255 * red), round(255 * green), round(255 * blue)))


_FLAGS: Final = dict(zip(CLASSIFICATION_BITS, ("opaque cloud", "cirrus", "snow or ice"), strict=True))

_CLOUDS: Final = (
    (255, 196, 0),
    (255, 105, 180),
    (255, 140, 60),
    (0, 200, 255),
    (190, 220, 90),
    (150, 130, 255),
    (200, 160, 160),
)
"""Colours of the classification's values 1 ... 7."""


def _cloud(value: int) -> Kind:
    names = [name for bit, name in enumerate(_FLAGS.values()) if value >> bit & 1]
    return Kind(value, ", ".join(names).capitalize(), _CLOUDS[value - 1])


RENDERS: Final = {
    "true-colour": _colour("True colour", "B04", "B03", "B02"),
    "false-colour": _colour("False colour: vegetation in red", "B08", "B04", "B03"),
    "swir": _colour("Short-wave infrared: fire, bare ground, snow against clouds", "B12", "B8A", "B04"),
    "ndvi": _index("Vegetation index (NDVI)", "B08", "B04", "rdylgn", (-0.2, 1.0)),
    "ndwi": _index("Water index (NDWI)", "B03", "B08", "rdbu", (-0.8, 0.8)),
    "ndmi": _index("Moisture index (NDMI)", "B8A", "B11", "rdylbu", (-0.6, 0.6)),
    "ndsi": _index("Snow index (NDSI)", "B03", "B11", "blues", (0.0, 1.0)),
    "cirrus": Render(title="Cirrus clouds", layers=("B10",), assets=("B10",), shown=(SHOWN["B10"],)),
    "clouds": _flags(
        "Clouds and snow, as the product classifies them",
        "classification",
        "classification",
        tuple(_cloud(value) for value in range(1, 8)),
    ),
    "detector-footprint": _flags(
        "Detectors that saw the ground, of B02",
        "B02_detector_footprint",
        "detector_footprint",
        tuple(_detector(number) for number in range(1, DETECTORS + 1)),
    ),
    "provenance": _flags(
        "Where pixels are from, of B02: their own UTM zone, or resampled from another",
        "provenance",
        "B02",
        (Kind(1, "Pixels of the zone", (60, 150, 90)), Kind(2, "Resampled from another zone", (230, 120, 40))),
    ),
}
"""The pictures by name."""
