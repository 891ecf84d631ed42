"""Decisions of s2cloudless on real pixels, against a published rule and against ESA's own masks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from s2cloudless.cloud_detector import S2PixelCloudDetector

from benchmarks.quality.data import air
from workflows.clouds import THRESHOLD
from workflows.probability import BANDS

if TYPE_CHECKING:
    from benchmarks.quality.data import Flags, RealTile, Values

ORDER: Final = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12")
"""Bands of the patches."""
NO_CIRRUS: Final = 0.0012
"""Reflectance of B10 where there is no cirrus: the median of the three clear patches."""
VAPOUR: Final = 0.30
"""Of B09, what water vapour lets through, roughly: B09 / B8A is 0.24 to 0.40 on the patches."""


def probability(spectra: Values) -> Values:
    """Return the probability of cloud of pixels (pixel, band in the order of `BANDS`), 0 to 1."""
    found: Values = np.concatenate(
        [
            S2PixelCloudDetector().get_cloud_probability_maps(part[None, None])[0, 0]
            for part in np.array_split(spectra, len(spectra) // 500_000 + 1)
        ]
    )
    return found


def rule(green: Values, red: Values) -> Flags:
    """Return cloud by the rule of Braaten, Cohen and Yang (2015): two bands, no model, no training."""
    found: Flags = (green > 0.39) | ((green > 0.175) & (green > red))
    return found


def agreement(found: Flags, truth: Flags) -> dict[str, float]:
    """Return shares of pixels that are called cloud, and recall, precision and agreement with another mask."""
    both = float((found & truth).mean())
    return {
        "cloud": float(found.mean()),
        "cloud of the other": float(truth.mean()),
        "recall": both / max(float(truth.mean()), 1e-9),
        "precision": both / max(float(found.mean()), 1e-9),
        "agreement": float((found == truth).mean()),
    }


def on_patches(patches: Values) -> list[dict[str, Any]]:
    """Return, by date: clouds of s2cloudless and of the rule, and what substituted bands change."""
    rows = []
    limit = THRESHOLD / 10_000
    for number, patch in enumerate(patches):
        pixels = patch.reshape(-1, len(ORDER))
        band = {name: pixels[:, index] for index, name in enumerate(ORDER)}
        spectra = np.stack([band[name] for name in BANDS], axis=-1)
        cloud = probability(spectra) > limit
        row: dict[str, Any] = {
            "patch": number,
            **agreement(cloud, rule(band["B03"], band["B04"])),
            "B10": float(np.median(band["B10"])),
        }
        for name, values in (
            ("flips: B10 constant", {"B10": np.full_like(band["B10"], NO_CIRRUS)}),
            ("flips: B09 of B8A", {"B09": band["B8A"] * VAPOUR}),
            ("flips: B08 of B8A", {"B08": band["B8A"]}),
            ("flips: B10 and B09", {"B10": np.full_like(band["B10"], NO_CIRRUS), "B09": band["B8A"] * VAPOUR}),
        ):
            changed = np.stack([(band | values)[name] for name in BANDS], axis=-1)
            row[name] = float(((probability(changed) > limit) != cloud).mean())
        rows.append(row)
    return rows


def top_of_atmosphere(tile: RealTile, rows: Flags, *, cirrus: float = NO_CIRRUS, vapour: float = VAPOUR) -> Values:
    """Return spectra such as Level-1C would have, of pixels of a tile of Level-2A.

    The atmosphere is put back by 6S, over ground that is like its surroundings. B08 is B8A; B09 is what Level-2A has
    times `vapour`; B10, which Level-2A lacks, is what it is without cirrus.
    """
    columns = []
    for band in BANDS:
        if band == "B10":
            columns.append(np.full(int(rows.sum()), cirrus))
            continue
        ground = tile.surface["B8A" if band == "B08" else band][rows]
        if band == "B09":
            columns.append(ground * vapour)
            continue
        terms = air(band)
        seen = terms.down * (terms.direct + terms.diffuse) * ground / (1 - terms.albedo * ground)
        columns.append(terms.gases * (terms.path + seen))
    return np.stack(columns, axis=-1)


def on_tile(tile: RealTile, step: int = 1, **changes: float) -> list[dict[str, Any]]:
    """Return the agreement of decisions on a tile, of every `step`th pixel, with other masks of it."""
    rows = np.zeros_like(tile.valid)
    rows[::step, ::step] = tile.valid[::step, ::step]
    found = np.zeros(rows.shape)
    found[rows] = probability(top_of_atmosphere(tile, rows, **changes))
    cloud = found[rows] > THRESHOLD / 10_000
    others = {
        "Level-1C opaque": tile.opaque,
        "Level-1C opaque or cirrus": tile.opaque | tile.cirrus,
        "Sen2Cor cloud (8, 9)": np.isin(tile.scl, (8, 9)),
        "Sen2Cor cloud or cirrus (8, 9, 10)": np.isin(tile.scl, (8, 9, 10)),
        "rule of Braaten et al.": rule(_over(tile, "B03"), _over(tile, "B04")),
    }
    table = [{"against": name, **agreement(cloud, mask[rows])} for name, mask in others.items()]
    table.append(
        {"against": "opaque by Sen2Cor (8, 9)", **agreement(tile.opaque[rows], others["Sen2Cor cloud (8, 9)"][rows])}
    )
    return table


def _over(tile: RealTile, band: str) -> Values:
    terms = air(band)
    ground = tile.surface[band]
    found: Values = terms.gases * (
        terms.path + terms.down * (terms.direct + terms.diffuse) * ground / (1 - terms.albedo * ground)
    )
    return found
