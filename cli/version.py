"""`abut version`."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Final

import click

from abut import __version__
from abut.archive import FORMAT
from cli.options import debug_option, json_option
from cli.output import print_json

LIBRARIES: Final = ("zarr", "numcodecs", "obstore", "numpy", "rasterio", "dask", "pcodec")
"""What archives are written and read with; the last three come with extras."""


@click.command
@json_option()
@debug_option()
def command(*, as_json: bool) -> None:
    """Say which version this is.

    And which versions of the libraries that archives are written and read with.

    \b
    abut version --json
    """  # noqa: D301 - \b is click's mark before text that is not to be wrapped
    libraries = {name: _version(name) for name in LIBRARIES}
    if as_json:
        print_json(
            {
                "abut": __version__,
                "archive_format": FORMAT,
                "python": platform.python_version(),
                "libraries": libraries,
            }
        )
        return
    click.echo(f"abut {__version__}, archive format {FORMAT}, Python {platform.python_version()}")
    for name, found in libraries.items():
        click.echo(f"{name:<10} {found or 'not installed'}")


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
