"""Named pictures as parameters: what the name stands for, and what a request says itself."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any

import pytest
from fastapi import Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from pystac.extensions.render import RENDERS_PROP
from rio_tiler.colormap import cmap
from starlette.responses import JSONResponse, Response
from starlette.testclient import TestClient

from abut.errors import BadRequestError
from abut.layout import CLASSIFICATION_BITS
from abut.metadata import DETECTORS
from catalog import make_collection
from catalog.renders import DEFAULT, RENDERS
from services.tiles.layers import ALL
from services.tiles.legends import list_renders
from services.tiles.renders import (
    FORMULA_LENGTH,
    FORMULA_OPERATIONS,
    INTERVALS_LIMIT,
    KINDS_LIMIT,
    DatasetParams,
    LayerParams,
    ShowParams,
    colours_of,
    stretch_of,
)
from services.tiles.warp import METHODS

if TYPE_CHECKING:
    from starlette.requests import Request


@pytest.fixture(name="client", scope="module")
def client_fixture() -> TestClient:
    """An application that tells what its parameters came to."""
    app = FastAPI()

    @app.get("/")
    def told(
        layer: Annotated[LayerParams, Depends()],
        dataset: Annotated[DatasetParams, Depends()],
        show: Annotated[ShowParams, Depends()],
        colours: Annotated[Any, Depends(colours_of)],
    ) -> Any:
        asked = layer.as_dict()
        expression = asked.get("expression")
        return {
            "layers": asked["layers"],
            "expression": expression and expression.text,
            **dataset.as_dict(),
            **show.as_dict(),
            "colours": None if colours is None else list(map(str, colours)),
        }

    async def refused(_: Request, error: Exception) -> Response:
        return JSONResponse(str(error), 400)

    app.add_exception_handler(BadRequestError, refused)
    app.add_exception_handler(RequestValidationError, refused)
    return TestClient(app)


def asked(client: TestClient, **query: Any) -> dict[str, Any]:
    answer = client.get("/", params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.parametrize("name", RENDERS)
def test_a_name_stands_for_all_of_its_picture(client: TestClient, name: str) -> None:
    render, found = RENDERS[name], asked(client, render=name)
    assert tuple(found["layers"]) == render.layers
    assert found["expression"] == render.expression
    assert found["resampling"] == render.resampling
    assert found["unscale"] is True
    assert [tuple(one) for one in found.get("rescale", ())] == list(render.shown)
    assert (found["colours"] is None) == (not render.colours and not render.kinds)


def test_without_a_name_or_layers_it_is_the_default_picture(client: TestClient) -> None:
    assert tuple(asked(client)["layers"]) == RENDERS[DEFAULT].layers


@pytest.mark.parametrize(
    ("query", "changed"),
    [
        ({"bands": "B11,B12"}, {"layers": ["B11", "B12"]}),
        ({"assets": ["B11", "B12"]}, {"layers": ["B11", "B12"]}),
        ({"expression": "B02*2"}, {"layers": ["B02"], "expression": "B02*2"}),
        ({"bands": "B02", "expression": "b1*2"}, {"layers": ["B02"], "expression": "b1*2"}),
        ({"rescale": "0,1"}, {"rescale": [[0, 1]]}),
        ({"rescale": ["0,1", "-1,2e1"]}, {"rescale": [[0, 1], [-1, 20]]}),
        ({"resampling": "cubic"}, {"resampling": "cubic"}),
        ({"unscale": "false"}, {"unscale": False}),
        ({"color_formula": "gamma RGB 1.2"}, {"color_formula": "gamma RGB 1.2"}),
        ({"color_formula": ("gamma R 2 " * 10).strip()}, {"color_formula": ("gamma R 2 " * 10).strip()}),
        ({"return_mask": "false"}, {"add_mask": False}),
        ({"colormap": '{"1": "#ff0000"}'}, {"colours": ["1"]}),
        ({"colormap": '[[[0, 0.5], "#f00"], [[0.5, 1], [0, 0, 255, 9]]]'}, {"colours": 2}),
    ],
    ids=str,
)
def test_what_a_request_says_takes_the_place_of_what_the_name_says(
    client: TestClient, query: dict[str, Any], changed: dict[str, Any]
) -> None:
    named = asked(client, render="ndvi")
    found = asked(client, render="ndvi", **query)
    if changed.get("colours") == 2:
        assert len(found["colours"]) == 2
    else:
        assert found == {**named, **changed}


def test_colour_maps_can_be_chosen_by_name(client: TestClient) -> None:
    assert len(asked(client, render="ndvi", colormap_name="viridis")["colours"]) == 256
    assert colours_of("ndvi", "viridis") == cmap.get("viridis") != colours_of("ndvi")


@pytest.mark.parametrize(
    ("query", "value"),
    [
        ({"render": "sepia"}, "sepia"),
        ({"render": ""}, "render"),
        ({"bands": "B13"}, "B13"),
        ({"bands": "B02,,B03"}, "''"),
        ({"bands": "B02|bidx=1"}, "bidx"),
        ({"bands": ",".join(["B02"] * 14)}, "14"),
        ({"bands": "B02", "assets": "B03"}, "assets"),
        ({"expression": "b1"}, "b1"),
        ({"expression": "9**9**9**9"}, "9**9**9**9"),
        ({"expression": "__import__('os')"}, "__import__"),
        ({"rescale": "1"}, "1"),
        ({"rescale": "2,1"}, "2,1"),
        ({"rescale": "0,nan"}, "nan"),
        ({"rescale": "0,inf"}, "inf"),
        ({"rescale": "a,b"}, "a,b"),
        ({"color_formula": "mud"}, "'mud'"),
        ({"color_formula": ""}, "''"),
        ({"color_formula": "gamma"}, "'gamma'"),
        ({"color_formula": "gamma X 1"}, "'gamma X 1'"),
        ({"color_formula": "gamma R red"}, "'gamma R red'"),
        ({"color_formula": " ".join(["gamma r 1"] * (FORMULA_OPERATIONS + 1))}, "11 operations"),
        ({"color_formula": "gamma RGB 1." + "0" * FORMULA_LENGTH}, "200 characters"),
        ({"resampling": "lanczos"}, "lanczos"),
        ({"colormap_name": "mud"}, "mud"),
        ({"colormap": "mud"}, "mud"),
        ({"colormap": "{}"}, "{}"),
        ({"colormap": "[]"}, "[]"),
        ({"colormap": '{"a": "#fff"}'}, "#fff"),
        ({"colormap": '{"1": "#ggg"}'}, "#ggg"),
        ({"colormap": '{"1": [1, 2]}'}, "[1, 2]"),
        ({"colormap": '{"1": [1, 2, 999]}'}, "999"),
        ({"colormap": '{"1": [1, 2, 0.5]}'}, "0.5"),
        ({"colormap": '{"1": null}'}, "null"),
        ({"colormap": "[[1, 2, 3]]"}, "[[1, 2, 3]]"),
        ({"colormap": "[" * 2_000}, "[["),
        ({"colormap": json.dumps(dict.fromkeys(range(KINDS_LIMIT + 1), "#fff"))}, "257 colours"),
        ({"colormap": json.dumps([[[one, one + 1], "#fff"] for one in range(INTERVALS_LIMIT + 1)])}, "65 colours"),
        ({"colormap": '[[[1, 1], "#fff"]]'}, "[1, 1]"),
        ({"colormap": '[[[NaN, 1], "#fff"]]'}, "NaN"),
        ({"colormap": '[[[1, 2, 3], "#fff"]]'}, "[1, 2, 3]"),
        ({"colormap": f'[[[1, {10**400}], "#fff"]]'}, "[[[1, 1000"),
        ({"colormap": '{"2147483648": "#fff"}'}, "2147483648"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_bad_values_are_refused_and_named(client: TestClient, query: dict[str, str], value: str) -> None:
    answer = client.get("/", params=query)
    assert answer.status_code == 400, answer.text
    assert value in answer.json()


def test_the_picture_of_clouds_knows_every_combination_of_its_bits() -> None:
    assert [kind.value for kind in RENDERS["clouds"].kinds] == list(range(1, 2 ** len(CLASSIFICATION_BITS)))
    assert RENDERS["clouds"].kinds[4].label == "Opaque cloud, snow or ice"


def test_each_detector_has_a_colour_of_its_own_unlike_its_neighbours() -> None:
    colours = [kind.colour for kind in RENDERS["detector-footprint"].kinds]
    assert len(set(colours)) == len(colours) == DETECTORS
    for one, other in pairwise(colours):
        assert sum(abs(a - b) for a, b in zip(one, other, strict=True)) > 150


@pytest.mark.parametrize("name", RENDERS)
def test_pictures_are_made_of_layers_there_are(name: str) -> None:
    render = RENDERS[name]
    assert set(render.layers) <= set(ALL)
    assert set(render.assets) <= make_collection().to_dict()["item_assets"].keys()
    channels = 1 if render.expression else len(render.layers)
    assert len(render.shown) == (0 if render.kinds else channels)
    assert render.unscale == (not render.kinds)


def test_bands_are_stretched_in_reflectance() -> None:
    assert all(0 <= low < high <= 1 for low, high in stretch_of(["B02", "B8A", "B10"]))
    assert stretch_of(["classification"]) == ((0, 255),)


def test_the_list_and_the_collection_have_the_same_pictures() -> None:
    listed = list_renders()["renders"]
    told = make_collection().to_dict()[RENDERS_PROP]
    assert [one["name"] for one in listed] == list(told) == list(RENDERS)
    for one in listed:
        assert one["title"] == told[one["name"]]["title"]
        assert one["layers"] == told[one["name"]].get("abut:layers", told[one["name"]]["assets"])


def test_legends_say_what_colours_mean() -> None:
    legends = {one["name"]: one["legend"] for one in list_renders()["renders"]}
    assert {legend["type"] for legend in legends.values()} == {"classes", "ramp", "rgb"}
    assert legends["ndvi"]["colours"][0] == "#a50026"
    assert (legends["ndvi"]["low"], legends["ndvi"]["high"]) == (-0.2, 1.0)
    assert legends["cirrus"]["colours"][-1] == "#ffffff"
    assert [one["layer"] for one in legends["true-colour"]["channels"]] == ["B04", "B03", "B02"]
    assert {"value": 1, "label": "Opaque cloud", "colour": "#ffc400"} in legends["clouds"]["classes"]


def test_the_document_names_the_methods_that_there_are(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    described = {one["name"]: one["schema"] for one in document["paths"]["/"]["get"]["parameters"]}
    assert described["resampling"]["anyOf"][0]["$ref"] == "#/components/schemas/Resampling"
    assert document["components"]["schemas"]["Resampling"]["enum"] == list(METHODS)
