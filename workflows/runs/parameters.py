"""Parameters of workflows: what can be set, and what a user's text means."""

from __future__ import annotations

import math
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

from workflows.errors import WorkflowError

if TYPE_CHECKING:
    from collections.abc import Mapping

    type Value = int | float | str | bool | tuple[str, ...]
    type Parameters = Mapping[str, Value]

_SWITCHES = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One thing that can be set."""

    kind: type
    """`int`, `float`, `str`, `bool`, or `tuple`: several texts, separated by commas."""
    default: Value
    """What it is if nothing is said."""
    help: str = ""
    """What it means, in a line."""
    least: float = -math.inf
    """Smallest number that is allowed."""
    most: float = math.inf
    """Largest number that is allowed."""
    choices: tuple[str, ...] = ()
    """The texts that are allowed; none: any."""

    def read(self, name: str, given: object) -> Value:
        """Return a value of this parameter's type.

        Parameters
        ----------
        name : str
            What the parameter is called, for errors.
        given : object
            A text as of ``--set name=value``, or a value.

        Raises
        ------
        WorkflowError
            If it is of another type, or not allowed; the message says what is.
        """
        try:
            value = self._converted(given)
        except (KeyError, TypeError, ValueError, OverflowError):
            raise WorkflowError(f"{name}={given!s:.200} is not {self.allowed}") from None
        numbers = [value] if isinstance(value, int | float) and not isinstance(value, bool) else []
        texts = [value] if isinstance(value, str) else value if isinstance(value, tuple) else []
        outside = [one for one in numbers if not self.least <= one <= self.most]
        unknown = [one for one in texts if self.choices and one not in self.choices]
        if outside or unknown or (self.kind is tuple and not texts):
            hint = _hint(unknown[0], self.choices) if unknown else ""
            raise WorkflowError(f"{name}={given!s:.200} is not {self.allowed}{hint}")
        return value

    def _converted(self, given: object) -> Value:
        if self.kind is tuple:
            parts = given.split(",") if isinstance(given, str) else list(given)  # type: ignore[call-overload] # TypeError is caught
            return tuple(dict.fromkeys(self._cased(str(part).strip()) for part in parts if str(part).strip()))
        if self.kind is str:
            return self._cased(str(given).strip())
        if self.kind is bool:
            return _SWITCHES[str(given).strip().lower()]
        if isinstance(given, bool):
            raise TypeError(given)
        value: Value = self.kind(given)
        if isinstance(given, float) and value != given:
            raise ValueError(given)
        return value

    def _cased(self, text: str) -> str:
        """Return a text as `choices` write it, whatever the case of its letters."""
        return next((choice for choice in self.choices if choice.lower() == text.lower()), text)

    @property
    def allowed(self) -> str:
        """What may be given, in words."""
        if self.kind is tuple:
            return f"some of {', '.join(self.choices)}, with commas" if self.choices else "a list of texts, with commas"
        if self.kind is str:
            return f"one of {', '.join(self.choices)}" if self.choices else "a text"
        if self.kind is bool:
            return "true or false"
        what = "a whole number" if self.kind is int else "a number"
        if math.isinf(self.least) and math.isinf(self.most):
            return what
        if math.isinf(self.most):
            return f"{what} from {self.least:g} on"
        return f"{what} from {self.least:g} to {self.most:g}"

    @property
    def written(self) -> str:
        """The default, as a user writes it."""
        value = self.default
        return ",".join(value) if isinstance(value, tuple) else str(value).lower() if self.kind is bool else str(value)


def read_parameters(declared: Mapping[str, Parameter], given: Mapping[str, object], whose: str) -> dict[str, Value]:
    """Return the value of each parameter: what was given, else the default.

    Parameters
    ----------
    declared : mapping
        The parameters by name.
    given : mapping
        Texts or values by name.
    whose : str
        What they are parameters of, for errors.

    Raises
    ------
    WorkflowError
        If there is no such parameter, or a value is not allowed.
    """
    for name in given:
        if name not in declared:
            there = f"there are {', '.join(declared)}" if declared else "it has none"
            raise WorkflowError(f"{name!r} is no parameter of {whose}; {there}{_hint(name, tuple(declared))}")
    return {
        name: parameter.read(name, given[name]) if name in given else parameter.default
        for name, parameter in declared.items()
    }


def _hint(text: str, known: tuple[str, ...]) -> str:
    close = get_close_matches(text, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
