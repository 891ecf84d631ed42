"""Prices of a month on S3: the arithmetic, on numbers that can be done in the head."""

from __future__ import annotations

import pytest

from benchmarks.prices.model import Counts, Month, Prices, Product, month_of

NOTHING = Counts(put=0, get=0, head=0, list=0, delete=0, read=0, written=0)
PRICES = Prices(put=0.005, get=0.0004, gigabyte=0.02)


def test_requests_are_paid_by_the_thousand_and_deletes_are_free() -> None:
    asked = Counts(put=1500, get=700, head=300, list=500, delete=10**6, read=10**9, written=10**9)
    assert PRICES.of(asked) == pytest.approx(2 * 0.005 + 0.0004)
    assert PRICES.of(NOTHING) == 0


def test_a_month_grows_with_tiles_and_shrinks_with_what_is_covered_and_released() -> None:
    steps = {
        "ingest": Counts(put=2000, get=0, head=0, list=0, delete=0, read=0, written=0),
        "settle": NOTHING,
        "purge": NOTHING,
        "read": Counts(put=0, get=4000, head=0, list=0, delete=0, read=0, written=0),
    }
    rows = month_of(
        steps,
        2,
        Product({"blocks": 1000, "overviews": 100, "legacy": 50}, {"blocks": 8e8, "overviews": 1e8, "legacy": 1e8}),
        safe_bytes=10**9,
        interior=0.8,
        month=Month(tiles=100, products=10, covered=0.5, safe_gigabytes=0.5),
        prices=PRICES,
    )
    found = {label.partition(":")[0].partition(",")[0]: (archive, safe) for label, archive, safe in rows}
    assert found["products"] == (1000, 1000)
    assert found["objects that stay"] == pytest.approx((1000 * (400 + 50 + 50) / 1e6, 0.001))
    stays = 1000 * (0.5 * 0.8 * 8e8 + 0.5 * 1e8 + 1e8) * 0.5  # real SAFEs have half the bytes of the made ones
    assert found["TB that stay"] == pytest.approx((stays / 1e12, 0.25))
    assert found["writing"] == pytest.approx((1000 * 1000 * 0.005 / 1000, 1000 * 0.005 / 1000))
    assert found["storing"] == pytest.approx((stays / 1e9 * 0.02, 250 * 0.02))
    assert found["reading all bands of all once"] == pytest.approx((1000 * 2000 * 0.0004 / 1000, 1000 * 0.0004 / 1000))
