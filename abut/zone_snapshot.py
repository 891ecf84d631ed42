"""Snapshots: a name for the pixels of a zone view, so that metadata and chunks agree while products arrive."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from abut.view import View


def digest_of(view: View) -> str:
    """Return the name of a view's pixels.

    It is made of the steps and the stores of the products that were chosen, which alone decide each pixel. Settling and
    purging change who holds which block and the revisions of ledgers, but no pixel, and not this.

    Returns
    -------
    str
        32 hexadecimal digits.
    """
    steps = []
    for slot, chosen in zip(view.slots, view.chosen, strict=True):
        steps.append(
            {
                "time": slot.time.isoformat(),
                "datatakes": slot.datatakes,
                "quantification_value": slot.quantification_value,
                "radio_add_offset": sorted(slot.radio_add_offset.items()),
                "chosen": chosen,
            }
        )
    document = {"zone": view.zone.epsg, "profile": view.profile, "steps": steps}
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:32]
