"""Band arithmetic: the language of rio-tiler's expressions, checked before anything is read, never run as Python.

rio-tiler hands the text to numexpr, which runs it as Python; here the text becomes a list of steps, each one function
of NumPy from a table, so what it costs is bounded by the numbers below.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from abut.errors import BadRequestError
from abut.layout import BAND
from abut.messages import quoted
from services.tiles.arithmetic import DOES, FUNCTIONS, Call, Layer, Number, evaluate
from services.tiles.layers import ALL

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from services.tiles.arithmetic import Step

LENGTH: Final = 500
"""Characters of an expression."""
OPERATIONS: Final = 64
"""Operators, functions and commas of an expression."""
DEPTH: Final = 32
"""Parentheses inside each other."""
OUTPUTS: Final = 13
"""Parts of an expression, separated by semicolons."""
EXPONENT: Final = 8.0
"""Largest exponent of a power."""
LARGEST: Final = 1e30
"""Largest number."""

_SYMBOLS: Final[dict[type, str]] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.Mod: "%",
    ast.Pow: "**",
    ast.UAdd: "+",
    ast.USub: "-",
    ast.Invert: "~",
    ast.BitAnd: "&",
    ast.BitOr: "|",
    ast.BitXor: "^",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "!=",
}

_KNOWN: Final = f"functions are {', '.join(sorted({name for name, _ in FUNCTIONS}))}"

_TOKEN: Final = re.compile(
    r"\s+|(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<operator>\*\*|<=|>=|==|!=|[-+*/%<>&|^~,])|[();]",
    re.ASCII,
)
_INDEX: Final = re.compile(r"b([1-9][0-9]?)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression that was checked."""

    text: str
    """As it was given."""
    layers: tuple[str, ...]
    """Layers to read: ``b1``, ``b2``, ... in this order."""
    outputs: tuple[tuple[Step, ...], ...]
    """Steps of each output band."""

    @property
    def names(self) -> tuple[str, ...]:
        """Text of each output band."""
        return tuple(part.strip() for part in self.text.split(";") if part.strip())

    def computed(self, data: NDArray[Any], nodata: NDArray[np.bool_]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Compute it.

        Parameters
        ----------
        data : array of shape (layer, ...)
            Values of its layers, in their order.
        nodata : array of bool of the same shape
            Where they have none.

        Returns
        -------
        data : array of float32 of shape (output, ...)
            The results, in single precision; 0 where there is none.
        nodata : array of bool of the same shape
            Where a layer that an output is made of has no data, or the result is not finite.

        Raises
        ------
        ValueError
            If there are not as many layers.
        """
        if len(data) != len(self.layers) or data.shape != nodata.shape:
            raise ValueError(f"{data.shape} and {nodata.shape} are not {len(self.layers)} layers of one shape")
        return evaluate(self.outputs, data, nodata)


@lru_cache(maxsize=256)
def parse_expression(text: str, layers: tuple[str, ...] = ()) -> Expression:
    """Check an expression.

    Parameters
    ----------
    text : str
        Output bands separated by semicolons; of each an expression of layers (``B08``, ``classification``), layers by
        their place (``b1`` is the first of `layers`), numbers, ``+ - * / % **``, comparisons, ``& | ^ ~`` (of
        comparisons, or of the bits of flags), and the functions of `FUNCTIONS`.
    layers : tuple of str
        What ``b1``, ``b2``, ... stand for. Layers that are called by name are added behind them.

    Raises
    ------
    BadRequestError
        If it means nothing, names what is not there, or is longer or deeper than an expression may be.
    """
    if len(text) > LENGTH:
        raise _refused(text, f"has {len(text)} characters, more than {LENGTH}")
    parts = [part.strip() for part in text.split(";") if part.strip()]
    if not 1 <= len(parts) <= OUTPUTS:
        raise _refused(text, f"has {len(parts)} parts, not 1 to {OUTPUTS}")
    _check_tokens(text)
    found = list(layers)
    outputs = tuple(tuple(_steps(_tree(part), text, found)) for part in parts)
    for part, steps in zip(parts, outputs, strict=True):
        if not any(isinstance(step, Layer) for step in steps):
            raise _refused(text, f"{quoted(part)} names no band")
    return Expression(text, tuple(found), outputs)


def _check_tokens(text: str) -> None:
    """Raise if a text has anything but names, numbers and operators, or too many of them."""
    operations = depth = at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise _refused(text, f"{quoted(text[at : at + 20])} is no name, number or operator")
        if found["number"] and float(found["number"]) > LARGEST:
            raise _refused(text, f"a number is more than {LARGEST:g}")
        at = found.end()
        operations += found["operator"] is not None or (found["name"] is not None and _is_called(text, at))
        depth += {"(": 1, ")": -1}.get(found[0], 0)
        if operations > OPERATIONS:
            raise _refused(text, f"has more than {OPERATIONS} operations")
        if depth > DEPTH:
            raise _refused(text, f"has more than {DEPTH} parentheses inside each other")


def _is_called(text: str, at: int) -> bool:
    return text[at:].lstrip().startswith("(")


def _tree(part: str) -> ast.expr:
    """Return the syntax of an expression, which is that of Python; its tokens were counted."""
    try:
        return ast.parse(part, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise _refused(part, "is not written as an expression") from error


def _steps(node: ast.expr, text: str, layers: list[str]) -> Iterator[Step]:
    """Yield the steps of a piece of syntax, operands first; as deep as `_check_tokens` permits."""
    if (value := _number(node)) is not None:
        yield Number(value)
    elif isinstance(node, ast.Name):
        yield Layer(_layer(node.id, text, layers))
    else:
        name, operands = _operation(node, text)
        if (name, len(operands)) not in DOES:
            raise _refused(text, f"{quoted(name)} of {len(operands)} values is unknown; {_KNOWN}")
        if name == "**":
            _check_power(operands[0], operands[1], text)
        for operand in operands:
            yield from _steps(operand, text, layers)
        yield Call(name, len(operands))


def _operation(node: ast.expr, text: str) -> tuple[str, list[ast.expr]]:
    if isinstance(node, ast.BinOp):
        return _SYMBOLS.get(type(node.op), type(node.op).__name__), [node.left, node.right]
    if isinstance(node, ast.UnaryOp):
        return _SYMBOLS.get(type(node.op), type(node.op).__name__), [node.operand]
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        return _SYMBOLS.get(type(node.ops[0]), type(node.ops[0]).__name__), [node.left, *node.comparators]
    if isinstance(node, ast.Compare):
        raise _refused(text, "compares more than two values; put parentheses around each comparison")
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
        return node.func.id, node.args
    raise _refused(text, f"{quoted(ast.unparse(node))} is no arithmetic")


def _check_power(base: ast.expr, exponent: ast.expr, text: str) -> None:
    """Raise unless a power is one of a layer, with a small number for its exponent."""
    negated = isinstance(exponent, ast.UnaryOp) and isinstance(exponent.op, ast.USub)
    size = _number(exponent.operand if isinstance(exponent, ast.UnaryOp) and negated else exponent)
    if size is None or size > EXPONENT:
        raise _refused(text, f"exponent {quoted(ast.unparse(exponent))} is not a number up to {EXPONENT:g}")
    if not any(isinstance(node, ast.Name) for node in ast.walk(base)):
        raise _refused(text, f"{quoted(ast.unparse(base))} is a power's base without a band")


def _number(node: ast.expr) -> float | None:
    """Return the number that a piece of syntax is; None if it is another."""
    value = node.value if isinstance(node, ast.Constant) else None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _layer(name: str, text: str, layers: list[str]) -> int:
    if place := _INDEX.fullmatch(name):
        if int(place[1]) > len(layers):
            raise _refused(text, f"{quoted(name)} is none of {len(layers)} bands")
        return int(place[1]) - 1
    if name not in ALL:
        raise _refused(text, f"{quoted(name)} is no band; there are {', '.join(BAND)}, flags, and b1, b2, ...")
    if name not in layers:
        layers.append(name)
    return layers.index(name)


def _refused(text: str, why: str) -> BadRequestError:
    return BadRequestError(f"expression {quoted(text)}: {why}")
