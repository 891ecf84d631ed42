"""What a STAC API of Abut says of itself, by which a catalogue behind it knows what it can be asked."""

from __future__ import annotations

from typing import Final

REGISTER: Final = "urn:abut:stac:register:1"
"""Conformance class of servers that hand out items as they are stored, withdrawn ones too, to those who may."""

BULK: Final = "urn:abut:stac:bulk:1"
"""Conformance class of servers that take many items at once, by `catalog.interface`'s rule of revisions."""

ARCHIVE: Final = "abut:archive"
"""Field of the landing page of servers of Abut: id of the archive that they serve."""
