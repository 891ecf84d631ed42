"""The cube service: files of small cubes, explain, OGC API - Processes, and what is refused with which words."""

from __future__ import annotations

import base64
import io
import json
import os
import time
import zipfile
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
import rasterio
import xarray as xr
from starlette.testclient import TestClient
from zarr.storage import ZipStore

from abut.archive import create_archive, open_archive
from abut.connection import connect
from abut.lattice import Bounds
from cli.main import run
from ingest.ingest import ingest
from services.app import create_app
from services.cubes.files import size_of
from services.cubes.inputs import CubeInputs
from services.cubes.jobs import utc_now
from services.cubes.worker import read
from services.settings import load_settings
from tests.toy import CORNER, TILES, ToySource, ground

if TYPE_CHECKING:
    from pathlib import Path

    from abut.archive import Archive

BOX = Bounds(CORNER.zone, 594_000, 4_896_000, 618_000, 4_914_000)
"""Inside of what the toys have, over the corner of four tiles."""
EDGES = [BOX.left, BOX.bottom, BOX.right, BOX.top]
ASKED = {"bbox": ",".join(map(str, EDGES)), "crs": "EPSG:32632", "bands": "B01,B09"}
INPUTS = {"bbox": EDGES, "crs": "EPSG:32632", "bands": ["B01", "B09"]}
EXECUTION = "/cubes/processes/cube/execution"
BYTES = 2 * 2 * BOX.area // 60**2
"""Of the cube of `ASKED`."""


