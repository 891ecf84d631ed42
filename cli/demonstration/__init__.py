"""What `abut demo` and `abut equality` do, step by step: products, archive, proof, picture, page."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def extras() -> Iterator[None]:
    """Say what to install where a package that only demonstrations need is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise click.UsageError(f"this needs {error.name}: pip install 'abut[ingest]' pillow") from error
