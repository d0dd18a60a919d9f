"""Result files: the same rows give the same verdicts and score, whatever the format."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vasari.evaluate.protocols import scoring_protocol
from vasari.evaluate.readers import BadRow, read_outputs
from vasari.evaluate.rescore import rescore
from vasari.evaluate.rescore_settings import RescoreSettings

from .result_files import WRITERS, needed_package

ALL = sorted(WRITERS)
NAN = math.nan


@pytest.fixture(params=ALL)
def written(request, tmp_path):
    """Writes a frame in one format and returns the file's path."""
    pytest.importorskip(needed_package(request.param) or "pandas")

    def write(frame, name=request.param):
        path = tmp_path / name
        WRITERS[name](frame, path)
        return path

    return write


def facts(path, benchmark="own", protocols=("vasari",)):
    """Everything that a file gives: outputs with their verdicts, and reasons of bad rows."""
    found = []
    for row in read_outputs(path, benchmark=benchmark):
        if isinstance(row, BadRow):
            found.append(row.reason)
            continue
        verdicts = [scoring_protocol(name).verdict(row) for name in protocols]
        found.append(
            (row.id, row.choices, [(one.outcome.value, one.decided_by) for one in verdicts])
        )
    return found


SIX = pd.DataFrame(
    {
        "index": range(6),
        "question": ["How many?"] * 6,
        "answer": ["5"] * 6,
        "prediction": ["\\boxed{5}", "", "nan", None, NAN, "[]"],
    }
)


def test_failed_predictions_stay_in_the_denominator_as_no_answer(written, tmp_path):
    settings = RescoreSettings(files=(written(SIX),), benchmark="own")
    (scores,) = rescore(settings, tmp_path / "out")["protocols"]["vasari"]
    counts = ("n", "num_correct", "num_incorrect", "num_no_answer", "num_unverifiable")
    assert [scores[name] for name in counts] == [6, 1, 5, 5, 0]
    assert scores["accuracy"] == 1 / 6


@pytest.mark.parametrize("protocol", ["vasari", "paper"])
@pytest.mark.parametrize(
    "failed",
    ["", " ", "\n", "nan", "NaN", "None", "none", "null", "NULL", "N/A", "#N/A", "<NA>", "[]", "NaT", NAN, None,
     pd.NA, pd.NaT, "Failed to obtain answer via API.", " nan "],
)  # fmt: skip
def test_every_word_for_nothing_is_no_answer(failed, protocol, tmp_path):
    frame = pd.DataFrame({"index": [1], "answer": ["5"], "prediction": [failed]}, dtype=object)
    frame.to_csv(tmp_path / "t.tsv", sep="\t", index=False)
    assert facts(tmp_path / "t.tsv", protocols=[protocol]) == [
        ("1", None, [("incorrect", "no_answer")])
    ]


@pytest.mark.parametrize("benchmark", ["gsm8k", "chartqa", "mathvision", "geoqa", "logicvista"])
def test_a_failed_prediction_is_no_answer_to_official_scorers(benchmark, tmp_path):
    frame = pd.DataFrame({"index": [1], "answer": ["B"], "prediction": [NAN]})
    frame.to_csv(tmp_path / "t.csv", index=False)
    assert facts(tmp_path / "t.csv", benchmark, ["official"]) == [
        ("1", None, [("incorrect", "no_answer")])
    ]


@pytest.mark.parametrize("reference", ["nan", "None", "null", "N/A", "NaN"])
def test_a_reference_that_is_a_word_for_nothing_is_kept(written, reference):
    frame = pd.DataFrame(
        {
            "index": [1, 2, 3],
            "answer": [reference] * 3,
            "prediction": [f"\\boxed{{{reference}}}", reference, "seven"],
        }
    )
    found = list(read_outputs(written(frame), benchmark="own"))
    assert [output.answer for output in found] == [reference] * 3
    outcomes = [scoring_protocol("vasari").verdict(output).outcome.value for output in found]
    assert outcomes == ["correct", "correct", "incorrect"]


def test_an_option_that_is_a_word_for_nothing_can_be_chosen(written):
    frame = pd.DataFrame(
        {"index": [1], "A": ["red"], "B": ["None"], "answer": ["B"], "prediction": ["None"]}
    )
    ((_, choices, [(outcome, _)]),) = facts(written(frame))
    assert (choices, outcome) == (("red", "None"), "correct")


def test_a_row_without_a_reference_is_refused_in_every_format(written):
    frame = pd.DataFrame(
        {
            "index": [1, 2, 3, 4],
            "answer": ["5", None, NAN, ""],
            "prediction": ["5", "5", "5", "5"],
        }
    )
    reason = "no 'answer': it is empty (a blank cell, null or NaN)"
    assert facts(written(frame)) == [("1", None, [("correct", "exact")]), *[reason] * 3]


def test_whole_numbers_are_whole_where_pandas_made_floats_of_them(written):
    frame = pd.DataFrame(
        {
            "index": [7, NAN, 9],
            "answer": [5, 5, 5],
            "answer_type": ["integer"] * 3,
            "question_type": ["free_form"] * 3,
            "prediction": [5, NAN, 6],
            "level": [1, NAN, 2],
        }
    )
    found = list(read_outputs(written(frame), benchmark="mathvista"))
    assert [output.id for output in found] == ["7", "row 2", "9"]
    assert [output.answer for output in found] == ["5"] * 3
    assert [dict(output.labels).get("level") for output in found] == ["1", None, "2"]
    for protocol in ("official", "vasari"):
        rule = scoring_protocol(protocol)
        outcomes = [rule.verdict(output).outcome.value for output in found]
        assert outcomes == ["correct", "incorrect", "incorrect"]


