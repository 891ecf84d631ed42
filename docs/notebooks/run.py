"""Run the notebooks anew; what they show for the documentation is written as pictures.

``python docs/notebooks/run.py`` runs them in place; with a folder as argument, copies of them there. Nothing that
differs from run to run is kept: times, versions, names of objects in memory.
"""

from __future__ import annotations

import base64
import sys
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).resolve().parent
PICTURES = HERE.parent / "pictures"
SECONDS = 900
"""Longest time that a cell may take."""


def run(notebook: Any) -> Any:
    """Return a notebook with fresh outputs; `nbclient.exceptions.CellExecutionError` if a cell fails."""
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=SECONDS,
        record_timing=False,
        resources={"metadata": {"path": str(HERE)}},
    )
    client.execute()
    return plain(notebook)


def plain(notebook: Any) -> Any:
    """Return a notebook without what differs from run to run."""
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"
        cell.metadata = nbformat.from_dict({"tags": cell.metadata["tags"]} if "tags" in cell.metadata else {})
        for output in cell.get("outputs", []):
            output.pop("metadata", None)
            if "image/png" in output.get("data", {}):
                output["data"] = {"image/png": output["data"]["image/png"].rstrip("\n")}
            if output.output_type in ("display_data", "execute_result"):
                output["metadata"] = {}
    return notebook


def pictures(notebook: Any) -> dict[str, bytes]:
    """Return the pictures that cells with the tag ``picture:NAME`` show, by name, as PNG."""
    found = {}
    for cell in notebook.cells:
        for tag in cell.metadata.get("tags", []):
            (image,) = (one["data"]["image/png"] for one in cell.outputs if "image/png" in one.get("data", {}))
            found[tag.removeprefix("picture:")] = base64.b64decode(image)
    return found


def main(into: Path | None) -> None:
    """Run all notebooks, in place or into a folder."""
    for source in sorted(HERE.glob("*.ipynb")):
        notebook = run(nbformat.read(source, as_version=4))
        nbformat.write(notebook, (into or HERE) / source.name)
        for name, image in pictures(notebook).items():
            ((into or PICTURES) / f"{name}.png").write_bytes(image)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
