"""A continent on many nodes: the arithmetic, on numbers that can be done in the head."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest
from pyproj import Transformer

from abut.tiling import tile
from benchmarks.continental.extrapolate import (
    COVERED,
    FULL_PIXELS,
    PRODUCTS,
    TILES,
    Fleet,
    Prices,
    break_even,
    full,
    full_safe,
    provider_seconds,
    run,
    safe_megabytes,
    tile_months,
)
from benchmarks.continental.model import Demand

LIST = Path(__file__).parents[3] / "shared/data/grid/europe_tiles.csv"


@pytest.mark.skipif(not LIST.exists(), reason="the list of Europe's tiles is not beside the checkout")
def test_tiles_are_counted_by_latitude_as_the_list_has_them() -> None:
    found: Counter[int] = Counter()
    with LIST.open() as file:
        for row in csv.DictReader(file):
            foot = tile(row["tile"]).footprint
            middle = ((foot.left + foot.right) / 2, (foot.bottom + foot.top) / 2)
            _, latitude = Transformer.from_crs(foot.zone.epsg, 4326, always_xy=True).transform(*middle)
            found[int(latitude // 5 * 5)] += 1
    assert dict(found) == TILES


def test_a_month_of_two_satellites_has_about_as_many_products_as_orbits_say() -> None:
    products = tile_months(2)
    assert len(products) == sum(TILES.values()) == 2484
    assert set(TILES) == set(PRODUCTS)
    assert 200_000 < 5 * sum(products) < 230_000
    assert sum(tile_months(3)) == pytest.approx(1.5 * sum(products))


def test_computing_is_divided_among_all_cores() -> None:
    need, products = Demand(worker=2), [3.0] * 640
    walls = [run(need, Fleet(nodes=nodes, cores=4), products, users=1).wall for nodes in (1, 10)]
    assert walls == pytest.approx([640 * 6 / 4, 640 * 6 / 40])


def test_more_workers_than_cubes_do_not_help() -> None:
    walls = [run(Demand(worker=2), Fleet(nodes=nodes, cores=4), [1.0] * 40, users=1).wall for nodes in (10, 100)]
    assert walls == pytest.approx([2, 2])


def test_interfaces_connections_and_the_store_bound_what_they_carry() -> None:
    products = [1.0] * 400
    nic = run(Demand(sent=100, wave=4), Fleet(nodes=10, cores=4, nic=100), products, users=1)
    assert nic.wall == pytest.approx(40 * 100 / 100)
    connection = run(Demand(sent=90, wave=1), Fleet(nodes=100, cores=4, nic=1e5), products, users=1)
    assert connection.wall == pytest.approx(1)
    store = run(Demand(requests=110, wave=110), Fleet(nodes=100, cores=4, latency=0, prefixes=2), products, users=1)
    assert store.wall == pytest.approx(400 * 110 / 11_000)
    waiting = run(Demand(requests=100, wave=10), Fleet(nodes=100, cores=4, prefixes=10**6), products, users=1)
    assert waiting.wall == pytest.approx(10 * 0.03, rel=0.01)


def test_planning_comes_first_and_hand_outs_one_after_the_other() -> None:
    need = Demand(worker=1, plan=0.1, service=0.04)
    found = run(need, Fleet(nodes=25, cores=4), [1.0] * 100, users=5)
    assert found.wall == pytest.approx(100 * 0.06 + 500 * 0.04 + 5)
    assert found.planning == pytest.approx(10)
    slow = run(Demand(scheduler=0.5), Fleet(nodes=25, cores=4), [1.0] * 100, users=1)
    assert slow.wall == pytest.approx(50)


def test_users_ask_for_as_much_each() -> None:
    one, five = (run(Demand(worker=1, sent=2, requests=3), Fleet(nodes=1), [2.0] * 64, users=n) for n in (1, 5))
    assert five.wall > 4.9 * one.wall
    assert (one.moved, one.requests, one.worker) == (256, 384, 128)
    assert five.requests == 5 * one.requests


def test_machines_and_requests_are_paid() -> None:
    found = run(
        Demand(worker=3600, requests=1000), Fleet(nodes=2, cores=1, latency=0, prefixes=10**6), [1.0] * 4, users=1
    )
    assert found.dollars == pytest.approx(2 * 2 * 0.68 + 4 * 0.0004, rel=1e-3)
    cheap = Prices(node=0, get=0)
    assert run(Demand(worker=1), Fleet(nodes=1), [1.0], users=1, prices=cheap).dollars == 0


def test_needs_grow_with_the_pixels_and_safes_are_whole() -> None:
    need = Demand(requests=10, sent=5, received=1, worker=2, plan=0.1)
    grown = full(need, pixels=2 * FULL_PIXELS / 10, bands=2)
    assert (grown.requests, grown.sent, grown.worker, grown.plan) == pytest.approx((68, 34, 13.6, 0.1))
    assert full_safe(need, 2 * FULL_PIXELS, 2).sent == pytest.approx(600 * COVERED)
    assert safe_megabytes([10.0, 20.0], 5) == pytest.approx(150 * 600 * COVERED)


def test_a_provider_slows_down_who_used_a_months_share() -> None:
    unlimited = provider_seconds(82e6, month=1e12)
    assert unlimited / 86_400 == pytest.approx(11.9, abs=0.05)  # 82 TB at 80 MB/s
    assert provider_seconds(6e6) == pytest.approx(75_000)
    assert provider_seconds(6e6 + 100) == pytest.approx(75_100)
    assert 9 < provider_seconds(82e6) / (30.6 * 86_400) < 14  # months, with the share


def test_ingest_has_paid_when_reads_have_saved_as_much() -> None:
    cpu, dollars = break_even(Demand(worker=2, requests=200), Demand(worker=20, requests=1))
    assert cpu.reads == pytest.approx(cpu.ingest / 18)
    assert 60 < cpu.ingest < 90  # seconds of CPU of a product that covers 0.68 of its tile
    assert dollars.ingest > 0.68 * 2597 * 0.005 / 1000
    assert break_even(Demand(worker=20), Demand(worker=2))[0].reads == float("inf")
