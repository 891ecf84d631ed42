"""`abut search`: the same questions to an archive and to a STAC API over it, with the same answers."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pystac
import pytest
from pystac.extensions.version import ignore_deprecated

from abut.archive import open_archive, switch_catalogue
from cli.main import run
from tests.listed import Listed, make_listed
from tests.postgres import new_database
from tests.servers import web_server
from tests.serving import serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.postgres import Cluster


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Listed:
    return make_listed(tmp_path_factory.mktemp("listed") / "archive")


@pytest.fixture(scope="module")
def service(listed: Listed) -> Iterator[str]:
    with serving(listed.url) as served:
        yield f"{served.url}/stac"


@pytest.fixture(params=["archive", "api"])
def source(request: pytest.FixtureRequest, listed: Listed) -> list[str]:
    """Options that name where to search."""
    if request.param == "archive":
        return ["--archive", listed.url]
    return ["--url", request.getfixturevalue("service")]


def search(capsys: pytest.CaptureFixture[str], *options: str) -> str:
    assert run(["search", *options]) == 0, capsys.readouterr().err
    captured = capsys.readouterr()
    assert not captured.err
    return captured.out


def ids(capsys: pytest.CaptureFixture[str], *options: str) -> list[str]:
    return search(capsys, *options, "--ids").splitlines()


def features(capsys: pytest.CaptureFixture[str], *options: str) -> list[dict[str, Any]]:
    found = json.loads(search(capsys, *options, "--json"))
    assert found["type"] == "FeatureCollection"
    made: list[dict[str, Any]] = found["features"]
    return made


QUESTIONS: dict[str, tuple[list[str], list[str]]] = {
    "everything": ([], ["32TMM_", "32TNM_", "32TPM", "01WCS"]),
    "tile": (["--tile", "32TMM"], ["32TMM_"]),
    "tiles, however they are written": (["--tile", "T32tmm", "--tile", "MGRS-01WCS"], ["32TMM_", "01WCS"]),
    "cloud": (["--cloud", "0"], ["N0509_R122_T32TMM"]),
    "box": (["--bbox", "9.1,41.5,9.2,42"], ["20230823T095559_N0509_R122_T32TNM", "20231002T095559", "32TMM_"]),
    "box over 180 degrees": (["--bbox", "170,60,-170,72"], ["01WCS"]),
    "day": (["--datetime", "2023-10-02"], ["20231002T095559"]),
    "month": (["--datetime", "2023-10"], ["20231002T095559"]),
    "open end": (["--datetime", "2023-09-01/.."], ["20231002T095559"]),
    "latest": (["--tile", "32TMM", "--latest"], ["N0509_R122_T32TMM"]),
    "filter": (["--filter", "processing:version = '02.04'"], ["N0204"]),
    "filter as JSON": (["--filter", '{"op":"=","args":[{"property":"processing:version"},"02.04"]}'], ["N0204"]),
    "all at once": (
        ["--tile", "32TNM", "--cloud", "70", "--filter", "eo:cloud_cover > 50", "--latest"],
        ["20230823T095559_N0509_R122_T32TNM"],
    ),
    "collection": (["--collection", "sentinel-2-l1c", "--datetime", "2023-10"], ["20231002T095559"]),
    "nothing": (["--datetime", "1999"], []),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_archive_and_api_answer_alike(
    question: str, source: list[str], listed: Listed, capsys: pytest.CaptureFixture[str]
) -> None:
    options, parts = QUESTIONS[question]
    expected = {name for name in listed.live if any(part in name for part in parts)}
    assert set(ids(capsys, *source, *options)) == expected


def test_order_pages_and_number_are_as_asked(
    source: list[str], listed: Listed, capsys: pytest.CaptureFixture[str]
) -> None:
    everything = ids(capsys, *source, "--sortby", "+id")
    assert everything == listed.live
    assert ids(capsys, *source, "--sortby", "-id", "--limit", "2") == listed.live[::-1]
    assert ids(capsys, *source, "--sortby", "+id", "--limit", "2", "--max-items", "3") == listed.live[:3]
    assert ids(capsys, *source, "--max-items", "1") == listed.named("20231002T0955", "32TNM")
    assert ids(capsys, *source, "--sortby", "-eo:cloud_cover", "--max-items", "1") == listed.named(
        "20230823T0955", "32TNM"
    )


def test_a_filtered_search_is_completed(source: list[str], listed: Listed, capsys: pytest.CaptureFixture[str]) -> None:
    (west,), (east,) = listed.named("N0509", "20230823T0955", "32TMM"), listed.named("N0509", "20230823T0955", "32TNM")
    options = [*source, "--tile", "32TMM", "--latest", "--complete"]
    assert ids(capsys, *options) == [west, east]
    found = features(capsys, *options, "--fields", "id,properties.grid:code,-properties.datetime")
    assert [made["properties"] for made in found] == [{"grid:code": "MGRS-32TMM"}, {"grid:code": "MGRS-32TNM"}]


def test_a_withdrawn_holder_is_found_in_the_archive_alone(
    listed: Listed, service: str, capsys: pytest.CaptureFixture[str]
) -> None:
    later, hidden = listed.named("20231002T0955", "32TNM") + listed.named("20231002T0955", "32TMM")
    assert ids(capsys, "--archive", listed.url, "--datetime", "2023-10", "--complete") == [later, hidden]
    assert ids(capsys, "--url", service, "--datetime", "2023-10", "--complete") == [later, hidden]


def test_items_have_absolute_hrefs(source: list[str], listed: Listed, capsys: pytest.CaptureFixture[str]) -> None:
    for made in features(capsys, *source):
        hrefs = [one["href"] for one in (*made["assets"].values(), *made["links"])]
        assert all(href.startswith(("/", "http://", "https://")) for href in hrefs), hrefs
        assert made["id"] in listed.items


def test_items_of_an_archive_link_to_its_files(listed: Listed, capsys: pytest.CaptureFixture[str]) -> None:
    made = {one["id"]: one for one in features(capsys, "--archive", listed.url, "--tile", "32TMM")}
    old, new = listed.named("N0204")[0], listed.named("N0509", "20230823T0955", "32TMM")[0]
    links = {link["rel"]: link["href"] for link in made[old]["links"]}
    assert links["self"] == f"{listed.url}/products/{old}.json"
    assert links["latest-version"] == links["successor-version"] == f"{listed.url}/products/{new}.json"
    assert links["collection"] == f"{listed.url}/collection.json"
    assert "root" not in links
    item = pystac.Item.from_dict(made[new])
    (neighbour,) = item.get_links("abut:neighbour")
    assert pystac.Item.from_file(neighbour.absolute_href).id == listed.named("20230823T0955", "N0509", "32TNM")[0]
    assert item.assets["B02"].href == f"{listed.url}/products/{new}.0a1b2c.zarr/measurements/reflectance/r10m/b02"


def test_forms_say_the_same(source: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    named = ids(capsys, *source)
    assert [made["id"] for made in features(capsys, *source)] == named
    assert [json.loads(line)["id"] for line in search(capsys, *source, "--ndjson").splitlines()] == named
    header, *lines = search(capsys, *source).splitlines()
    assert header.split() == ["item", "tile", "time", "cloud", "orbit", "baseline"]
    assert [line.split()[0] for line in lines] == named


def test_the_table_says_what_people_look_for(listed: Listed, capsys: pytest.CaptureFixture[str]) -> None:
    _, *lines = search(capsys, "--archive", listed.url, "--tile", "32TMM", "--sortby", "id").splitlines()
    assert lines[0].split()[1:] == ["32TMM", "2023-08-23T09:55:59", "-", "122", "02.04", "superseded"]
    assert lines[1].split()[1:] == ["32TMM", "2023-08-23T09:55:59", "0.0", "122", "05.09"]


def test_fields_leave_the_rest_out(source: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    for made in features(capsys, *source, "--fields", "id,properties.eo:cloud_cover"):
        assert set(made) <= {"type", "id", "collection", "properties"}
    for made in features(capsys, *source, "--fields", "-assets,-links"):
        assert not {"assets", "links"} & set(made)
        assert "geometry" in made


def test_archives_whose_catalogue_is_in_postgresql_are_searched_and_exported_alike(
    postgres: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with new_database(postgres) as url:
        monkeypatch.setenv("ABUT_CATALOGUE", url)
        listed = make_listed(tmp_path / "archive", url)
        source = ["--archive", listed.url]
        for options, parts in QUESTIONS.values():
            expected = {name for name in listed.live if any(part in name for part in parts)}
            assert set(ids(capsys, *source, *options)) == expected
        assert ids(capsys, *source, "--sortby", "-id", "--limit", "2", "--max-items", "5") == listed.live[:-6:-1]
        for made in features(capsys, *source, "--tile", "32TMM"):
            assert {link["href"].rpartition("/")[0] for link in made["links"] if link["rel"] == "self"} == {
                f"{listed.url}/products"
            }
        assert run(["catalog", "export", *source, str(tmp_path / "stac")]) == 0
        root = pystac.Catalog.from_file(str(tmp_path / "stac" / "catalog.json"))
        with ignore_deprecated():
            assert sorted(made.id for made in root.get_items(recursive=True)) == listed.live


def test_an_archive_whose_catalogue_is_an_api_is_searched_there(
    service: str, tmp_path: Path, listed: Listed, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = open_archive(shutil.copytree(listed.url, tmp_path / "archive"))
    switch_catalogue(archive, service)
    assert ids(capsys, "--archive", archive.store.url, "--sortby", "id") == listed.live


def test_an_archive_without_catalogue_is_searched_by_its_items(
    listed: Listed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = shutil.copytree(listed.url, tmp_path / "copy")
    for file in copy.glob("catalog.sqlite*"):
        file.unlink()
    assert ids(capsys, "--archive", str(copy), "--sortby", "id") == listed.live
    assert ids(capsys, "--archive", str(copy), "--latest", "--tile", "32TMM") == listed.named(
        "N0509", "20230823T0955", "TMM"
    )
    assert not list(copy.glob("catalog.sqlite*")), "nothing is left behind"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--tile", "32TZZ"], "'32TZZ' is not a tile of the Sentinel-2 grid"),
        (["--bbox", "1,2,3"], "--bbox '1,2,3' is not W,S,E,N in degrees"),
        (["--bbox", "0,50,1,40"], "--bbox '0,50,1,40' is not W,S,E,N"),
        (["--bbox", "a,b,c,d"], "--bbox 'a,b,c,d' is not W,S,E,N"),
        (["--datetime", "2023-02-30"], "'2023-02-30' is no period"),
        (["--datetime", "2023-13"], "'2023-13' is no period"),
        (["--datetime", "soon"], "soon"),
        (["--filter", "eo:cloud_cover <"], "eo:cloud_cover <"),
        (["--filter", '{"op":"explode"}'], "'explode'"),
        (["--filter", "{"], "is not JSON"),
        (["--sortby", "eo cloud"], "eo cloud"),
        (["--max-items", "0"], "0 is not in the range"),
        (["--limit", "10001"], "10001 is not in the range"),
        (["--cloud", "few"], "'few' is not a valid float"),
    ],
)
def test_bad_input_is_one_line_with_the_value(
    options: list[str], message: str, listed: Listed, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["search", "--archive", listed.url, *options]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert len(captured.err.splitlines()) == 1
    assert not captured.out


def test_one_place_to_search_must_be_named(
    listed: Listed, service: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ABUT_ARCHIVE", raising=False)
    for options in ([], ["--archive", listed.url, "--url", service]):
        assert run(["search", *options]) == 2
        assert "name either --archive or --url" in capsys.readouterr().err
    monkeypatch.setenv("ABUT_ARCHIVE", "/no/such/archive")
    assert ids(capsys, "--url", service, "--cloud", "0") == listed.named("N0509", "20230823T0955", "32TMM")


def test_what_is_no_archive_or_no_api_is_said_in_one_line(
    tmp_path: Path, service: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["search", "--archive", str(tmp_path)]) == 2
    assert "not an archive" in capsys.readouterr().err
    for url, status in (("http://127.0.0.1:9/stac", 1), ("not a url", 2), ("file:///etc/passwd", 2)):
        assert run(["search", "--url", url]) == status
        err = capsys.readouterr().err
        assert url in err
        assert len(err.splitlines()) == 1
    with web_server(tmp_path) as url:
        assert run(["search", "--url", url]) == 1
    assert url in capsys.readouterr().err
    assert run(["search", "--url", service, "--sortby", "no spaces please"]) == 1
    err = capsys.readouterr().err
    assert "no spaces please" in err
    assert "{" not in err, "the API's words, not its JSON"
