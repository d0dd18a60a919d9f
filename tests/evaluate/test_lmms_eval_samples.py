"""Samples of lmms-eval and lm-eval: with `doc` and without, failed calls, several references."""

from __future__ import annotations

import json
import math

import pytest

from vasari.evaluate.protocols import scoring_protocol
from vasari.evaluate.readers import BadRow, read_outputs

# As lmms-eval's tracker has written samples since it leaves `doc` and `arguments` out: the target
# is a text, `resps` goes where the filter changed nothing, and MathVista's metrics keep the facts.
SUBMISSION = {
    "question_id": "12",
    "query": "Question: Which?\nChoices:\n(A) 4\n(B) 5",
    "choices": ["4", "5"],
    "answer": "5",
    "extraction": "B",
    "prediction": "5",
    "true_false": True,
    "question_type": "multi_choice",
    "answer_type": "text",
    "precision": None,
    "metadata": {"category": "math-targeted-vqa", "task": "geometry"},
}
BARE = {
    "doc_id": 11,
    "target": "5",
    "filtered_resps": ["The answer is (B)"],
    "doc_hash": "a",
    "prompt_hash": "b",
    "target_hash": "c",
    "input": "Hint: answer with the option letter.\nQuestion: Which?",
}
FLOAT = {
    **SUBMISSION,
    "choices": None,
    "answer": "1.5",
    "question_type": "free_form",
    "answer_type": "float",
    "precision": 1.0,
}


def read(tmp_path, *samples, task="mathvista_testmini_cot", suffix=".jsonl"):
    path = tmp_path / f"20261101_120000_samples_{task}{suffix}"
    path.write_text("".join(json.dumps(sample) + "\n" for sample in samples))
    return list(read_outputs(path, benchmark="" if "_" in task else task))


def outcome(output, protocol="vasari"):
    return scoring_protocol(protocol).verdict(output).outcome.value


def test_choices_and_categories_are_in_the_metrics_where_doc_is_left_out(tmp_path):
    (output,) = read(tmp_path, BARE | {"llm_as_judge_eval": SUBMISSION, "submission": SUBMISSION})
    assert (output.id, output.choices, output.question_type) == ("12", ("4", "5"), "multi_choice")
    assert output.labels["category"] == "math-targeted-vqa"
    assert output.extraction == "B"
    assert output.official_correct is True
    assert [outcome(output, name) for name in ("vasari", "official")] == ["correct", "correct"]


def test_precision_is_in_the_metrics_where_doc_is_left_out(tmp_path):
    sample = BARE | {"target": "1.5", "filtered_resps": ["1.52"], "submission": FLOAT}
    (output,) = read(tmp_path, sample)
    assert (output.precision, output.answer, outcome(output)) == (1, "1.5", "correct")


def test_fields_of_the_sample_itself_are_taken(tmp_path):
    sample = BARE | {"choices": ["4", "5"], "precision": 0, "question_type": "multi_choice"}
    (output,) = read(tmp_path, sample)
    assert (output.choices, output.id) == (("4", "5"), "11")


@pytest.mark.parametrize("lines", ["(A) 4\n(B) 5", "A. 4\nB. 5", "A) 4\nB) 5", " A: 4 \n B: 5"])
def test_options_are_read_from_the_prompt(tmp_path, lines):
    prompt = f"A triangle.\n{lines}\nAnswer with the option's letter from the given choices."
    sample = BARE | {"target": "B", "input": prompt, "filtered_resps": ["5"]}
    (output,) = read(tmp_path, sample, task="mathvision_test")
    assert (output.choices, outcome(output)) == (("4", "5"), "correct")


@pytest.mark.parametrize(
    ("changes", "task", "reason"),
    [
        ({"target": "B"}, "mathvision_test", "no 'choices': the sample has no 'doc'"),
        ({"target": "B"}, "mmmu_pro_vision", "no 'choices': "),
        ({}, "mathvista_testmini_cot", "no 'choices' and no 'precision': "),
        (
            {"submission": SUBMISSION | {"choices": None}},
            "mathvista_testmini_cot",
            "no 'choices': ",
        ),
        (
            {"target": "1.5", "submission": FLOAT | {"precision": None}},
            "mathvista_testmini_cot",
            "no 'precision': ",
        ),
        ({"target": None}, "mathvision_test", "no 'target': "),
    ],
)
def test_a_sample_without_doc_that_lacks_a_field_is_refused_by_its_name(
    tmp_path, changes, task, reason
):
    (row,) = read(tmp_path, BARE | changes, task=task)
    assert isinstance(row, BadRow)
    assert row.reason.startswith(reason)


