"""What an export wrote."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What an export wrote."""

    target: str
    """Where: folder, S3 prefix or file."""
    collections: int
    """Number of collections."""
    items: int
    """Number of items; withdrawn ones are left out."""
    files: int
    """Number of files or objects."""
    data_bytes: int
    """Their bytes."""
