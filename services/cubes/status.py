"""Jobs as OGC API - Processes shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from services.cubes.answers import unplaced
from services.cubes.landing import REL, link

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from services.cubes.jobs import Job, Part

ZARR: Final = "application/vnd.zarr; version=3"
"""Media type of a result."""


def status_info(job: Job, base: str, place: str) -> dict[str, Any]:
    """Return the state of a job (statusInfo).

    Parameters
    ----------
    job : Job
        The job.
    base : str
        URL of the cube service, as the client sees it.
    place : str
        URL of the archive, which messages do not show.
    """
    here = f"{base}/jobs/{job.id}"
    links = [link(here, "self", "This job")]
    if job.status == "successful":
        links.append(link(f"{here}/results", f"{REL}/results", "Its results"))
    made: dict[str, Any] = {
        "jobID": job.id,
        "processID": job.process,
        "type": "process",
        "status": job.status,
        "progress": job.progress,
        "message": unplaced(job.message, place) or f"{job.parts_done} of {job.parts} cubes are there",
        "links": links,
    }
    moments = {
        "created": job.created,
        "started": job.started,
        "finished": job.finished,
        "updated": job.updated,
        "expires": job.expires,
    }
    return {**made, **{name: _moment(value) for name, value in moments.items() if value is not None}}


def results_document(job: Job, parts: Sequence[Part], base: str, output: str) -> dict[str, Any]:
    """Return the results of a successful job: a link to a Zarr group, or a list of them if it has several parts."""
    links = [
        {"href": f"{base}/jobs/{job.id}/results/{part.name}.zarr", "rel": "item", "type": ZARR, "title": part.name}
        for part in parts
    ]
    return {output: links[0] if len(links) == 1 else links}


def _moment(value: datetime) -> str:
    return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