def test_a_sample_without_doc_that_needs_none_is_read(tmp_path):
    found = read(tmp_path, BARE | {"filtered_resps": ["5"]}, task="mathvision_test")
    assert [outcome(output) for output in found] == ["correct"]
    letters = read(tmp_path, BARE | {"target": "B"}, task="logicvista_reasoning")
    assert [outcome(output) for output in letters] == ["correct"]


FAILED = [[], [[]], [""], [["nan"]], [None], [math.nan], ["None"], None, "", ["[]"], [[" "]]]


@pytest.mark.parametrize("resps", FAILED)
@pytest.mark.parametrize("field", ["resps", "filtered_resps"])
def test_a_failed_call_is_no_answer(tmp_path, resps, field):
    sample = {"doc_id": 1, "doc": {"answer": "5"}, "target": "5", field: resps}
    (output,) = read(tmp_path, sample, task="own")
    verdict = scoring_protocol("vasari").verdict(output)
    assert (verdict.outcome.value, verdict.decided_by) == ("incorrect", "no_answer")


@pytest.mark.parametrize("target", [["5", "five"], "['5', 'five']", ["five", 5.0, None]])
@pytest.mark.parametrize("place", ["target", "doc"])
def test_a_list_of_targets_is_any_of(tmp_path, target, place):
    said = ["\\boxed{5}", "\\boxed{five}", "\\boxed{6}"]
    given = {"doc": {"answer": target}} if place == "doc" else {"doc": {"q": 1}, "target": target}
    samples = [{"doc_id": i, **given, "resps": [[text]]} for i, text in enumerate(said)]
    found = read(tmp_path, *samples, task="own")
    assert [outcome(output) for output in found] == ["correct", "correct", "incorrect"]
    assert [outcome(output, "paper") for output in found] == ["correct", "correct", "incorrect"]


def test_a_list_of_numbers_written_as_text_is_one_answer(tmp_path):
    sample = {"doc_id": 1, "doc": {"q": 1}, "target": "[0, 2]", "resps": [["\\boxed{[0, 2]}"]]}
    (output,) = read(tmp_path, sample, task="own")
    assert (output.answer, output.alternatives, outcome(output)) == ("[0, 2]", (), "correct")


@pytest.mark.parametrize("target", [[], None, math.nan, "", [None]])
def test_a_sample_without_a_reference_is_refused(tmp_path, target):
    sample = {"doc_id": 1, "doc": {"q": 1}, "target": target, "resps": [["5"]]}
    (row,) = read(tmp_path, sample, task="own")
    assert row.reason.startswith("no 'answer': ")


@pytest.mark.parametrize("resps", [[["-1.5", "True"], ["-0.5", "False"]], [[-1.5, True]], [[3]]])
def test_log_likelihoods_are_no_response(tmp_path, resps):
    sample = {"doc_id": 1, "doc": {"q": 1}, "target": "5", "filtered_resps": resps}
    (row,) = read(tmp_path, sample, task="own")
    assert row.reason.startswith("'resps' holds no text")


def test_gsm8ks_result_stands_behind_its_mark(tmp_path):
    answer = "He has 3 + 4 = <<3+4=7>>7.\n#### 7"
    sample = {"doc_id": 0, "doc": {"question": "?", "answer": answer}, "target": answer}
    (output,) = read(tmp_path, sample | {"resps": [["The answer is 7."]]}, task="gsm8k")
    assert (output.answer, outcome(output)) == ("7", "correct")


def test_an_id_of_zero_is_an_id(tmp_path):
    sample = {"doc_id": 5, "doc": {"pid": 0, "answer": "5"}, "resps": [["5"]]}
    (output,) = read(tmp_path, sample, task="own")
    assert output.id == "0"


def test_a_column_of_options_in_doc_is_read(tmp_path):
    document = {"A": "cat", "B": "dog", "C": math.nan, "D": "nan", "answer": "B"}
    (output,) = read(tmp_path, {"doc_id": 5, "doc": document, "resps": [["dog"]]}, task="own")
    assert (output.choices, outcome(output)) == (("cat", "dog"), "correct")
