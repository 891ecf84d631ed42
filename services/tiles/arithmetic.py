"""What the steps of an expression do: functions of NumPy on a stack of arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

STRIP: Final = 1 << 16
"""Pixels that are computed at once: intermediate results are as large, and there may be many."""


@dataclass(frozen=True, slots=True)
class Number:
    """A step that puts a number onto the stack."""

    value: float
    """The number."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A step that puts the values of a layer onto the stack."""

    index: int
    """Which of the expression's layers, from 0."""


@dataclass(frozen=True, slots=True)
class Call:
    """A step that replaces the last values of the stack by what a function makes of them."""

    name: str
    """Operator or name of the function."""
    count: int
    """How many values it takes."""


type Step = Number | Layer | Call


def evaluate(
    outputs: Sequence[Sequence[Step]], data: NDArray[Any], nodata: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Compute what steps say, `STRIP` pixels at a time.

    Parameters
    ----------
    outputs : sequence of sequences of steps
        What is computed of each output: those of an expression.
    data : array of shape (layer, ...)
        Values of the layers, in the order of the expression.
    nodata : array of bool of the same shape
        Where they have none.

    Returns
    -------
    data : array of float32 of shape (output, ...)
        The results, in single precision; 0 where there is none.
    nodata : array of bool of the same shape
        Where a layer that an output is made of has no data, or the result is not finite.
    """
    shape = (len(outputs), *data.shape[1:])
    flat, unknown = data.reshape(len(data), -1), nodata.reshape(len(data), -1)
    made = np.zeros((len(outputs), flat.shape[1]), np.float32)
    missing = np.ones(made.shape, np.bool_)
    with np.errstate(all="ignore"):
        for number, steps in enumerate(outputs):
            used = sorted({step.index for step in steps if isinstance(step, Layer)})
            for first in range(0, flat.shape[1], STRIP):
                strip = slice(first, first + STRIP)
                values = _numbers(_computed(steps, flat[:, strip]))
                missing[number, strip] = unknown[used, strip].any(axis=0) | ~np.isfinite(values)
                made[number, strip] = np.where(missing[number, strip], 0, values)
    return made.reshape(shape), missing.reshape(shape)


def _computed(steps: Sequence[Step], data: NDArray[Any]) -> Any:
    stack: list[Any] = []
    for step in steps:
        if isinstance(step, Number):
            stack.append(np.float32(step.value))
        elif isinstance(step, Layer):
            stack.append(data[step.index].astype(np.float32, copy=False))
        else:
            stack[-step.count :] = [DOES[step.name, step.count](*stack[-step.count :])]
    return stack.pop()


def _numbers(values: Any) -> Any:
    """Return values with which can be calculated: truth is 1."""
    return values if values.dtype == np.float32 else values.astype(np.float32)


def _whole(values: Any) -> Any:
    """Return values as whole numbers, for operations on bits."""
    return values if values.dtype.kind in "bi" else np.clip(np.nan_to_num(values), -(2**31), 2**31).astype(np.int64)


def _arithmetic(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *values: function(*map(_numbers, values))


def _bits(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *values: function(*map(_whole, values))


def _where(condition: Any, chosen: Any, other: Any) -> Any:
    return np.where(condition != 0, _numbers(chosen), _numbers(other))


FUNCTIONS: Final[dict[tuple[str, int], Callable[..., Any]]] = {
    ("where", 3): _where,
    **{
        (function.__name__, 1): _arithmetic(function)
        for function in (
            *(np.sqrt, np.exp, np.expm1, np.log, np.log10, np.log1p, np.floor, np.ceil),
            *(np.sin, np.cos, np.tan, np.arcsin, np.arccos, np.arctan, np.sinh, np.cosh, np.tanh),
        )
    },
    ("abs", 1): _arithmetic(np.abs),
    ("arctan2", 2): _arithmetic(np.arctan2),
    ("maximum", 2): _arithmetic(np.maximum),
    ("minimum", 2): _arithmetic(np.minimum),
}
"""Functions by name and number of values."""

DOES: Final[dict[tuple[str, int], Callable[..., Any]]] = {
    **FUNCTIONS,
    ("+", 1): _arithmetic(np.positive),
    ("-", 1): _arithmetic(np.negative),
    ("~", 1): _bits(np.invert),
    ("+", 2): _arithmetic(np.add),
    ("-", 2): _arithmetic(np.subtract),
    ("*", 2): _arithmetic(np.multiply),
    ("/", 2): _arithmetic(np.divide),
    ("%", 2): _arithmetic(np.mod),
    ("**", 2): _arithmetic(np.power),
    ("&", 2): _bits(np.bitwise_and),
    ("|", 2): _bits(np.bitwise_or),
    ("^", 2): _bits(np.bitwise_xor),
    ("<", 2): _arithmetic(np.less),
    ("<=", 2): _arithmetic(np.less_equal),
    (">", 2): _arithmetic(np.greater),
    (">=", 2): _arithmetic(np.greater_equal),
    ("==", 2): _arithmetic(np.equal),
    ("!=", 2): _arithmetic(np.not_equal),
}
