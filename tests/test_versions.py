"""A product that was processed again: the catalogue tells its versions of each other."""

from __future__ import annotations

import copy
import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from catalog.places import Places, served
from catalog.versions import EXTENSION, RELATIONS, family, told, untold
from tests.catalog_products import START, item

PLACES = Places("https://example.org/stac", "https://example.org/zarr/products")
DAY = timedelta(days=1)


def version(baseline: str, processed: datetime | None = None, *, withdrawn: bool = False, **changes: Any) -> Any:
    """The item of tile 32TNM as some baseline made it."""
    when = START + DAY if processed is None else processed
    stamp, number = START.strftime("%Y%m%dT%H%M%S"), baseline.replace(".", "")
    name = f"S2B_MSIL1C_{stamp}_N{number}_R122_T32TNM_{when.strftime('%Y%m%dT%H%M%S%f')}"
    made = item(processing_baseline=baseline, generation_time=when, **{"id": name, **changes})
    made["properties"]["abut:withdrawn"] = withdrawn
    return made


def links(made: dict[str, Any]) -> dict[str, str]:
    return {link["rel"]: link["href"] for link in made["links"] if link["rel"] in RELATIONS}


def to(made: dict[str, Any]) -> str:
    return f"./{made['id']}.json"


def deprecated(items: list[dict[str, Any]]) -> list[bool]:
    return [made["properties"]["deprecated"] for made in items]


OLD, MIDDLE, NEW = version("02.04"), version("03.01"), version("05.00")


@pytest.mark.parametrize("order", list(itertools.permutations([OLD, MIDDLE, NEW])))
def test_three_versions_make_a_chain_whatever_order_they_are_listed_in(order: tuple[Any, ...]) -> None:
    versions = told(order)
    assert [made["id"] for made in versions] == [OLD["id"], MIDDLE["id"], NEW["id"]]
    assert deprecated(versions) == [True, True, False]
    assert [links(made) for made in versions] == [
        {"successor-version": to(MIDDLE), "latest-version": to(NEW)},
        {"predecessor-version": to(OLD), "successor-version": to(NEW), "latest-version": to(NEW)},
        {"predecessor-version": to(MIDDLE)},
    ]
    assert all(made["stac_extensions"].count(EXTENSION) == 1 for made in versions)


def test_a_product_alone_is_not_deprecated_and_has_no_version_links() -> None:
    (alone,) = told([NEW])
    assert alone["properties"]["deprecated"] is False
    assert links(alone) == {}
    assert EXTENSION not in alone["stac_extensions"]


def test_told_twice_is_told_once() -> None:
    once = told([OLD, MIDDLE, NEW])
    assert told(once) == once
    assert told(reversed(once)) == once


def test_what_was_told_is_forgotten_when_versions_go() -> None:
    assert told(told([OLD, NEW])[1:]) == told([NEW])
    assert told(told([OLD, MIDDLE, NEW])[::2]) == told([OLD, NEW])


def test_given_items_are_not_changed() -> None:
    before = copy.deepcopy([OLD, NEW])
    given = [OLD, NEW]
    told(given)
    assert given == before


def test_untold_is_what_lies_in_the_archive() -> None:
    assert [untold(made) for made in told([OLD, MIDDLE, NEW])] == [OLD, MIDDLE, NEW]
    assert untold(OLD) == OLD


def test_a_withdrawn_version_is_deprecated_and_nothing_leads_to_it() -> None:
    hidden = version("05.11", withdrawn=True)
    versions = told([OLD, hidden, NEW])
    assert deprecated(versions) == [True, False, True]
    assert links(versions[0]) == {"successor-version": to(NEW), "latest-version": to(NEW)}
    assert links(versions[1]) == {"predecessor-version": to(OLD)}
    assert links(versions[2]) == {}
    assert EXTENSION not in versions[2]["stac_extensions"]


def test_where_the_newest_is_withdrawn_the_one_before_is_the_latest_again() -> None:
    versions = told([OLD, {**NEW, "properties": {**NEW["properties"], "abut:withdrawn": True}}])
    assert deprecated(versions) == [False, True]
    assert [links(made) for made in versions] == [{}, {}]