def service(archive: Archive, **settings: Any) -> TestClient:
    """A client of a service that does no jobs as long as it was not entered."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("ABUT_")]:
            patch.delenv(name)
        app = create_app(load_settings(archive=archive.store.url, **settings))
    return TestClient(app, client=("127.0.0.1", 50_000))


@pytest.fixture(name="archive", scope="module")
def _archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    made = create_archive(tmp_path_factory.mktemp("service") / "archive")
    for name in TILES:
        ingest(made, ToySource(name))
    return made


@pytest.fixture(name="scratch", scope="module")
def _scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scratch")


@pytest.fixture(name="client", scope="module")
def _client(archive: Archive, scratch: Path) -> TestClient:
    return service(archive, scratch=str(scratch), cube_jobs_per_user=3)


def opened(data: bytes, folder: Path) -> xr.DataTree:
    """A zipped Zarr."""
    (folder / "a.zip").write_bytes(data)
    return xr.open_datatree(ZipStore(folder / "a.zip", mode="r"), engine="zarr").load()  # type: ignore[arg-type]


# Files


def test_every_format_holds_the_pixels_of_the_safes(client: TestClient, scratch: Path, tmp_path: Path) -> None:
    answers = {name: client.get("/cubes/cube", params={**ASKED, "format": name}) for name in ("zarr", "netcdf", "cog")}
    assert [answer.status_code for answer in answers.values()] == [200, 200, 200]
    assert list(scratch.iterdir()) == [], "nothing is left once it was sent"
    (tmp_path / "a.nc").write_bytes(answers["netcdf"].content)
    trees = [opened(answers["zarr"].content, tmp_path), xr.open_datatree(tmp_path / "a.nc", engine="h5netcdf").load()]
    with zipfile.ZipFile(io.BytesIO(answers["cog"].content)) as packed:
        images = {name.rpartition("_")[2]: packed.read(name) for name in packed.namelist()}
    for band in ("B01", "B09"):
        truth = ground(band, BOX)
        assert all((tree["r60m"][band.lower()].to_numpy()[0] == truth).all() for tree in trees)
        with rasterio.MemoryFile(images[f"{band}.tif"]) as file, file.open() as image:
            assert (image.read(1) == truth).all()
    assert "archive" not in trees[0].attrs, "folders of the server are nobody's business"
    products = answers["zarr"].headers["abut-products"].split(",")
    assert sorted(products) == sorted(ToySource(name).id for name in TILES)
    assert trees[0]["r60m"]["product"].to_numpy().tolist() == sorted(products)


def test_one_image_comes_as_it_is(client: TestClient) -> None:
    for name in ("geotiff", "cog"):
        answer = client.get("/cubes/cube", params={**ASKED, "bands": "B01", "format": name})
        assert answer.headers["content-type"] == "image/tiff; application=geotiff; profile=cloud-optimized"
        assert answer.headers["content-disposition"].endswith('_B01.tif"')
        with rasterio.MemoryFile(answer.content) as file, file.open() as image:
            assert (image.read(1) == ground("B01", BOX)).all()


def test_what_a_client_has_is_not_made_again(client: TestClient) -> None:
    tag = client.get("/cubes/cube", params=ASKED).headers["etag"]
    again = client.get("/cubes/cube", params=ASKED, headers={"if-none-match": tag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    other = client.get("/cubes/cube", params={**ASKED, "bands": "B01"}, headers={"if-none-match": tag})
    assert other.status_code == 200


def test_explain_says_what_the_command_says(
    client: TestClient, archive: Archive, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["explain", "-a", archive.store.url, "--tile", "32TNP", "--bands", "B01", "--json"]) == 0
    said = json.loads(capfd.readouterr().out)
    assert client.get("/cubes/explain", params={"tile": "32TNP", "bands": "B01"}).json() == said
    assert ToySource("32TNP").id in said["products"]


REFUSALS: list[tuple[dict[str, Any], int, str]] = [
    ({}, 400, "name one of tile, bbox and geometry"),
    ({"tile": "32TNP", "bbox": "1,2,3,4"}, 400, "name one of tile, bbox and geometry, not 2"),
    ({"tile": "32TZZ"}, 400, "'32TZZ' is not a tile"),
    ({"tile": "32TNP", "buffer": "200km"}, 400, "buffer 200000 m is not between 0 and 100,000 m"),
    ({"tile": "32TNP", "bands": "B99"}, 400, "'B99' is not a band"),
    ({"tile": "32TNP", "datetime": "2025-13"}, 400, "'2025-13' is no period"),
    ({"tile": "32TNP", "resolution": "15"}, 400, "resolution 15 is not 10, 20 or 60 m"),
    ({"tile": "32TNP", "crs": "EPSG:3035"}, 400, "crs and zone are for bbox and geometry"),
    ({"tile": "32TNP", "band": "B01"}, 400, "parameter 'band' is unknown here; there are "),
    ({"tile": "32TNP", "masks": "perhaps"}, 400, "masks: 'perhaps': input should be a valid boolean"),
    ({"tile": "32TNP", "cloud": "101"}, 400, "cloud: '101': input should be less than or equal to 100"),
    ({"bbox": "10,47,11,46"}, 400, "is empty or reversed"),
    ({"geometry": "{"}, 400, "geometry '{' is not JSON"),
    ({"geometry": f'{{"type": "Point", "coordinates": [1{"0" * 400}, 1]}}'}, 400, "is not GeoJSON"),
    ({"tile": "32TNP", "bands": "B01", "datetime": "2001"}, 404, "no product in 2001"),
]


@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: " ".join(case[0].values())[:40])
def test_bad_requests_are_refused_with_the_value(
    client: TestClient, archive: Archive, case: tuple[dict[str, Any], int, str]
) -> None:
    asked, status, reason = case
    for path in ("/cubes/cube", "/cubes/explain"):
        answer = client.get(path, params=asked)
        body = answer.json()
        assert (answer.status_code, body["status"], set(body)) == (
            status,
            status,
            {"type", "title", "status", "detail"},
        )
        assert answer.headers["content-type"] == "application/problem+json"
        assert reason in body["detail"]
        assert archive.store.url not in answer.text, "where the archive lies is nobody's business"


def test_only_formats_that_there_are(client: TestClient) -> None:
    answer = client.get("/cubes/cube", params={**ASKED, "format": "jpeg"})
    assert (answer.status_code, "format: 'jpeg'" in answer.json()["detail"]) == (400, True)


def test_the_size_is_known_before_a_pixel_is_read(archive: Archive, tmp_path: Path) -> None:
    root = archive.store.root
    assert root is not None
    for path in root.rglob("*"):
        if path.is_file() and "/c/" not in path.as_posix():
            target = tmp_path / path.relative_to(root)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    without_blocks = open_archive(tmp_path)
    answer = service(without_blocks, cube_sync_bytes=BYTES).get("/cubes/cube", params=ASKED)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
    client = service(without_blocks, cube_sync_bytes=BYTES - 1)
    answer = client.get("/cubes/cube", params=ASKED)
    assert answer.status_code == 413
    assert f"{BYTES:,} bytes, more than the limit of {BYTES - 1:,}" in answer.json()["detail"]
    assert "Prefer: respond-async" in answer.json()["detail"]
    assert client.post(EXECUTION, json={"inputs": INPUTS}).status_code == 413
    huge = client.get("/cubes/cube", params={"bbox": "5,40,15,50"})
    assert (huge.status_code, "at least" in huge.json()["detail"]) == (413, True)


# OGC API - Processes


def test_all_links_of_the_landing_page_lead_somewhere(client: TestClient) -> None:
    page = client.get("/cubes/").json()
    assert {"title", "description", "links"} <= set(page)
    relations = {link["rel"].rpartition("/")[2] for link in page["links"]}
    assert {"self", "service-desc", "conformance", "processes", "job-list"} <= relations
    for link in page["links"]:
        answer = client.get(link["href"])
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith(link["type"])
    assert client.get("/cubes").json() == page
    assert client.head("/cubes/").status_code == 200
    index = client.get("/").json()
    assert "http://testserver/cubes" in {link["href"] for link in index["links"]}


def test_what_is_claimed(client: TestClient) -> None:
    claimed = {uri.rpartition("/")[2] for uri in client.get("/cubes/conformance").json()["conformsTo"]}
    assert claimed == {"core", "ogc-process-description", "json", "job-list", "dismiss"}


def test_processes_are_described_as_the_standard_requires(client: TestClient) -> None:
    listed = client.get("/cubes/processes", params={"limit": 1}).json()
    (summary,) = listed["processes"]
    assert {"id", "version"} <= set(summary)
    assert listed["links"]
    (described,) = (client.get(link["href"]).json() for link in summary["links"] if link["rel"] == "self")
    assert {name: described[name] for name in summary if name != "links"} == {
        name: value for name, value in summary.items() if name != "links"
    }
    assert set(described["jobControlOptions"]) == {"sync-execute", "async-execute", "dismiss"}
    assert set(described["inputs"]) == set(CubeInputs.model_fields)
    for one in (*described["inputs"].values(), *described["outputs"].values()):
        jsonschema.Draft202012Validator.check_schema(one["schema"])
    for name, value in INPUTS.items():
        jsonschema.validate(value, described["inputs"][name]["schema"])
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate([1, 2, 3], described["inputs"]["bbox"]["schema"])
    execute = [link["href"] for link in described["links"] if link["rel"].endswith("/execute")]
    assert execute == [f"http://testserver{EXECUTION}"]


def test_the_openapi_document_has_all_routes_and_parameters(client: TestClient) -> None:
    document = client.get("/cubes/api").json()
    paths = document["paths"]
    assert {"/", "/conformance", "/processes", "/processes/{process}", "/jobs", "/jobs/{job}"} <= set(paths)
    assert {"/cube", "/explain", "/processes/{process}/execution", "/jobs/{job}/results"} <= set(paths)
    names = {one["name"] for one in paths["/cube"]["get"]["parameters"]}
    assert {"tile", "buffer", "bbox", "crs", "datetime", "bands", "format"} <= names
    assert document["servers"] == [{"url": "http://testserver/cubes"}]


def test_a_small_cube_is_executed_at_once(client: TestClient, tmp_path: Path) -> None:
    plain = opened(client.get("/cubes/cube", params=ASKED).content, tmp_path)
    boxed = {**INPUTS, "bbox": {"bbox": EDGES, "crs": "EPSG:32632"}, "bands": {"value": ["B01", "B09"]}}
    del boxed["crs"]
    for inputs in (INPUTS, boxed):
        answer = client.post(EXECUTION, json={"inputs": inputs})
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/zip")
        xr.testing.assert_identical(opened(answer.content, tmp_path), plain)
    answer = client.post(EXECUTION, json={"inputs": INPUTS, "response": "document"})
    (value,) = [answer.json()["cube"]]
    assert (value["mediaType"], value["encoding"]) == ("application/zip", "base64")
    xr.testing.assert_identical(opened(base64.b64decode(value["value"]), tmp_path), plain)
    wanted = {"cube": {"format": {"mediaType": "application/x-netcdf"}, "transmissionMode": "value"}}
    answer = client.post(EXECUTION, json={"inputs": INPUTS, "outputs": wanted})
    assert answer.headers["content-type"] == "application/x-netcdf"


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"inputs": {**INPUTS, "colour": "red"}}, "colour: 'red': extra inputs are not permitted"),
    ({"inputs": {"bbox": [1, 2, 3]}}, "bbox: [1, 2, 3]"),
    ({"inputs": {"tile": {"href": "http://10.0.0.1/"}}}, "'http://10.0.0.1/': references are not followed"),
    ({"inputs": {"tile": ["32TNP", "32TNP"]}}, "32TNP is asked for twice"),
    ({"inputs": {"tile": ["32TNP"] * 201}}, "201 cubes are asked for, but at most 200 at once"),
    ({"inputs": INPUTS, "outputs": {"map": {}}}, "output 'map' is not one of cube"),
    ({"inputs": INPUTS, "outputs": {"cube": {"format": {"mediaType": "image/png"}}}}, "mediaType 'image/png' is not"),
    ({"inputs": INPUTS, "outputs": {"cube": {"transmissionMode": "reference"}}}, "'reference' is for jobs"),
    ({"inputs": INPUTS, "subscriber": {"successUri": "http://10.0.0.1/"}}, "subscriber: "),
    ({"inputs": INPUTS, "response": "xml"}, "response: 'xml'"),
]


@pytest.mark.parametrize("case", WRONG, ids=lambda case: case[1][:30])
def test_executions_that_make_no_sense_are_refused(client: TestClient, case: tuple[dict[str, Any], str]) -> None:
    body, reason = case
    answer = client.post(EXECUTION, json=body)
    assert (answer.status_code, reason in answer.json()["detail"]) == (400, True), answer.text


def test_exceptions_have_the_types_that_the_standard_names(client: TestClient) -> None:
    answers = {
        "no-such-process": client.get("/cubes/processes/sphere"),
        "no-such-job": client.get(f"/cubes/jobs/{'0' * 32}"),
    }
    for kind, answer in answers.items():
        assert answer.status_code == 404
        assert answer.json()["type"] == f"http://www.opengis.net/def/exceptions/ogcapi-processes-1/1.0/{kind}"
    assert client.post(EXECUTION, content=b"{", headers={"content-type": "application/json"}).status_code == 400
    assert client.delete("/cubes/processes").status_code == 405


# Jobs


STATUS_INFO = {
    "type": "object",
    "required": ["jobID", "status", "type"],
    "properties": {
        "jobID": {"type": "string"},
        "type": {"const": "process"},
        "status": {"enum": ["accepted", "running", "successful", "failed", "dismissed"]},
        "progress": {"type": "integer", "minimum": 0, "maximum": 100},
        "created": {"type": "string", "pattern": "Z$"},
        "links": {"type": "array", "items": {"type": "object", "required": ["href"]}},
    },
}
"""As OGC API - Processes 1.0 requires it (statusInfo.yaml)."""


def test_jobs_are_made_listed_and_dismissed(client: TestClient) -> None:
    asked = {"inputs": {"tile": ["32TNP", "32TPP"], "bands": "B01", "datetime": ["2023-08", "2023"]}}
    made = client.post(EXECUTION, json=asked, headers={"prefer": "wait=5, respond-async"})
    assert (made.status_code, made.headers["preference-applied"]) == (201, "respond-async")
    place = made.headers["location"]
    assert made.json()["jobID"] == place.rpartition("/")[2]
    jsonschema.validate(made.json(), STATUS_INFO)
    assert made.json()["message"] == "0 of 4 cubes are there"
    assert client.get(place).json()["status"] == "accepted"
    early = client.get(f"{place}/results")
    assert (early.status_code, early.json()["type"].rpartition("/")[2]) == (404, "result-not-ready")
    second = client.post(EXECUTION, json={"inputs": INPUTS}, headers={"prefer": "respond-async"}).json()
    third = client.post(EXECUTION, json={"inputs": INPUTS}, headers={"prefer": "respond-async"}).json()
    refused = client.post(EXECUTION, json={"inputs": INPUTS}, headers={"prefer": "respond-async"})
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "10")
    page = client.get("/cubes/jobs", params={"limit": 2}).json()
    assert [job["jobID"] for job in page["jobs"]] == [third["jobID"], second["jobID"]]
    (following,) = [link["href"] for link in page["links"] if link["rel"] == "next"]
    rest = client.get(following).json()
    assert [job["jobID"] for job in rest["jobs"]] == [made.json()["jobID"]]
    assert {link["rel"] for link in rest["links"]} == {"self"}
    for name in (made.json()["jobID"], second["jobID"], third["jobID"]):
        ended = client.delete(f"/cubes/jobs/{name}")
        assert (ended.status_code, ended.json()["status"]) == (200, "dismissed")
        jsonschema.validate(ended.json(), STATUS_INFO)
    assert client.get(f"{place}/results").status_code == 409
    for query, number in (
        ({"status": "dismissed,failed"}, 3),
        ({"status": "running"}, 0),
        ({"processID": "cube", "type": "process"}, 3),
        ({"processID": "sphere"}, 0),
        ({"datetime": "../2023"}, 0),
        ({"datetime": f"{utc_now():%Y}/.."}, 3),
        ({"minDuration": 1e6}, 0),
    ):
        assert len(client.get("/cubes/jobs", params=query).json()["jobs"]) == number, query
    wrong = client.get("/cubes/jobs", params={"status": "lost"})
    assert (wrong.status_code, "status 'lost' is not one of accepted" in wrong.json()["detail"]) == (400, True)


def test_others_do_not_see_a_job(client: TestClient) -> None:
    made = client.post(EXECUTION, json={"inputs": INPUTS}, headers={"prefer": "respond-async"})
    other = {"x-forwarded-for": "192.0.2.7"}
    path = made.headers["location"]
    for answer in (client.get(path, headers=other), client.delete(path, headers=other)):
        assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (404, "no-such-job")
    assert client.get("/cubes/jobs", headers=other).json()["jobs"] == []
    assert client.delete(path).status_code == 200


def test_jobs_that_can_not_be_done_are_refused_before(client: TestClient, archive: Archive) -> None:
    wanted = {"cube": {"format": {"mediaType": "application/x-netcdf"}}}
    cases: list[tuple[dict[str, Any], int, str]] = [
        ({"inputs": {**INPUTS, "datetime": ["2023-08", "2001"]}}, 404, "bbox_2001: no product in 2001"),
        ({"inputs": INPUTS, "outputs": wanted}, 400, "jobs write Zarr"),
    ]
    for body, status, reason in cases:
        answer = client.post(EXECUTION, json=body, headers={"prefer": "respond-async"})
        assert (answer.status_code, reason in answer.json()["detail"]) == (status, True), answer.text
    other = service(archive, cube_max_bytes=2 * BYTES - 1)
    body = {"inputs": {**INPUTS, "datetime": ["2023-08", "2023"]}}
    answer = other.post(EXECUTION, json=body, headers={"prefer": "respond-async"})
    assert answer.status_code == 413
    assert f"{2 * BYTES:,} bytes" in answer.json()["detail"]
    assert f"limit of {2 * BYTES - 1:,}" in answer.json()["detail"]
    several = other.post(EXECUTION, json=body)
    assert (several.status_code, "only a job makes several" in several.json()["detail"]) == (413, True)


@pytest.mark.parametrize(
    "inputs",
    [
        {"tile": "32TNP", "buffer": "600m", "bands": "B01", "across": False},
        {"bbox": [10.2, 44.2, 10.3, 44.3], "bands": ["B01"], "resolution": 60, "reflectance": True},
        {"bbox": [10.2, 44.2, 10.3, 44.3], "bands": ["B01"], "to": "EPSG:3035", "resolution": 100},
        {"geometry": {"type": "Point", "coordinates": [10.25, 44.25]}, "bands": ["B09"]},
    ],
    ids=["tile", "degrees", "projected", "geometry"],
)
def test_a_part_of_a_job_is_what_is_answered_at_once(archive: Archive, inputs: dict[str, Any]) -> None:
    (single,) = CubeInputs.model_validate(inputs).cubes(1).values()
    connection = connect(archive.store.url)
    ask = json.loads(json.dumps(single.ask))
    at_once, later = single.asked.read(connection, chunks={}), read(connection, ask, chunks={})
    assert size_of(at_once) > 0
    first, second = (one.compute(scheduler="threads") for one in (at_once, later))
    xr.testing.assert_identical(first, second)


def test_a_job_gives_the_cube_that_is_answered_at_once(archive: Archive, tmp_path: Path) -> None:
    with service(archive) as client:
        made = client.post(EXECUTION, json={"inputs": INPUTS}, headers={"prefer": "respond-async"})
        until = time.monotonic() + 180
        while (state := client.get(made.headers["location"]).json())["status"] in ("accepted", "running"):
            assert time.monotonic() < until
            time.sleep(0.2)
        assert (state["status"], state["progress"]) == ("successful", 100), state
        assert state["expires"] > state["finished"]
        (place,) = [link["href"] for link in state["links"] if link["rel"].endswith("/results")]
        result = client.get(place).json()["cube"]
        assert result["type"] == "application/vnd.zarr; version=3"
        metadata = client.get(result["href"])
        assert metadata.json()["node_type"] == "group"
        part = client.get(f"{result['href']}/zarr.json", headers={"range": "bytes=0-9"})
        assert (part.status_code, part.content) == (206, metadata.content[:10])
        assert client.get(f"{result['href']}/none").status_code == 404
        assert client.get(f"{result['href']}/../../x").status_code == 404
        other = client.get(result["href"], headers={"x-forwarded-for": "192.0.2.7"})
        assert other.status_code == 404
        at_once = opened(client.get("/cubes/cube", params=ASKED).content, tmp_path)
        job = result["href"].rpartition("/jobs/")[2].partition("/")[0]
    assert archive.store.root is not None
    (group,) = (archive.store.root / "results" / job).iterdir()
    xr.testing.assert_identical(xr.open_datatree(group, engine="zarr").load(), at_once)


def test_a_service_that_can_not_keep_jobs_answers_at_once(archive: Archive, tmp_path: Path) -> None:
    assert archive.store.root is not None
    folder = archive.store.root / "results"
    moved = tmp_path / "moved"
    if folder.exists():
        folder.rename(moved)
    folder.write_text("not a folder")
    try:
        with service(archive) as client:
            assert client.get("/cubes/jobs").status_code == 404
            answer = client.post(EXECUTION, json={"inputs": INPUTS}, headers={"prefer": "respond-async"})
            assert answer.status_code == 200
            claimed = {uri.rpartition("/")[2] for uri in client.get("/cubes/conformance").json()["conformsTo"]}
            assert claimed == {"core", "ogc-process-description", "json"}
            (described,) = client.get("/cubes/processes").json()["processes"]
            assert described["jobControlOptions"] == ["sync-execute"]
    finally:
        folder.unlink()
        if moved.exists():
            moved.rename(folder)
