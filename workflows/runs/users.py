"""Users' own functions as workflows: named as ``package.module:function``, called with a moment."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from workflows.errors import WorkflowError
from workflows.runs.parameters import Parameter
from workflows.runs.results import ground, variables
from workflows.runs.workflow import Workflow
from workflows.scene import RESOLUTION

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import xarray as xr

    from workflows.runs.parameters import Parameters
    from workflows.runs.results import Result
    from workflows.runs.workflow import Way

_KINDS: Final = (bool, int, float, str)


def user_workflow(spec: str, radius: int = 0, bands: Sequence[str] | None = None) -> Workflow:
    """Return a function of a user as a workflow.

    Parameters
    ----------
    spec : str
        ``package.module:function``. The module is looked for in the current directory first, as Python does. The
        function is called with a moment (xarray.DataTree) and returns a DataArray, Dataset or DataTree with the
        dimensions y and x. Its further parameters whose defaults are numbers, texts or booleans can be set.
    radius : int
        Metres of ground around a pixel that its value depends on.
    bands : sequence of str, optional
        Bands that it needs. Default: all thirteen.

    Raises
    ------
    WorkflowError
        If it can't be imported, is not callable, can't be called with a moment alone, the radius is negative, or a
        band is none.
    """
    if radius < 0:
        raise WorkflowError(f"the radius {radius} m is negative")
    chosen = tuple(RESOLUTION) if bands is None else tuple(dict.fromkeys(bands))
    unknown = [band for band in chosen if band not in RESOLUTION]
    if unknown or not chosen:
        raise WorkflowError(f"{', '.join(unknown) or 'nothing'} is no band; there are {', '.join(sorted(RESOLUTION))}")
    folder = os.getcwd()  # noqa: PTH109 - what is put on sys.path, a text
    function = _imported(spec, folder)
    first = (inspect.getdoc(function) or "").partition("\n")[0].strip()
    return Workflow(
        name=spec,
        title=first or f"The function {spec}",
        parameters=_parameters(spec, function),
        needed=_Always(chosen),
        reach=_Always(radius),
        pixel=min(RESOLUTION[band] for band in chosen),
        made=_Called(spec, folder),
    )


@dataclass(frozen=True, slots=True)
class _Always[T]:
    """The same value whatever the parameters are; can be pickled."""

    value: T

    def __call__(self, _: Parameters) -> T:
        return self.value


@dataclass(frozen=True, slots=True)
class _Called:
    """A user's function by its name, so that other processes import it for themselves."""

    spec: str
    folder: str

    def __call__(self, moment: xr.DataTree, params: Parameters, way: Way) -> Result:
        function = _imported(self.spec, self.folder)
        way.done(self.spec, 0, 1)
        try:
            result = function(moment, **params)
            if hasattr(result, "load"):
                result = result.load()  # lazy ones fail here, and are computed once
        except (Exception, SystemExit) as error:  # whose status, 0 even, is not that of the run
            text = " ".join(str(error).split())
            raise WorkflowError(f"{self.spec} raised {type(error).__name__}{f': {text}' if text else ''}") from error
        try:
            variables(result, ground(moment))
        except WorkflowError as error:
            raise WorkflowError(f"{self.spec}: {error}") from error
        way.done(self.spec, 1, 1)
        made: Result = result if not hasattr(result, "to_dataset") or _is_tree(result) else _as_dataset(result)
        return made


def _is_tree(result: Any) -> bool:
    return hasattr(result, "subtree")


def _as_dataset(array: xr.DataArray) -> xr.Dataset:
    return array.to_dataset(name=str(array.name or "result"))


def _imported(spec: str, folder: str) -> Callable[..., Any]:
    module, colon, name = spec.partition(":")
    if not (colon and name and module):
        raise WorkflowError(f"{spec!r} is no function: write package.module:function")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        found: Any = importlib.import_module(module)
    except (Exception, SystemExit) as error:  # scripts end when they are imported, with status 0 even
        text = " ".join(str(error).split())
        raise WorkflowError(f"{module} can't be imported from {folder}: {type(error).__name__}: {text}") from error
    for part in name.split("."):
        if not hasattr(found, part):
            raise WorkflowError(f"{module} ({found_in(found)}) has no {name!r}")
        found = getattr(found, part)
    if not callable(found):
        raise WorkflowError(f"{spec} is not callable: it is {type(found).__name__}")
    function: Callable[..., Any] = found
    return function


def found_in(module: Any) -> str:
    """Return the file of a module, as far as it has one."""
    return str(getattr(module, "__file__", None) or "no file")


def _parameters(spec: str, function: Callable[..., Any]) -> dict[str, Parameter]:
    """Return what can be set of a function: what has a default of a simple type."""
    try:
        declared = list(inspect.signature(function).parameters.values())
    except ValueError:  # of functions in C; they are called with a moment alone
        return {}
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    positional = (inspect.Parameter.POSITIONAL_ONLY, *named[:1], inspect.Parameter.VAR_POSITIONAL)
    if not declared or declared[0].kind not in positional:
        raise WorkflowError(f"{spec} takes no moment: its first parameter has to be one")
    rest = [one for one in declared[1:] if one.kind in (inspect.Parameter.POSITIONAL_ONLY, *named)]
    needed = [one.name for one in rest if one.default is inspect.Parameter.empty]
    if needed:
        raise WorkflowError(f"{spec} is called with a moment alone: its parameters {', '.join(needed)} have no default")
    return {
        one.name: Parameter(type(one.default), one.default)
        for one in rest
        if one.kind in named and type(one.default) in _KINDS
    }
