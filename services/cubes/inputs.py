"""What clients ask for, in a URL or as inputs of the process, checked once; and the single cubes of a request."""

from __future__ import annotations

import json
from collections.abc import Mapping  # noqa: TC003 - pydantic may look at it
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from abut.errors import BadRequestError, InvalidPeriodError
from abut.inputs import Asked, asked_of
from abut.messages import quoted
from services.cubes.derived import derived_of
from services.systems import require_code
from workflows.indices import INDICES

if TYPE_CHECKING:
    from collections.abc import Iterator

    import xarray as xr

    from abut.connection import Connection
    from services.cubes.derived import Derived
    from services.cubes.jobs import Ask

type Format = Literal["zarr", "netcdf", "geotiff", "cog"]
"""How a cube is written."""

_INDICES: Final = ", ".join(f"`{name}`" for name in INDICES)


@dataclass(frozen=True, slots=True)
class Single:
    """One cube: one place and one period; get it with `single_of`."""

    given: Mapping[str, Any]
    """The inputs that ask for it."""
    asked: Asked
    """Which pixels they mean."""
    derived: Derived | None = None
    """What is computed from these; None: nothing."""

    def pixels(self, connection: Connection) -> xr.Dataset | xr.DataTree:
        """Return the pixels that are read, lazily; errors as `abut.connection.Connection.tile`."""
        return self.asked.read(connection, chunks=self.derived.chunks if self.derived else {})

    def cube(self, pixels: xr.Dataset | xr.DataTree) -> xr.Dataset | xr.DataTree:
        """Return the cube that is made of these pixels, lazily; errors as `Derived.of`."""
        return self.derived.of(pixels) if self.derived else pixels

    @property
    def ask(self) -> Ask:
        """The same as a part of a job has it: JSON, with lengths in metres, ground as tile or box."""
        asked, given = self.asked, self.given
        made: dict[str, Any] = {"options": dict(asked.options)}
        if self.derived is not None:
            made["index"] = list(self.derived.names)
            if self.derived.method is not None:
                made["composite"] = self.derived.method
        if asked.tile is not None:
            made |= {"tile": asked.tile, "buffer": asked.buffer}
        elif asked.geobox is not None and "bbox" in given:
            made |= {"bbox": given["bbox"], "crs": given.get("crs", "EPSG:4326")}
        else:
            window = asked.window
            made |= {"bbox": [window.left, window.bottom, window.right, window.top], "crs": str(window.zone)}
        if asked.geobox is not None:
            made |= {"to": given["to"], "pixel": given["resolution"]}
        return made  # type: ignore[return-value]  # a TypedDict, made piece by piece


def single_of(given: Mapping[str, Any]) -> Single:
    """Return the cube that some inputs ask for.

    Raises
    ------
    BadRequestError
        As `services.cubes.derived.derived_of`.
    AbutError
        As `abut.inputs.asked_of`.
    """
    for name in ("crs", "to"):
        require_code(name, given.get(name))
    derived = derived_of(given)
    plain = {name: value for name, value in given.items() if name not in ("index", "composite")}
    if derived is None:
        return Single(given, asked_of(plain))
    return Single(given, asked_of({**plain, "bands": derived.bands}), derived)


