r"""References come out of what data sets put around them, and nothing else changes."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vasari.core.errors import DataError
from vasari.data.prompt_file import read_prompts
from vasari.data.references import unwrapped
from vasari.data.sources import BadRow, read_source
from vasari.model.chat import target_text

WRAPPED = [
    r"\boxed{5}", r"\boxed{\boxed{5}}", r"\fbox{5}", r"\framebox[2cm]{5}", r"\bbox[5px]{5}", r"\boxed 5", "$5$", "$$5$$", r"\(5\)", r"\[5\]", r"$\boxed{5}$",
    r"\boxed{$5$}", "<answer>5</answer>", "<think>2 + 3</think><answer> 5 </answer>", r"<answer>\boxed{5}</answer>",
    r"So it is \boxed{5}.", r"\boxed{5} and again \boxed{5}", "#### 5", "2 + 3 = 5\n#### 5\n", "['5']", '["5"]', "  5\n",
]  # fmt: skip
KEPT = [
    "[1, 2]", "[5]", "(1, 2]", r"\{1, 2\}", "{5}", "[A]", "(A)", "$5", "$5 and $6", "$5$ or $6$", r"\$5\$", "['5', '6']",
    r"\[1, 2\]", r"\frac{1}{2}", "#5", "# 5", "5 < 6", "<b>5</b>", r"\mbox{5}", "$", "$$", "('5')", "'5'", "2 boxes", r"\text{5}",
]  # fmt: skip
REFUSED = [r"\boxed{1}, \boxed{2}", r"\boxed{1", "<answer>1</answer><answer>2</answer>", r"\boxed{" * 40 + "5" + "}" * 40]  # fmt: skip


@pytest.mark.parametrize("text", WRAPPED)
def test_what_is_around_an_answer_is_taken_off(text):
    assert unwrapped(text) == "5"


@pytest.mark.parametrize("text", KEPT)
def test_what_may_be_the_answer_stays(text):
    assert unwrapped(text) == text


@pytest.mark.parametrize("text", REFUSED)
def test_answers_that_contradict_each_other_are_refused(text):
    with pytest.raises(DataError, match=r"differ|not closed|wrapped more than"):
        unwrapped(text)


def test_an_amount_between_dollars_is_unwrapped():
    assert unwrapped(r"$\$5$") == r"\$5"
    assert unwrapped(r"$$\$1,200$$") == r"\$1,200"
    assert unwrapped(r"$5\$") == r"$5\$"


def test_formulas_keep_their_braces_and_backslashes():
    assert unwrapped(r"\boxed{\frac{1}{\{2\}}}") == r"\frac{1}{\{2\}}"
    assert unwrapped(r"['\frac{1}{2}']") == r"\frac{1}{2}"
    assert unwrapped(str([r"\frac{1}{2}"])) == r"\frac{1}{2}"


@given(st.text(st.sampled_from(r"\${}[]()#'box<answer>/5, " + "\n"), max_size=40))
def test_taking_off_twice_is_taking_off_once(text):
    try:
        once = unwrapped(text)
    except DataError:
        return
    assert unwrapped(once) == once


@pytest.mark.parametrize("value", [["5"], [5], [["5"]], [5.0], "['5']", [r"\boxed{5}"]])
@pytest.mark.parametrize("reader", ["jsonl", "parquet"])
def test_a_list_of_one_is_its_entry_in_sources_and_prompt_files(reader, value, tmp_path):
    row = {"question": "2 + 3?", "answer": value, "solution": "2 + 3 = 5."}
    path = tmp_path / f"train.{reader}"
    if reader == "jsonl":
        path.write_text(json.dumps(row))
    else:
        pq.write_table(pa.Table.from_pylist([row]), path)
    for (prompt,) in (list(read_source(reader, tmp_path)), read_prompts(path)):
        assert prompt.answer == "5"
        assert target_text(prompt) == r"<think>2 + 3 = 5.</think><answer>\boxed{5}</answer>"


@pytest.mark.parametrize(
    ("answer", "letter"),
    [("$4$", "A"), (r"\boxed{7}", "B"), ("7", "B"), ("$7$", "B"), (r"\boxed{A}", "A"), ("[B]", "B"), (["(A)"], "A"), ("4", "A")],
)  # fmt: skip
def test_options_are_found_whatever_is_around_them_or_the_answer(answer, letter, tmp_path):
    row = {"question": "Which?", "answer": answer, "choices": ["$4$", "7"]}
    (tmp_path / "train.jsonl").write_text(json.dumps(row))
    (prompt,) = read_source("jsonl", tmp_path)
    assert prompt.answer == letter


def test_the_published_reference_is_kept_beside_it(tmp_path):
    (tmp_path / "train.jsonl").write_text(json.dumps({"question": "q", "answer": "$5$"}))
    (prompt,) = read_source("jsonl", tmp_path)
    assert (prompt.answer, prompt.metadata["native_answer"]) == ("5", "$5$")


def test_several_answers_are_a_bad_row_that_says_what_to_do(tmp_path):
    (tmp_path / "train.jsonl").write_text(json.dumps({"question": "q", "answer": ["5", "6"]}))
    (bad,) = read_source("jsonl", tmp_path)
    assert isinstance(bad, BadRow)
    assert "list of 2" in bad.reason
    assert "answer_as" in bad.reason
    with pytest.raises(DataError, match=r"train\.jsonl:1: the answer is a list of 2"):
        read_prompts(tmp_path / "train.jsonl")
