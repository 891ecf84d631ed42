"""The report of `abut equality` as one HTML page that needs nothing else: no scripts, no other files."""

from __future__ import annotations

import base64
import math
from html import escape
from typing import TYPE_CHECKING, Final

from cli.demonstration.report import BINS, binned, summed
from cli.output import plural, size

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from cli.demonstration.report import LayerReport, Report
    from ingest.certificate import ArrayResult, Certificate, FileResult
    from ingest.overlap import OverlapDifferences

_STYLE: Final = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1e1e1e; max-width: 75rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.7rem } h2 { font-size: 1.25rem; margin-top: 2.5rem } h3 { font-size: 1rem; overflow-wrap: anywhere }
table { border-collapse: collapse; margin: .8rem 0; display: block; overflow-x: auto }
th, td { padding: .2rem .7rem; text-align: left; border-bottom: 1px solid #ddd; white-space: nowrap }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums }
.yes { color: #00704f; font-weight: 600 } .no { color: #b00020; font-weight: 600 }
.verdict { padding: .8rem 1rem; border-left: .4rem solid; background: #f5f5f5; font-size: 1.1rem }
code { font-size: .85em; overflow-wrap: anywhere } img { max-width: 100% } svg text { font: 13px system-ui, sans-serif }
"""

_CHECKED: Final = """<p>Each SAFE was decoded by a plain reader that is not the one that ingested it, and compared with
the tile re-created from the archive <em>after</em> overlap had been removed: bands, masks and angles value by value,
all other files byte by byte.</p>"""

_OVERLAPS: Final = """<p>Neighbouring tiles of one datastrip deliver the same ground twice. Nobody guarantees that they
agree. Here is how many pixels differ, and by how many digital numbers (DN; 10,000 DN are a reflectance of 1). A block
is stored once only where all 13 bands are equal in every pixel; where they differ, all copies stay.</p>"""


def page(report: Report, pictures: Sequence[Path] = ()) -> str:
    """Return the page.

    Parameters
    ----------
    report : Report
        What was found.
    pictures : sequence of Path
        PNG files, which are put inside.
    """
    parts = [
        "<h1>Do legacy tiles come back as they went in?</h1>",
        _verdict(report),
        "<h2>What was checked</h2>",
        _CHECKED,
        _products(report.certificates),
        _left_out(report.certificates),
        "<h2>How overlaps compare</h2>",
        _OVERLAPS,
        *(_layer(layer) for layer in report.layers),
        *(f'<p><img alt="Who stores which block, before and after" src="{_inline(path)}"></p>' for path in pictures),
        "<h2>Digests</h2>",
        "<p>SHA-256 of each decoded array (little-endian, C order): anyone can compute the left one from the SAFE.</p>",
        *(_digests(certificate) for certificate in report.certificates),
        "<h2>Made with</h2>",
        _made_with(report),
    ]
    title = f"Abut: {'equal' if report.equal else 'NOT equal'}"
    return (
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width">\n<title>{title}</title>\n<style>{_STYLE}</style>\n'
        + "\n".join(parts)
        + "\n</html>\n"
    )


def _verdict(report: Report) -> str:
    count = len(report.certificates)
    equal = sum(one.equal for one in report.certificates)
    values = sum(one.pixels for one in report.certificates)
    files = sum(len(one.files) for one in report.certificates)
    kind = "yes" if report.equal else "no"
    answer = "Yes, all of them." if report.equal else "No."
    return (
        f'<p class="verdict {kind}">{answer} {equal} of {plural(count, "product")} equal; {values:,} values and '
        f"{plural(files, 'file')} compared.</p>"
    )


def _products(certificates: Sequence[Certificate]) -> str:
    rows = [
        (
            escape(one.product),
            one.tile,
            _equal(equal=one.equal),
            f"{one.pixels:,}",
            f"{one.differing:,}",
            f"{sum(file.equal for file in one.files):,} of {len(one.files):,}",
        )
        for one in certificates
    ]
    return _table(("product", "tile", "result", "values", "differ", "files equal"), rows, left=3) + "".join(
        f"<p class='no'>{escape(one.product)}: {escape(str(result))}</p>"
        for one in certificates
        for result in _unequal(one)
    )


def _unequal(certificate: Certificate) -> Iterator[ArrayResult | FileResult]:
    yield from (array for array in certificate.arrays if not array.equal)
    yield from (file for file in certificate.files if not file.equal)


def _left_out(certificates: Sequence[Certificate]) -> str:
    names = list(dict.fromkeys(name for one in certificates for name in one.left_out))
    if not names:
        return "<p>Nothing was left out.</p>"
    return f"<p>Not compared:</p><ul>{''.join(f'<li><code>{escape(name)}</code></li>' for name in names)}</ul>"


def _layer(layer: LayerReport) -> str:
    stock = layer.stock
    saved = stock.stored_before - stock.stored_after
    blocks = (
        f"<p>{plural(len(stock.shares), 'product')}: {plural(stock.distinct, 'distinct block')} of 9.6 km. "
        f"<strong>{stock.stored_before:,}</strong> were ingested, <strong>{saved:,}</strong> could be released, "
        f"<strong>{stock.stored_after:,}</strong> stay; {layer.unequal:,} of these are stored again because pixels "
        f"differ. Bands: {size(stock.bytes_before)} before, {size(stock.bytes_after)} after.</p>"
    )
    lines = [f"<h3>Layer {escape(stock.layer)}</h3>", blocks]
    if not layer.overlaps:
        lines.append("<p>No two of its products share ground.</p>")
    for (first, second), bands in layer.pairs.items():
        lines.append(_pair(first, second, bands))
    return "\n".join(lines)


def _pair(first: str, second: str, bands: Sequence[OverlapDifferences]) -> str:
    pixels = sum(band.pixels for band in bands)
    differing = sum(band.differing for band in bands)
    if not pixels:
        summary = "No pixel has data in both."
    elif not differing:
        summary = f"All {pixels:,} pixels that have data in both are equal."
    else:
        summary = (
            f"{differing:,} of {pixels:,} pixels that have data in both differ; {_share(pixels, differing)} equal."
        )
    header = ("band", "data in both", "equal", "in one only", "differ", "largest", *(_bin_name(*ends) for ends in BINS))
    rows = [
        (
            band.band,
            f"{band.pixels:,}",
            _share(band.pixels, band.differing),
            f"{band.one_sided:,}",
            f"{band.differing:,}",
            str(max(band.histogram, default=0)),
            *(f"{count:,}" if count else "" for count in binned(band.histogram)),
        )
        for band in bands
    ]
    chart = _chart(binned(summed(bands))) if differing else ""
    return (
        f"<h3>{escape(first)}<br>{escape(second)}</h3><p>{summary}</p>{chart}"
        f"<details{' open' if differing else ''}><summary>Band by band; the last columns count pixels by |difference| "
        f"in DN</summary>{_table(header, rows, left=1)}</details>"
    )


def _share(pixels: int, differing: int) -> str:
    """Return the share of equal pixels, never rounded up to all of them."""
    if not pixels:
        return "-"
    if not differing:
        return "100 %"
    return f"{math.floor(1e6 * (pixels - differing) / pixels) / 1e4:.4f} %"


def _bin_name(first: int, last: int) -> str:
    if first == last:
        return str(first)
    return f"&gt; {first - 1}" if last > 60_000 else f"{first}-{last}"


def _chart(counts: Sequence[int]) -> str:
    """Return bars whose heights are logarithms: one pixel must be seen beside millions."""
    width, height = 72, 150
    highest = math.log10(max(counts) + 1)
    bars = []
    for i, (count, ends) in enumerate(zip(counts, BINS, strict=True)):
        tall = round(height * math.log10(count + 1) / highest)
        middle = i * width + width // 2
        bars.append(
            f'<rect x="{i * width + 8}" y="{20 + height - tall}" width="{width - 16}" height="{tall}" fill="#0072b2"/>'
            f'<text x="{middle}" y="{14 + height - tall}" text-anchor="middle">{count:,}</text>'
            f'<text x="{middle}" y="{38 + height}" text-anchor="middle">{_bin_name(*ends)}</text>'
        )
    total = width * len(BINS)
    axis = f'<line x1="0" y1="{20 + height}" x2="{total}" y2="{20 + height}" stroke="#1e1e1e"/>'
    label = f'<text x="0" y="{58 + height}">|difference| in DN, all bands; heights are logarithms of counts</text>'
    return f'<svg role="img" width="{total}" height="{70 + height}">{"".join(bars)}{axis}{label}</svg>'


def _digests(certificate: Certificate) -> str:
    rows = [
        (
            escape(one.name),
            _equal(equal=one.equal),
            f"<code>{one.safe_digest}</code>",
            f"<code>{one.archive_digest}</code>",
        )
        for one in certificate.arrays
    ]
    table = _table(("array", "result", "SAFE", "archive"), rows, left=4)
    return f"<details><summary>{escape(certificate.product)}</summary>{table}</details>"


def _made_with(report: Report) -> str:
    versions = report.certificates[0].versions if report.certificates else {}
    listed = ", ".join(f"{escape(name)} {escape(version)}" for name, version in versions.items())
    return f"<p>{report.time:%Y-%m-%d %H:%M} UTC, archive <code>{escape(report.archive)}</code>; {listed}.</p>"


def _equal(*, equal: bool) -> str:
    return '<span class="yes">equal</span>' if equal else '<span class="no">NOT EQUAL</span>'


def _table(header: Sequence[str], rows: Iterable[Sequence[str]], *, left: int) -> str:
    """Return a table whose first columns are aligned to the left, the others, numbers, to the right."""

    def line(cells: Sequence[str], tag: str) -> str:
        kinds = ["" if i < left else " class=n" for i in range(len(cells))]
        return "".join(f"<{tag}{kind}>{cell}</{tag}>" for cell, kind in zip(cells, kinds, strict=True))

    body = "".join(f"<tr>{line(row, 'td')}</tr>" for row in rows)
    return f"<table><tr>{line(header, 'th')}</tr>{body}</table>"


def _inline(path: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