def test_decimals_of_mathvistas_floats_are_the_same_in_every_format(written):
    frame = pd.DataFrame(
        {
            "index": [1, 2],
            "answer": [5.0, 1.5],
            "answer_type": ["float"] * 2,
            "question_type": ["free_form"] * 2,
            "precision": [1.0, NAN],
            "prediction": ["5.0", NAN],
        }
    )
    first, second = read_outputs(written(frame), benchmark="mathvista")
    assert (first.answer, first.precision, second.precision) == ("5.0", 1, None)
    assert scoring_protocol("official").verdict(first).outcome.value == "correct"


def test_texts_that_look_like_numbers_stay_texts(written):
    frame = pd.DataFrame(
        {"index": ["007", "008"], "answer": ["0.50", "010"], "prediction": ["0.50", "010"]}
    )
    found = list(read_outputs(written(frame), benchmark="own"))
    assert [(output.id, output.answer, output.response) for output in found] == [
        ("007", "0.50", "0.50"),
        ("008", "010", "010"),
    ]


def test_truth_values_are_words(written):
    frame = pd.DataFrame({"index": [1, 2], "answer": [True, False], "prediction": [True, True]})
    assert [one[2][0][0] for one in facts(written(frame))] == ["correct", "incorrect"]


def test_rows_without_ids_are_called_by_their_place(written):
    frame = pd.DataFrame({"answer": ["5", "6"], "prediction": ["5", NAN]})
    name = written.__defaults__[0]
    ids = [one[0] for one in facts(written(frame))]
    assert ids == (["0", "1"] if name == "index.json" else ["row 1", "row 2"])


def test_a_blank_option_keeps_the_letters_of_those_behind_it(written):
    frame = pd.DataFrame(
        {
            "index": [1, 2],
            "A": ["4", "4"],
            "B": [NAN, "5"],
            "C": ["6", NAN],
            "D": [NAN, NAN],
            "answer": ["C", "B"],
            "prediction": ["\\boxed{C}", "\\boxed{B}"],
        }
    )
    found = [(one[1], one[2][0][0]) for one in facts(written(frame))]
    assert found == [(("4", "", "6"), "correct"), (("4", "5"), "correct")]


def test_a_table_of_our_own_fields_is_read_with_lists_and_truth_values(written):
    frame = pd.DataFrame(
        {
            "id": ["a", "b"],
            "benchmark": ["gsm8k", "gaokao-mathcloze"],
            "response": ["\\boxed{7}", "\\boxed{-63}, \\boxed{2}"],
            "answer": ["7", "['-63', '2']"],
            "official_correct": [True, True],
            "category": ["x", NAN],
        }
    )
    first, second = read_outputs(written(frame))
    assert (first.official_correct, dict(first.labels)) == (True, {"category": "x"})
    assert (second.answers, dict(second.labels)) == (("-63", "2"), {})
    assert scoring_protocol("vasari").verdict(second).outcome.value == "correct"


def test_several_references_in_a_table_of_predictions_are_any_of(written):
    frame = pd.DataFrame(
        {
            "index": [1, 2, 3],
            "answer": ["['5', 'five']"] * 3,
            "prediction": ["\\boxed{five}", "\\boxed{5}", "\\boxed{6}"],
        }
    )
    outcomes = [one[2][0][0] for one in facts(written(frame))]
    assert outcomes == ["correct", "correct", "incorrect"]


@pytest.mark.filterwarnings("ignore:Cell contents too long")
def test_a_very_long_response_is_read_or_marked_as_cut(written):
    long = "step " * 40_000 + "\\boxed{5}"
    frame = pd.DataFrame({"index": [1, 2], "answer": ["5", "5"], "prediction": [long, "5"]})
    path = written(frame)
    first, second = read_outputs(path, benchmark="own")
    if path.suffix == ".xlsx":  # A cell holds 32,767 characters.
        assert (first.truncated, len(first.response)) == (True, 32_767)
    else:
        assert (first.truncated, first.response) == (False, long)
    assert second.truncated is False


texts = st.one_of(
    st.sampled_from(
        ["\\boxed{5}", "5", "5.0", "05", "=5", "-5", "+5", "nan", "None", "[]", "", "(A)", "#N/A", "True", "1e3",
         '"5"', 'He said "5".', "a\tb", "one\n\ntwo, three\n\\boxed{5}", '"\n"', "50%", "http://x.y", "'5", "@x"]
    ),
    st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"], include_characters="\n\t"),
            max_size=12),
)  # fmt: skip
rows = st.lists(
    st.fixed_dictionaries(
        {
            "answer": st.sampled_from(["5", "A", "5.0", "five", "None", "nan", "0.5", "[1, 2]"]),
            "A": st.sampled_from(["5", "cat", None]),
            "B": st.sampled_from(["6", "None", None]),
            "prediction": st.one_of(texts, st.none()),
        }
    ),
    min_size=1,
    max_size=4,
)


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows)
def test_the_same_rows_give_the_same_verdicts_in_every_format(tmp_path_factory, table):
    pytest.importorskip("openpyxl")
    folder = tmp_path_factory.mktemp("law")
    frame = pd.DataFrame(table, dtype=object)
    frame.insert(0, "index", range(len(table)))
    found = {}
    for name in ALL:
        WRITERS[name](frame, folder / name)
        found[name] = facts(folder / name)
    assert [name for name in ALL if found[name] != found["nan.jsonl"]] == [], found