def test_versions_that_are_all_withdrawn_are_all_deprecated() -> None:
    assert deprecated(told([version("02.04", withdrawn=True), version("05.00", withdrawn=True)])) == [True, True]


def test_no_versions_are_none() -> None:
    assert told([]) == []


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        (version("02.04"), version("02.11")),
        (version("02.14"), version("03.01")),
        (version("09.99"), version("10.00")),
        (version("05.00", START + DAY), version("05.00", START + 2 * DAY)),
        (version("02.04", START + 9 * DAY), version("05.00", START + DAY)),
        (version("05.00", START.replace(microsecond=0)), version("05.00", START.replace(microsecond=500_000))),
        (version("02.04", id="A"), version("02.04", id="B")),
    ],
    ids=["numbers", "major", "two digits", "processing time", "baseline first", "fraction of a second", "id last"],
)
def test_newer_is_the_higher_baseline_then_the_later_processing(older: Any, newer: Any) -> None:
    for order in ([older, newer], [newer, older]):
        assert [made["id"] for made in told(order)] == [older["id"], newer["id"]]


@pytest.mark.parametrize("missing", ["processing:version", "processing:datetime"])
@pytest.mark.parametrize("value", [None, "soon"])
def test_a_version_that_does_not_say_its_age_is_the_oldest(missing: str, value: Any) -> None:
    unknown = version("05.00")
    unknown["properties"][missing] = value
    unknown["id"] = "Z"
    assert told([unknown, NEW])[0]["id"] == "Z"


def test_time_without_zone_can_be_compared() -> None:
    unknown = version("05.00")
    unknown["properties"]["processing:datetime"] = "2001-01-01T00:00:00"
    assert told([NEW, unknown])[-1]["id"] == NEW["id"]


def test_old_and_new_formats_of_one_product_are_one_family() -> None:
    granule = "S2B_OPER_MSI_L1C_TL_SGS__20160905T073438_A006291_T32TNM_N02.04"
    old = version("02.04", id=granule, safe_format="multi-granule", safe_name="S2B_OPER_PRD_MSIL1C.SAFE")
    assert family(old) == family(NEW) is not None
    versions = told([NEW, old])
    assert links(versions[1]) == {"predecessor-version": f"./{granule}.json"}


def test_times_of_a_family_count_in_seconds() -> None:
    again = version("05.00", datatake_start=START.replace(microsecond=0))
    assert family(again) == family(OLD)


@pytest.mark.parametrize(
    "changes",
    [
        {"tile_id": "32TMM"},
        {"spacecraft": "Sentinel-2A"},
        {"start": START + timedelta(seconds=1)},
        {"datastrip_start": datetime(2023, 8, 23, 9, 59, 1, tzinfo=UTC)},
    ],
    ids=["tile", "platform", "datatake", "strip"],
)
def test_products_of_another_tile_platform_datatake_or_strip_are_no_versions(changes: dict[str, Any]) -> None:
    assert family(item(**changes)) != family(item())


def test_the_same_product_of_another_collection_is_no_version() -> None:
    assert family({**OLD, "collection": "other"}) != family(OLD)


@pytest.mark.parametrize("name", ["platform", "grid:code", "datetime", "abut:datastrip_start", "abut:store"])
def test_an_item_that_lacks_what_a_product_has_is_of_no_family(name: str) -> None:
    made = item()
    made["properties"][name] = None
    assert family(made) is None
    del made["properties"][name]
    assert family(made) is None
    assert family({"id": "nothing"}) is None


def test_an_api_leads_from_version_to_version() -> None:
    first, last = (served(made, PLACES) for made in told([OLD, NEW]))
    at = f"{PLACES.api}/collections/sentinel-2-l1c/items"
    assert links(first) == dict.fromkeys(("successor-version", "latest-version"), f"{at}/{NEW['id']}")
    assert links(last) == {"predecessor-version": f"{at}/{OLD['id']}"}
    assert [link["title"] for link in last["links"] if link["rel"] == "predecessor-version"] == ["Baseline 02.04"]
