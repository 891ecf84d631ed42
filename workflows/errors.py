"""What a workflow refuses."""

from __future__ import annotations


class WorkflowError(ValueError):
    """A workflow can't be run on what it was given."""


class MissingBandError(WorkflowError):
    """A band that is needed was not given."""


class NeighbourhoodError(WorkflowError):
    """The ground around the core is narrower than the workflow looks."""


class GeometryError(WorkflowError):
    """An angle that is needed is no number, or one that sun or sensor can't have."""
