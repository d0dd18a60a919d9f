"""Solutions of sources: what is taught is one thought and one answer that is the reference."""

from __future__ import annotations

import json
import random
import re

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("aiohttp")

from vasari.curate.ask.annotate import REASONS
from vasari.curate.ask.solutions import SolutionSettings, taught
from vasari.model.chat import target_text
from vasari.records import Prompt

BOX = "\\boxed{5}"


def prompt(solution, **fields):
    return Prompt(**{"id": "p", "question": "2 + 3?", "answer": "5", "solution": solution} | fields)


def outcome(solution, settings=None, **fields):
    """The solution that is kept, or the reason of the drop in brackets."""
    found = taught(prompt(solution, **fields), settings or SolutionSettings())
    return found.solution if isinstance(found, Prompt) else [found[0]]


@pytest.mark.parametrize(
    ("solution", "wanted"),
    [
        ("2 + 3 is 5.", "2 + 3 is 5."),
        ("\n 2 + 3\n", "2 + 3"),
        (f"<think>2 + 3</think><answer>{BOX}</answer>", "2 + 3"),
        (f"<think>\n2 + 3\n</think>\n\n<answer> {BOX} </answer>\n", "2 + 3"),
        (f"<THINK>2 + 3</THINK><Answer>{BOX}</Answer>", "2 + 3"),
        ("<think>2 + 3</think><answer>5</answer>", "2 + 3"),
        ("2 + 3 makes <answer>5</answer>", "2 + 3 makes"),
        ("<think>2 + 3</think>", "2 + 3"),
        ("<think>2 + 3</think>The answer is 5.", "2 + 3"),
        (f"So it is {BOX}.", f"So it is {BOX}."),
        ("So it is \\framebox{5}.", "So it is \\framebox{5}."),
        ("2 + 3 = 5\n#### 5", "2 + 3 = 5\n#### 5"),
        ("Put it in \\boxed{}: five", "Put it in \\boxed{}: five"),
    ],
)
def test_a_solution_is_unwrapped_once(solution, wanted):
    assert outcome(solution) == wanted


@pytest.mark.parametrize(
    ("solution", "reason"),
    [
        (f"<think><think>2 + 3</think></think><answer>{BOX}</answer>", "off_format"),
        (f"<think><think>2 + 3</think><answer>{BOX}</answer>", "off_format"),
        (f"<think>a</think><think>b</think><answer>{BOX}</answer>", "off_format"),
        (f"<answer>{BOX}</answer><think>2 + 3</think>", "off_format"),
        (f"Sure! <think>2 + 3</think><answer>{BOX}</answer>", "off_format"),
        (f"<think>2 + 3</think><answer>{BOX}</answer> Bye.", "off_format"),
        (f"<think>  </think><answer>{BOX}</answer>", "off_format"),
        (f"<answer>{BOX}</answer>", "off_format"),
        ("<think>2 + 3</think><answer></answer>", "off_format"),
        (f"<think >2 + 3</think ><answer>{BOX}</answer>", "off_format"),
        ("<thinking>2 + 3</thinking>5", "off_format"),
        ("<reasoning>2 + 3</reasoning>", "off_format"),
        ("2 + 3</think>5", "off_format"),
        ("The <image> shows 5.", "off_format"),
        ("The <video> shows 5.", "off_format"),
        ("It is 5.<|im_end|>", "off_format"),
        ("It is 5.</s>", "off_format"),
        ("[INST] 2 + 3 [/INST] 5", "off_format"),
        (f"<think>2 + 3 <|image_pad|></think><answer>{BOX}</answer>", "off_format"),
        ("\\boxed{7}, or else \\boxed{5}, who knows", "off_format"),
        ("So \\boxed{7}.", "wrong_answer"),
        ("So it is \\fbox{7}.", "wrong_answer"),
        ("So it is $\\framebox{7}$, as was to be shown.", "wrong_answer"),
        ("So it is \\framebox[3cm][c] {7}.", "wrong_answer"),
        ("So it is \\bbox[5px,border:2px solid red]{7}.", "wrong_answer"),
        ("So it is \\fcolorbox{red}{white}{7}.", "wrong_answer"),
        ("<think>So \\fbox{7}</think><answer>\\boxed{5}</answer>", "wrong_answer"),
        ("So it is \\boxed 7 and not more.", "wrong_answer"),
        ("So it is boxed{7}.", "wrong_answer"),
        ("\\fbox{7}, or else \\boxed{5}, who knows", "off_format"),
        ("<think>2 + 3</think><answer>\\boxed{7}</answer>", "wrong_answer"),
        (f"<think>It is \\boxed{{7}}.</think><answer>{BOX}</answer>", "wrong_answer"),
        ("<think>2 + 3</think><answer>7</answer>", "wrong_answer"),
        ("<think>2 + 3</think>The answer is 7.", "wrong_answer"),
        ("2 + 3. The answer is 7.", "wrong_answer"),
        ("2 + 3 = 7\n#### 7", "wrong_answer"),
        ("<think>2 + 3 is", "truncated"),
        ("<think>2 + 3</think><answer>\\boxed{5}", "truncated"),
        ("2 + 3, so \\boxed{5", "truncated"),
        ("2 + 3, so \\fbox{5", "truncated"),
        ("2 + 3 makes five. " * 40, "repetitive"),
        ("", "no_solution"),
        (" \n ", "no_solution"),
        (None, "no_solution"),
    ],
)
def test_a_solution_is_dropped_with_a_teachers_reason(solution, reason):
    assert reason in (*REASONS, "no_solution")
    assert outcome(solution) == [reason]


