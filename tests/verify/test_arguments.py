"""Arguments that are no text get an error that says so, from every public entry of scoring."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest

from vasari.core.errors import DataError
from vasari.evaluate.protocols import PROTOCOLS, StoredOutput, read_row
from vasari.verify import verify_answer

ROW = {"id": "1", "benchmark": "own", "response": "5", "answer": "5"}
NO_TEXT = [None, math.nan, np.float64("nan"), 5, 5.0, True, b"5", ["5"], ("5",), {"a": 1}, Fraction(1, 2)]  # fmt: skip


@pytest.mark.parametrize("value", NO_TEXT)
@pytest.mark.parametrize("place", ["response", "answer"])
def test_verify_answer_compares_texts_only(value, place):
    arguments = {"response": "5", "answer": "5"} | {place: value}
    with pytest.raises(DataError, match=f"verify_answer compares texts, but the {place} is "):
        verify_answer(**arguments)


@pytest.mark.parametrize("choices", ["AB", 5, {"4", "5"}, {"A": "4"}, math.nan])
def test_verify_answer_takes_options_as_several_texts(choices):
    with pytest.raises(DataError, match="choices must be several texts or None"):
        verify_answer("5", "A", choices)


@pytest.mark.parametrize("option", NO_TEXT)
def test_an_option_is_a_text(option):
    with pytest.raises(DataError, match="verify_answer compares texts, but the option is "):
        verify_answer("5", "A", ["4", option])


def test_nan_is_named():
    with pytest.raises(DataError, match=r"the answer is NaN: .* a missing answer as an empty one"):
        verify_answer("5", math.nan)


@pytest.mark.parametrize("value", NO_TEXT)
@pytest.mark.parametrize("place", ["response", "answer", "question", "id"])
def test_a_stored_output_holds_texts(value, place):
    with pytest.raises(DataError, match=f"'{place}' must be text, got "):
        StoredOutput(**ROW | {place: value})


@pytest.mark.parametrize("place", ["answers", "alternatives", "choices"])
@pytest.mark.parametrize(
    "value", ["AB", [1], ["4", "5"], (1, 2), (None,), math.nan, ("4", math.nan)]
)
def test_a_stored_outputs_lists_hold_texts(place, value):
    with pytest.raises(DataError, match=f"'{place}' must be a tuple of texts, got "):
        StoredOutput(**ROW | {place: value})


@pytest.mark.parametrize("name", sorted(PROTOCOLS))
@pytest.mark.parametrize("value", [ROW, "5", None, math.nan, [ROW]])
def test_a_verdict_is_on_a_stored_output(name, value):
    with pytest.raises(DataError, match="a verdict is on a StoredOutput, which read_row makes"):
        PROTOCOLS[name].verdict(value)


@pytest.mark.parametrize("value", [None, "5", [1], math.nan, 5])
def test_a_row_is_a_mapping(value):
    with pytest.raises(DataError, match="a row must be a mapping of fields, got "):
        read_row(value)


@pytest.mark.parametrize("value", [math.nan, np.float32("nan"), pd.NA, pd.NaT])
def test_a_nan_answer_of_a_row_is_refused(value):
    with pytest.raises(DataError, match="no 'answer': it is NaN, which stands for a missing value"):
        read_row(ROW | {"answer": value})


@pytest.mark.parametrize("value", [["5", math.nan], [["5"]], {"a": "5"}, b"5", [], [None]])
def test_an_answer_of_a_row_is_text_or_texts(value):
    with pytest.raises(DataError, match="'answer' must be text or a list of texts, got "):
        read_row(ROW | {"answer": value})


@pytest.mark.parametrize("value", [["5"], ["4", "5"], [["5"]], ("5",), [5]])
def test_a_list_of_responses_is_refused(value):
    message = "'response' must be text, got a list of .: give each response a row of its own"
    with pytest.raises(DataError, match=message):
        read_row(ROW | {"response": value})


@pytest.mark.parametrize(
    "value", [[], (), [""], [None], [math.nan, ""], {"error": "429"}, {}, pd.NA]
)
def test_what_a_failed_call_left_is_an_empty_response(value):
    assert read_row(ROW | {"response": value}).response == ""


@pytest.mark.parametrize(
    ("value", "text"),
    [(5, "5"), (5.0, "5"), (5.5, "5.5"), (np.int64(5), "5"), (np.float32(5), "5"), (True, "True"),
     (-0.0, "0"), (1e300, "1e+300"), (math.inf, "inf"), (10**400, str(10**400))],
)  # fmt: skip
def test_numbers_are_read_as_their_text(value, text):
    output = read_row(ROW | {"response": value, "answer": value})
    assert (output.response, output.answer) == (text, text)