class _Common(BaseModel):
    """What both ways of asking have in common."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    buffer: str | float | None = Field(None, description="Ground around the tile: `10km`, `500m`, or metres.")
    crs: str | None = Field(None, description="What `bbox` or `geometry` are written in. Default: EPSG:4326.")
    zone: int | str | None = Field(None, description="Zone of the result, such as `32632`. Default: the centre's.")
    to: str | None = Field(None, description="Resample to this coordinate system, with pixels of `resolution`.")
    resolution: float | None = Field(
        None, description="All bands at 10, 20 or 60 m; with `to` any size in its units. Default: each band's own."
    )
    reflectance: bool = Field(False, description="Reflectance as float32 with NaN instead of DN.")
    masks: bool = Field(False, description="Detector footprint, quality and classification too.")
    angles: bool = Field(False, description="Viewing and sun angles of each pixel too.")
    group: Literal["datatake", "solar_day"] | None = Field(None, description="What makes a step in time.")
    baseline: str | None = Field(None, description="Processing baseline, such as `05.11`. Default: the newest.")
    cloud: float | None = Field(None, ge=0, le=100, description="Only products with at most so many percent of clouds.")
    orbit: int | None = Field(None, ge=1, le=143, description="Only this relative orbit.")
    across: bool | None = Field(
        None, description="Fill what the zone lacks from other zones. Default: yes, but for a tile without buffer."
    )
    resampling: Literal["nearest", "bilinear", "cubic", "average"] | None = Field(
        None, description="How other zones are resampled. Default: nearest."
    )

    composite: Literal["median", "max"] | None = Field(
        None, description="One image of each `index` instead of a step for each datatake: lower median, or largest."
    )

    def given(self) -> dict[str, Any]:
        """Return what was said, for `single_of`."""
        return self.model_dump(exclude_none=True, exclude_defaults=True)


class PlaceQuery(_Common):
    """Parameters of a URL that ask for one cube."""

    tile: str | None = Field(None, description="A tile, such as `32TNM`.")
    bbox: str | None = Field(None, description="`W,S,E,N` in degrees, or as `crs` says; W > E crosses 180 degrees.")
    geometry: str | None = Field(None, description="GeoJSON geometry: the box around it.")
    datetime: str | None = Field(
        None, description="`2025`, `2025-07`, `2025-07-03`, RFC 3339, or two of them as `a/b`; `..` is open."
    )
    bands: str | None = Field(None, description="Such as `B02,B8A`. Default: all.")
    index: str | None = Field(None, description=f"Spectral indices instead of bands: {_INDICES}.")

    def single(self) -> Single:
        """Return what is asked for; errors as `single_of`."""
        given = self.given()
        given.pop("format", None)
        if self.geometry is not None:
            given["geometry"] = _json(self.geometry)
        return single_of(given)


class CubeQuery(PlaceQuery):
    """Parameters of a URL that ask for the file of a cube."""

    format: Format = Field(
        "zarr", description="`zarr` (zipped), `netcdf`, or `geotiff` or `cog`: the same, one file or a zip of several."
    )


class CubeInputs(_Common):
    """Inputs of the process."""

    tile: str | Annotated[list[str], Field(min_length=1)] | None = Field(
        None, description="A tile, such as `32TNM`, or several: a cube for each."
    )
    bbox: Annotated[list[float], Field(min_length=4, max_length=4)] | None = Field(
        None, description="West, south, east, north in degrees, or as `crs` says; west > east crosses 180 degrees."
    )
    geometry: dict[str, Any] | None = Field(None, description="GeoJSON geometry: the box around it.")
    datetime: str | Annotated[list[str], Field(min_length=1)] | None = Field(
        None,
        description="`2025`, `2025-07`, `2025-07-03`, RFC 3339, or two of them as `a/b`; `..` is open. "
        "Or several: a cube for each.",
    )
    bands: str | Annotated[list[str], Field(min_length=1)] | None = Field(
        None, description="Such as `B02,B8A`, or a list. Default: all."
    )
    index: str | Annotated[list[str], Field(min_length=1)] | None = Field(
        None, description=f"Spectral indices instead of bands, a text or a list: {_INDICES}."
    )

    def cubes(self, limit: int) -> dict[str, Single]:
        """Return the single cubes that are asked for, by name.

        Raises
        ------
        BadRequestError
            If there are more than `limit`, or one is named twice.
        AbutError
            As `abut.inputs.asked_of`.
        """
        number = len(_several(self.tile)) * len(_several(self.datetime))
        if number > limit:
            raise BadRequestError(f"{number} cubes are asked for, but at most {limit} at once")
        found: dict[str, Single] = {}
        for given in self._divided():
            name = _name(given)
            if name in found:
                raise BadRequestError(f"{name} is asked for twice")
            found[name] = single_of(given)
        return found

    def _divided(self) -> Iterator[dict[str, Any]]:
        given = self.given()
        for tile in _several(self.tile):
            for period in _several(self.datetime):
                named = {"tile": tile, "datetime": period}
                yield {**given, **{name: value for name, value in named.items() if value is not None}}


QUALIFIERS: Final = frozenset({"value", "mediaType", "encoding", "schema"})
"""Members of a value that says of what kind it is (qualifiedInputValue of OGC API - Processes)."""


def plain_inputs(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return inputs as plain values: what is qualified without its qualifiers, a box of OGC as `bbox` and `crs`.

    Raises
    ------
    BadRequestError
        If an input is a reference, which is not followed.
    """
    found: dict[str, Any] = {}
    for name, value in inputs.items():
        if isinstance(value, dict) and "href" in value:
            raise BadRequestError(f"{name}: {quoted(value['href'])}: references are not followed; send the value")
        is_qualified = isinstance(value, dict) and "value" in value and value.keys() <= QUALIFIERS
        found[name] = value["value"] if is_qualified else value
    box = found.get("bbox")
    if isinstance(box, dict) and "bbox" in box and box.keys() <= {"bbox", "crs"}:
        found["bbox"] = box["bbox"]
        if box.get("crs") is not None:
            found.setdefault("crs", box["crs"])
    return found


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadRequestError(f"geometry {quoted(text)} is not JSON ({error})") from error


def _several(value: str | list[str] | None) -> list[str | None]:
    return [*value] if isinstance(value, list) else [value]


def _name(given: Mapping[str, Any]) -> str:
    """Return a name for a cube: where and when, in letters that every store permits."""
    where = given.get("tile") or ("bbox" if "bbox" in given else "geometry")
    when = given.get("datetime")
    text = f"{where}_{when}" if when else str(where)
    made = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "_-.") else "-" for letter in text)
    if len(made) > 150:
        raise InvalidPeriodError(f"datetime {quoted(when)} is no period")
    return made