def test_a_generated_solution_that_reaches_another_answer_is_dropped():
    assert outcome("2 + 3 is 6.", metadata={"final": "6"}) == ["wrong_answer"]
    kept = taught(prompt("2 + 3 is 5.", metadata={"final": "5.0", "a": 1}), SolutionSettings())
    assert kept.metadata == {"a": 1}
    assert target_text(kept).endswith("<answer>\\boxed{5}</answer>")


def test_a_reference_that_cannot_stand_in_a_box_is_not_taught():
    assert outcome("It is so.", answer="5}") == ["unverifiable"]
    assert outcome("It is so.", answer="\\{1, 2\\}") == "It is so."


def test_the_bounds_of_a_teacher_may_be_asked_for():
    strict = SolutionSettings(min_words=20, language="en")
    assert outcome("2 + 3 is 5.", strict) == ["too_short"]
    assert (
        outcome("Zwei und drei sind f\u00fcnf, wie jeder wei\u00df. " + "Das ist so klar. " * 3)
        != []
    )


PIECES = st.sampled_from(
    [
        *("<think>", "</think>", "<answer>", "</answer>", "<THINK>", "</think >", "<thinking>"),
        *("<image>", "<|im_end|>", "</s>", "<video>", "\\boxed{5}", "\\boxed{7}", "\\boxed{"),
        *("2 + 3 is 5.", "So it follows.", " ", "\n", "The answer is 5.", "The answer is 7.", "}"),
    ]
)
WRAPPED = st.builds("<think>{}</think><answer>{}</answer>".format, PIECES, PIECES)
SOLUTIONS = st.lists(PIECES, max_size=7).map("".join) | WRAPPED


def faults(target, reference="5"):
    """What is wrong with a target, read with no code of ours: tags, boxes, marks."""
    found = []
    tags = re.findall(r"<\s*/?\s*(?:think|thinking|answer)\b[^<>]*>", target, re.IGNORECASE)
    if tags != ["<think>", "</think>", "<answer>", "</answer>"]:
        found.append(tags)
    shape = re.fullmatch(r"<think>(.*?)</think><answer>\\boxed\{(.*)\}</answer>", target, re.DOTALL)
    if not shape or not shape[1].strip() or shape[2] != reference:
        found.append("shape")
    if shape and any(box != reference for box in re.findall(r"\\boxed\{([^{}]+)\}", shape[1])):
        found.append("another box")
    if re.search(r"<image>|<video>|<audio>|<\||</?s>|\[/?INST\]", target):
        found.append("mark")
    return found


@given(SOLUTIONS)
def test_whatever_is_kept_teaches_one_well_formed_target(solution):
    found = taught(prompt(solution), SolutionSettings())
    if isinstance(found, Prompt):
        assert not faults(target_text(found))
    else:
        assert found[0] in (*REASONS, "no_solution")
        assert found[1]


def taught_by_the_files(root):
    """Every target that a curation's SFT files teach, by file, as each format writes it."""
    rows = pq.read_table(root / "sft.parquet").to_pylist()
    own = [
        Prompt(id=r["id"], question="q", answer=r["answer"], solution=r["solution"]) for r in rows
    ]
    messages = [
        row["messages"] for row in json.loads((root / "exports/sharegpt/sft.json").read_text())
    ]
    trl = pq.read_table(root / "exports" / "trl" / "sft.parquet").to_pylist()
    return {
        "sft": [target_text(one) for one in own],
        "sharegpt": [turns[-1]["content"] for turns in messages],
        "trl": [row["completion"][0]["content"][0]["text"] for row in trl],
    }


@pytest.mark.slow
def test_every_file_of_a_curation_teaches_well_formed_targets_alone(tmp_path):
    from vasari.curate.recipe import load_curation
    from vasari.curate.run.job import curate

    rng = random.Random(0)
    pieces = [*PIECES.elements, *["So it is five."] * 20]
    forms = ["{}{}", "<think>{}</think><answer>{}</answer>", "{}", "<think>{}</think>{}"]
    texts = [
        rng.choice(forms).format(*("".join(rng.choices(pieces, k=rng.randrange(4))) for _ in "ab"))
        for _ in range(400)
    ]
    rows = [
        # A column that is called like a key of ours says nothing of the answer.
        {"id": f"q{n}", "question": f"What is 5 + {n} - {n}?", "answer": "5", "solution": text}
        | {"final": "7"}
        for n, text in enumerate(texts)
    ]
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "train.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    (tmp_path / "r.yaml").write_text(
        "name: r\nsources: [{source: jsonl, folder: own}]\nduplicates: null\nsft: {}\n"
        "exports: [sharegpt, trl, easyr1, verl]\n"
    )

    curated = curate(load_curation(tmp_path / "r.yaml"), base=tmp_path, root=tmp_path / "out")

    targets = taught_by_the_files(curated.root)
    assert 20 < curated.sizes["sft"] == len(targets["sft"]) < 380
    assert targets["sft"] == targets["sharegpt"] == targets["trl"]
    assert [faults(target) for target in targets["sft"]] == [[]] * len(targets["sft"])
