"""What `abut equality` found, as one JSON document: what was checked, how overlaps compare, what that saves."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from ingest.overlap import overlap_differences

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cli.demonstration.steps import Stored
    from cli.demonstration.stock import Stock
    from ingest.certificate import Certificate
    from ingest.overlap import OverlapDifferences

FORMAT: Final = 1
"""Version of the report's JSON."""

BINS: Final[Sequence[tuple[int, int]]] = (
    (1, 1),
    (2, 2),
    (3, 3),
    (4, 5),
    (6, 10),
    (11, 20),
    (21, 50),
    (51, 100),
    (101, 65_535),
)
"""First and last difference in DN of each bar of a histogram."""


@dataclass(frozen=True, slots=True)
class LayerReport:
    """One layer."""

    stock: Stock
    """Who stored what before, and stores it now."""
    unequal: int
    """Blocks that stay stored more than once because their pixels differ."""
    overlaps: tuple[OverlapDifferences, ...]
    """Each pair of neighbours, band by band."""

    @property
    def pairs(self) -> Mapping[tuple[str, str], tuple[OverlapDifferences, ...]]:
        """The overlaps by the ids of the pair."""
        found: dict[tuple[str, str], list[OverlapDifferences]] = {}
        for overlap in self.overlaps:
            found.setdefault((overlap.first, overlap.second), []).append(overlap)
        return {pair: tuple(bands) for pair, bands in found.items()}


@dataclass(frozen=True, slots=True)
class Report:
    """All of it."""

    time: datetime
    """When it was made, UTC."""
    archive: str
    """URL of the archive."""
    certificates: tuple[Certificate, ...]
    """One for each product."""
    layers: tuple[LayerReport, ...]
    """One for each layer."""

    @property
    def equal(self) -> bool:
        """Whether every product came back as it went in."""
        return bool(self.certificates) and all(certificate.equal for certificate in self.certificates)


def make_report(stored: Stored, certificates: Sequence[Certificate]) -> Report:
    """Compare the overlaps, and put everything together."""
    unequal = {layer.layer: layer.unequal for layer in stored.settled}
    return Report(
        time=datetime.now(UTC),
        archive=stored.archive.store.url,
        certificates=tuple(certificates),
        layers=tuple(
            LayerReport(
                stock,
                unequal[stock.layer],
                tuple(_of_these(stock, overlap_differences(stored.archive, stock.layer))),
            )
            for stock in stored.stock
        ),
    )


def _of_these(stock: Stock, overlaps: Iterable[OverlapDifferences]) -> list[OverlapDifferences]:
    """Leave out pairs with products that were in the archive before."""
    mine = {share.product.id for share in stock.shares}
    return [overlap for overlap in overlaps if overlap.first in mine and overlap.second in mine]


def binned(histogram: Mapping[int, int]) -> list[int]:
    """Return how many of the differences of a histogram fall into each of `BINS`."""
    return [sum(count for step, count in histogram.items() if first <= step <= last) for first, last in BINS]


def summed(overlaps: Sequence[OverlapDifferences]) -> dict[int, int]:
    """Return one histogram of several."""
    total: dict[int, int] = {}
    for overlap in overlaps:
        for step, count in overlap.histogram.items():
            total[step] = total.get(step, 0) + count
    return dict(sorted(total.items()))


def as_json(report: Report) -> dict[str, Any]:
    """Return the report as a JSON document; histograms count pixels by absolute difference in DN, above 0."""
    return {
        "abut:equality": FORMAT,
        "result": "equal" if report.equal else "not equal",
        "time": report.time.isoformat(),
        "archive": report.archive,
        "versions": dict(report.certificates[0].versions) if report.certificates else {},
        "products": [
            {
                "product": one.product,
                "tile": one.tile,
                "safe": one.safe,
                "result": "equal" if one.equal else "not equal",
                "values": one.pixels,
                "differing_pixels": one.differing,
                "files": len(one.files),
                "not_compared": list(one.left_out),
                "certificate": f"certificates/{one.product}.json",
            }
            for one in report.certificates
        ],
        "layers": [_layer(layer) for layer in report.layers],
    }


def _layer(layer: LayerReport) -> dict[str, Any]:
    stock = layer.stock
    return {
        "layer": stock.layer,
        "zone": stock.zone.epsg,
        "blocks": {
            "distinct": stock.distinct,
            "stored_before": stock.stored_before,
            "stored_after": stock.stored_after,
            "released": stock.stored_before - stock.stored_after,
            "kept_because_pixels_differ": layer.unequal,
        },
        "bytes": {"before": stock.bytes_before, "after": stock.bytes_after},
        "overlaps": [
            {
                "first": overlap.first,
                "second": overlap.second,
                "band": overlap.band,
                "pixels_with_data_in_both": overlap.pixels,
                "pixels_with_data_in_one": overlap.one_sided,
                "differing": overlap.differing,
                "histogram": {str(step): count for step, count in overlap.histogram.items()},
            }
            for overlap in layer.overlaps
        ],
    }
