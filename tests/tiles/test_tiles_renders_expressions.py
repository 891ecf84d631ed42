"""Band arithmetic: what is refused before anything is read, and what comes out of the rest."""

from __future__ import annotations

import builtins
import tracemalloc
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from rio_tiler.errors import InvalidExpression
from rio_tiler.expression import apply_expression, get_expression_blocks, validate_expression

from abut.errors import BadRequestError
from abut.layout import BAND
from services.tiles.arithmetic import DOES, STRIP, Call, Layer, Number
from services.tiles.expressions import (
    DEPTH,
    EXPONENT,
    LARGEST,
    LENGTH,
    OPERATIONS,
    OUTPUTS,
    Expression,
    parse_expression,
)

BANDS = ("B04", "B08", "B11")
DATA = np.array([[[0.1, 0.4, 0.0]], [[0.5, 0.2, 0.3]], [[0.25, 0.0, 0.125]]], np.float32)
NOTHING = np.zeros(DATA.shape, np.bool_)

HOSTILE = {
    "tower of powers": "9**9**9**9",
    "tower on a band": "b1**9**9**9",
    "power of a constant": "9**8*b1",
    "power of a hidden constant": "(4+5)**8*b1",
    "large exponent": f"b1**{EXPONENT + 1:g}",
    "exponent that is computed": "b1**(4+4)",
    "exponent that is a band": "b1**b2",
    "left to right tower": "b1**8**8",
    "huge integer": "9" * 400 + "*b1",
    "huge float": "1e308*b1",
    "number beyond any": f"{LARGEST * 10:g}*b1",
    "exponent of digits": "1e99999999*b1",
    "shift": "b1<<999999",
    "call of Python": "__import__('os').system('true')",
    "call of a builtin": "eval(b1)",
    "function of numexpr that sums": "sum(b1)",
    "function of numexpr that copies": "ones_like(b1)",
    "attribute": "b1.__class__",
    "subscript": "b1[0]",
    "text": "'b1'",
    "format": 'f"{b1}"',
    "list": "[b1,b2]",
    "comprehension": "[b1 for b1 in b2]",
    "lambda": "(lambda: b1)()",
    "walrus": "(b1:=b2)",
    "condition": "b1 if b2 else b1",
    "and": "b1 and b2",
    "not": "not b1",
    "is": "b1 is b2",
    "in": "b1 in b2",
    "starred": "sqrt(*b1)",
    "named argument": "sqrt(x=b1)",
    "tuple": "b1,b2",
    "matrix product": "b1@b2",
    "whole division": "b1//b2",
    "chained comparison": "0<b1<1",
    "imaginary": "1j*b1",
    "hexadecimal": "0x10*b1",
    "underscores": "1_000*b1",
    "leading zero": "010*b1",
    "true": "True*b1",
    "none": "None",
    "ellipsis": "...",
    "comment": "b1 # b2",
    "line": "b1\n\tb2",
    "null": "b1\0",
    "unicode name": "\uff421",
    "unicode digit": "b1*٣",
    "no such place": "b4",
    "place zero": "b0",
    "place with zeros": "b01",
    "no such band": "B13+b1",
    "band in small letters": "b8a",
    "no band at all": "1+1",
    "one part without a band": "b1;2",
    "function without arguments": "sqrt()",
    "function of too many": "sqrt(b1,b2)",
    "function that is not called": "sqrt*b1",
    "nothing": "",
    "separators only": ";;;",
    "operator only": "*",
    "open parenthesis": "(b1",
    "many open parentheses": "(" * (LENGTH - 1),
    "deep": "(" * (DEPTH + 1) + "b1" + ")" * (DEPTH + 1),
    "many signs": "-" * (OPERATIONS + 1) + "b1",
    "many inversions": "~" * (LENGTH - 2) + "b1",
    "many operations": "b1" + "+b1" * (OPERATIONS + 1),
    "many arguments": "where(" + "b1," * OPERATIONS + "b1)",
    "many calls": "+".join(["abs(abs(b1))"] * (OPERATIONS // 3 + 1)),
    "many calls with spaces": "+".join(["abs (abs (b1))"] * (OPERATIONS // 3 + 1)),
    "deep calls": "abs(" * (DEPTH + 1) + "b1" + ")" * (DEPTH + 1),
    "many outputs": ";".join(["b1"] * (OUTPUTS + 1)),
    "long": "b1" + " " * LENGTH,
}
"""Texts that are refused; most would be slow, or run something, if they were Python."""


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_expressions_are_refused_in_one_line_that_names_them(text: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        parse_expression(text, BANDS)
    message = str(caught.value)
    assert message.startswith("expression ")
    assert "\n" not in message
    assert len(message) < 1_000


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_nothing_is_run_as_python(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("run as Python")

    with monkeypatch.context() as patched:
        patched.setattr(builtins, "eval", refuse)
        patched.setattr(builtins, "exec", refuse)
        with pytest.raises(BadRequestError):
            parse_expression(text, BANDS)


def steps(expression: Expression) -> list[Any]:
    return [step for output in expression.outputs for step in output]


pieces = st.sampled_from(
    [
        *("b1", "b2", "b3", "b4", "B08", "B8A", "classification", "1", "0.5", "2", "9", "1e9", "1e30"),
        *("+", "-", "*", "/", "%", "**", "<", ">=", "==", "&", "|", "^", "~", ",", ";", "(", ")", "((", "))", " "),
        *("where(", "sqrt(", "log(", "maximum(", "eval(", ".", "[", "'", "\\", "\0", "lambda", "if", "é"),
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.lists(pieces, max_size=60).map("".join), st.text(max_size=40)))
def test_any_text_is_refused_or_costs_no_more_than_its_limits_say(text: str) -> None:
    try:
        made = parse_expression(text, BANDS)
    except BadRequestError:
        return
    assert len(made.outputs) == len(made.names) <= OUTPUTS
    assert sum(isinstance(step, Call) for step in steps(made)) <= OPERATIONS
    for output in made.outputs:
        for before, step in pairwise(output):
            if isinstance(step, Call):
                assert (step.name, step.count) in DOES
                if step.name == "**" and isinstance(before, Number):
                    assert before.value <= EXPONENT
    assert all(abs(step.value) <= LARGEST for step in steps(made) if isinstance(step, Number))
    data = np.resize(DATA, (len(made.layers), 1, 3))
    values, nodata = made.computed(data, np.zeros(data.shape, np.bool_))
    assert values.shape == nodata.shape == (len(made.outputs), 1, 3)
    assert np.isfinite(values).all()


def valid(depth: int) -> st.SearchStrategy[str]:
    """Expressions whose meaning is the same in numexpr, on numbers of single precision."""
    leaf = st.sampled_from(["b1", "b2", "b3", "0.5", "2.0", "0.25"])
    if depth == 0:
        return leaf
    inner = valid(depth - 1)
    return st.one_of(
        leaf,
        st.builds(lambda a, op, b: f"({a}{op}{b})", inner, st.sampled_from("+-*/"), inner),
        st.builds(lambda a: f"(-{a})", inner),
        st.builds(lambda a: f"(b2+{a}*0.0)**2.0", leaf),
        st.builds(lambda a: f"sqrt(abs({a}))", inner),
        st.builds(lambda a, b, c: f"where({a}>b3,{b},{c})", leaf, inner, inner),
        st.builds(lambda a, b: f"where((b1<{a})&(b2>={b}),b1,b2)", leaf, leaf),
    )


@settings(max_examples=100, deadline=None)
@given(valid(3))
def test_numbers_are_those_of_rio_tiler(text: str) -> None:
    text = f"b1*0.0+{text}"
    made = parse_expression(text, BANDS)
    values, nodata = made.computed(DATA, NOTHING)
    with np.errstate(all="ignore"):
        try:
            theirs = apply_expression(get_expression_blocks(validate_expression(text)), ["b1", "b2", "b3"], DATA)
        except InvalidExpression:  # it divides by constants that are 0 before it looks at any pixel
            assume(False)
    good = ~nodata & (np.abs(theirs.data) < 1e6)
    assert np.allclose(values[good], theirs.data[good], rtol=1e-3, atol=1e-4)


def test_layers_are_called_by_place_or_by_name() -> None:
    by_place = parse_expression("(b2-b1)/(b2+b1)", ("B04", "B08"))
    by_name = parse_expression("(B08-B04)/(B08+B04)")
    assert (by_place.layers, by_name.layers) == (("B04", "B08"), ("B08", "B04"))
    red, infrared = DATA[:2]
    expected = (infrared - red) / (infrared + red)
    assert np.array_equal(by_place.computed(DATA[:2], NOTHING[:2])[0], [expected])
    assert np.array_equal(by_name.computed(DATA[1::-1], NOTHING[:2])[0], [expected])


def test_layers_by_name_are_added_behind_those_that_are_given() -> None:
    made = parse_expression("where(classification & 1, 0, b1) * B04_quality", ("B04", "B08"))
    assert made.layers == ("B04", "B08", "classification", "B04_quality")


@pytest.mark.parametrize("name", sorted(BAND))
def test_every_band_can_be_named(name: str) -> None:
    assert parse_expression(f"{name}*2").layers == (name,)


def test_bits_of_flags_can_be_asked() -> None:
    made = parse_expression(
        "(classification & 2) > 0; classification ^ 1; ~(classification > 0) & (classification < 9)"
    )
    data = np.array([[[0, 1, 2, 3, 6]]], np.uint8)
    values, _ = made.computed(data, np.zeros(data.shape, np.bool_))
    assert values.tolist() == [[[0, 0, 1, 1, 1]], [[1, 0, 3, 2, 7]], [[1, 0, 0, 0, 0]]]


def test_digital_numbers_do_not_overflow() -> None:
    data = np.array([[[1, 65_535]], [[2, 65_535]]], np.uint16)
    made = parse_expression("b1-b2;b1*b2", ("B04", "B08"))
    values, _ = made.computed(data, np.zeros(data.shape, np.bool_))
    assert values.tolist() == [[[-1, 0]], [[2, float(np.float32(65_535**2))]]]


def test_no_data_is_where_an_operand_has_none_or_the_result_is_not_finite() -> None:
    made = parse_expression("b1/b2;b1+1;log(b3)", BANDS)
    nodata = NOTHING.copy()
    nodata[0, 0, 0] = True
    values, missing = made.computed(DATA, nodata)
    assert missing[:, 0].tolist() == [[True, False, False], [True, False, False], [False, True, False]]
    data = DATA.copy()
    data[1, 0, 2] = 0
    values, missing = made.computed(data, nodata)
    assert missing[0, 0].tolist() == [True, False, True], "0 / 0 is no number"
    assert (values[missing] == 0).all()


def test_a_layer_that_an_output_does_not_use_does_not_matter_to_it() -> None:
    made = parse_expression("b1;b2", ("B04", "B08"))
    nodata = NOTHING[:2].copy()
    nodata[1] = True
    assert made.computed(DATA[:2], nodata)[1][:, 0].tolist() == [[False] * 3, [True] * 3]


def test_the_steps_of_an_index_are_its_own() -> None:
    assert parse_expression("b1-b2", ("B08", "B04")).outputs == ((Layer(0), Layer(1), Call("-", 2)),)


def test_too_few_layers_are_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="are not 2 layers"):
        parse_expression("b1-b2", ("B08", "B04")).computed(DATA, NOTHING)


def test_intermediate_results_are_of_a_strip() -> None:
    deep = parse_expression("sin(B01)+(" * 30 + "B01" + ")" * 30)
    data = np.linspace(0, 1, 5 * STRIP + 17, dtype=np.float32).reshape(1, 1, -1)
    nodata = np.zeros(data.shape, np.bool_)
    nodata[..., ::7] = True
    tracemalloc.start()
    try:
        values, missing = deep.computed(data, nodata)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert np.array_equal(missing, nodata)
    assert np.allclose(values[~nodata], 30 * np.sin(data[~nodata]) + data[~nodata], rtol=1e-5)
    assert peak < values.nbytes + missing.nbytes + 40 * STRIP * 4


def test_a_picture_of_no_pixels_has_no_values() -> None:
    nothing = np.zeros((2, 0, 7), np.float32)
    values, missing = parse_expression("b1-b2", ("B04", "B08")).computed(nothing, nothing > 0)
    assert values.shape == missing.shape == (1, 0, 7)
