"""Workflows by name, and users' functions as workflows."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from workflows import adjacency, classify, clouds, indices, probability, segments, shadows
from workflows.atmosphere import BANDS as CORRECTED
from workflows.errors import WorkflowError
from workflows.runs import composite, computing
from workflows.runs.parameters import Parameter
from workflows.runs.users import user_workflow
from workflows.runs.workflow import Workflow

if TYPE_CHECKING:
    from workflows.runs.parameters import Parameters

__all__ = ["WORKFLOWS", "user_workflow", "workflow"]

_LONGEST: Final = 1_400
"""Longest reach of shadows in pixels of 60 m; the ground that it needs is 93 km on each side."""

_OF_CLOUDS: Final = {
    "threshold": Parameter(
        int, clouds.THRESHOLD, "probability above which a pixel is cloud, in ten-thousandths", 0, 10_000
    ),
    "reach": Parameter(
        int, shadows.REACH, "how far shadows are looked for, in pixels of 60 m; more in winter", 1, _LONGEST
    ),
}
"""Parameters of all that finds clouds and their shadows."""


def _cloud_bands(_: Parameters) -> tuple[str, ...]:
    return probability.BANDS


def _cloud_radius(params: Parameters) -> int:
    return clouds.radius(computing.whole(params, "reach"))


def _corrected_bands(params: Parameters) -> tuple[str, ...]:
    return computing.texts(params, "bands")


def _adjacency_radius(_: Parameters) -> int:
    return adjacency.RADIUS


def _segment_bands(_: Parameters) -> tuple[str, ...]:
    return segments.BANDS


def _segment_radius(_: Parameters) -> int:
    return segments.RADIUS


def _classified_radius(_: Parameters) -> int:
    return classify.RADIUS


def _index_bands(params: Parameters) -> tuple[str, ...]:
    return tuple(
        dict.fromkeys(band for name in computing.texts(params, "index") for band in indices.INDICES[name].bands)
    )


def _nothing_around(_: Parameters) -> int:
    return 0


WORKFLOWS: Final[dict[str, Workflow]] = {
    one.name: one
    for one in (
        Workflow(
            name="clouds",
            title="Clear ground, clouds and their shadows, at 60 m",
            parameters=_OF_CLOUDS,
            needed=_cloud_bands,
            reach=_cloud_radius,
            pixel=shadows.PIXEL,
            made=computing.clouds,
        ),
        Workflow(
            name="adjacency",
            title="Surface reflectance without what the surroundings scatter into a pixel's view",
            parameters={
                "bands": Parameter(tuple, ("B02", "B03", "B04", "B8A"), "bands to correct", choices=CORRECTED),
                "aerosol": Parameter(str, "continental", "model of the aerosol", choices=("continental", "maritime")),
                "optical_thickness": Parameter(float, 0.2, "of aerosols at 550 nm", 0.05, 0.6),
            },
            needed=_corrected_bands,
            reach=_adjacency_radius,
            pixel=10,
            made=computing.adjacency,
        ),
        Workflow(
            name="segments",
            title="Superpixels at 10 m that have the same names everywhere",
            parameters={},
            needed=_segment_bands,
            reach=_segment_radius,
            pixel=segments.PIXEL,
            made=computing.segments,
        ),
        Workflow(
            name="classify",
            title="Land cover of superpixels at 10 m, by a trained model",
            parameters={
                "model": Parameter(str, "", "a model of your own, a file of LightGBM; none: the one that comes along")
            },
            needed=_segment_bands,
            reach=_classified_radius,
            pixel=segments.PIXEL,
            made=computing.classify,
        ),
        Workflow(
            name="index",
            title="Spectral indices as whole ten-thousandths",
            parameters={"index": Parameter(tuple, ("ndvi",), "which ones", choices=tuple(indices.INDICES))},
            needed=_index_bands,
            reach=_nothing_around,
            pixel=10,
            made=computing.index,
        ),
        Workflow(
            name="composite",
            title="Spectral indices of each month without clouds, the lower median or the largest of all moments",
            parameters={
                "index": Parameter(tuple, ("ndvi",), "which ones", choices=tuple(indices.INDICES)),
                "method": Parameter(str, "median", "what is taken of a pixel's values", choices=("median", "max")),
                "mask": Parameter(str, "clouds", "what is left out", choices=("clouds", "none")),
                **_OF_CLOUDS,
            },
            needed=composite.needed_bands,
            reach=composite.cloud_radius,
            pixel=10,
            per_time=False,
            made=composite.of_moment,
        ),
    )
}
"""The built-in workflows by name."""


def workflow(name: str) -> Workflow:
    """Return a built-in workflow.

    Raises
    ------
    WorkflowError
        If there is none of this name; the message says which there are.
    """
    if name in WORKFLOWS:
        return WORKFLOWS[name]
    close = get_close_matches(name, WORKFLOWS, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise WorkflowError(
        f"{name!r} is no workflow; there are {', '.join(WORKFLOWS)}, and your own as package.module:function{hint}"
    )
