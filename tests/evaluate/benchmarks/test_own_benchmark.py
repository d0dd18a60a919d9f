"""A benchmark of one's own: a file of prompts with pictures, its scorer, its wording and its
categories; no line in src/."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import yaml
from PIL import Image

from vasari.core.errors import ConfigError, DataError, ImageError, StateError
from vasari.data.prompt_file import read_prompts, write_prompts
from vasari.evaluate.benchmarks import (
    BenchmarkSettings,
    as_markdown,
    evaluate_benchmarks,
    plan_benchmarks,
    results_table,
)
from vasari.evaluate.benchmarks.load import load_set
from vasari.evaluate.compare import compare_benchmarks
from vasari.model.scripted import ScriptedPolicy

SCORERS = """
import re

from vasari.records import Outcome, Verdict


def within(response, answer, metadata):
    return abs(float(response) - float(answer)) <= metadata["tolerance"]


def reads(response, answer):
    found = re.findall(r"\\d+", response)
    right = bool(found) and found[-1] == answer
    return Verdict(Outcome.CORRECT if right else Outcome.INCORRECT, found[-1] if found else None)
"""

ROWS = [
    {
        "id": "a",
        "question": "How high?",
        "answer": "20",
        "image": "pictures/a.png",
        "tolerance": 5,
        "colour": "red",
    },
    {
        "id": "b",
        "question": "How wide?",
        "answer": "24",
        "image": "pictures/a.png",
        "tolerance": 1,
        "colour": "red",
    },
    {
        "id": "c",
        "question": "How deep?",
        "answer": "23",
        "image": "pictures/b.png",
        "tolerance": 1,
        "colour": "blue",
    },
    {
        "id": "d",
        "question": "How many?",
        "answer": "2",
        "choices": ["{options}", "2"],
        "tolerance": 0,
        "colour": "blue",
    },
]
PROTOCOL = "own_scorers:within"


def write_rows(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder as a user has it: scorers, prompts, pictures; and the scorers allowed."""
    (tmp_path / "own_scorers.py").write_text(SCORERS)
    (tmp_path / "data/mine/pictures").mkdir(parents=True)
    write_rows(tmp_path / "data/mine/prompts.jsonl", ROWS)
    for name, colour in (("a", "red"), ("b", "blue")):
        Image.new("RGB", (32, 24), colour).save(tmp_path / f"data/mine/pictures/{name}.png")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("VASARI_PLUGINS", "own_scorers")
    monkeypatch.delitem(sys.modules, "own_scorers", raising=False)
    return tmp_path


def settings(*, chosen=None, **changes):
    mine = {"folder": "data/mine", "prompts": "prompts.jsonl"} | (chosen or {})
    return BenchmarkSettings(
        **({"sets": {"mine": mine}, "protocols": (PROTOCOL,), "max_tokens": 64} | changes)
    )


def load(folder, **chosen):
    return load_set("mine", settings(chosen=chosen), folder=folder)


def evaluate(folder, answer, *, out="out", chosen=None, **changes):
    policy = ScriptedPolicy(lambda prompt, rng: answer(prompt) if callable(answer) else answer)
    plan = plan_benchmarks(settings(chosen=chosen, **changes), folder=folder)
    return evaluate_benchmarks(policy, plan, folder / out, name="own")


def test_a_file_of_prompts_with_pictures_is_a_benchmark(folder):
    found = load(folder)
    assert [entry.prompt.id for entry in found.entries] == ["a", "b", "c", "d"]
    assert [len(entry.asked.images) for entry in found.entries] == [1, 1, 1, 0]
    # The first two show the same picture, so they are no two independent observations.
    assert found.entries[0].cluster == found.entries[1].cluster != found.entries[2].cluster
    assert found.published_size is None


def test_a_parquet_file_of_prompts_is_the_same_benchmark(folder):
    write_prompts(
        folder / "data/mine/prompts.parquet", read_prompts(folder / "data/mine/prompts.jsonl")
    )
    rows, columns = load(folder), load(folder, prompts="prompts.parquet")
    assert [entry.digest for entry in rows.entries] == [entry.digest for entry in columns.entries]


def test_its_scorer_gets_the_facts_of_each_prompt(folder):
    # 22 is within 5 of 20 and within 1 of 23; not within 1 of 24, and not 2.
    scores = evaluate(folder, "22")
    assert scores["sets"]["mine"]["protocols"][PROTOCOL]["accuracy"]["mean"] == 0.5
    lines = [json.loads(line) for line in (folder / "out/verdicts.jsonl").read_text().splitlines()]
    assert [line["outcome"] for line in lines] == ["correct", "incorrect", "correct", "incorrect"]


def test_its_scores_are_split_by_its_own_fields(folder):
    scores = evaluate(folder, "22", chosen={"categories": {"hue": "colour"}})
    (heading, labels), *rest = scores["sets"]["mine"]["protocols"][PROTOCOL]["by_category"].items()
    assert (heading, rest) == ("hue", [])
    assert {label: found["accuracy"]["mean"] for label, found in labels.items()} == {
        "blue": 0.5,
        "red": 0.5,
    }
    assert (
        "| mine: hue | prompts | own\\_scorers:within |"
        in (folder / "out/categories.md").read_text()
    )


def test_a_category_that_no_prompt_has_is_refused_with_those_there_are(folder):
    with pytest.raises(
        ConfigError,
        match=r"no prompt has the field 'color'; there are category, colour, difficulty, tolerance",
    ):
        load(folder, categories={"hue": "color"})


def test_no_answer_and_no_fact_of_it_reaches_the_policy(folder):
    seen = []
    evaluate(folder, lambda prompt: seen.append(prompt) or "22")
    assert [(prompt.answer, prompt.solution, dict(prompt.metadata)) for prompt in seen] == [
        ("", None, {})
    ] * 4


def test_its_table_names_its_scorer_and_its_set(folder):
    table = as_markdown(results_table([evaluate(folder, "22")]))
    assert "| Model | mine | Avg. |" in table
    # Four prompts in three clusters: standard error by hand, clusters' sums of residuals (0, 0.5,
    # -0.5): sqrt(0.5) / 4.
    assert "| own | 50.0 ± 17.7 | 50.0 |" in table
    assert "by protocol own\\_scorers:within" in table


def test_an_output_on_which_its_scorer_fails_is_unverifiable_and_the_accuracy_a_lower_bound(folder):
    # Of "about 20" float() can make nothing.
    scores = evaluate(folder, lambda prompt: "about 20" if "high" in prompt.question else "23")
    found = scores["sets"]["mine"]["protocols"][PROTOCOL]
    assert (
        found["counts"]["correct"],
        found["counts"]["unverifiable"],
        found["decided_by"]["error"],
    ) == (2, 1, 1)
    assert "≥ 50.0" in (folder / "out/table.md").read_text()


def test_a_template_puts_its_questions(folder):
    template = "Look.\n{question}\n{options}\nAnswer in \\boxed{} with {a number}."
    texts = [entry.asked.question for entry in load(folder, template=template).entries]
    assert texts[0] == "Look.\nHow high?\nAnswer in \\boxed{} with {a number}."
    assert (
        texts[3] == "Look.\nHow many?\n(A) {options}\n(B) 2\nAnswer in \\boxed{} with {a number}."
    )
    scores = evaluate(folder, "22", chosen={"template": template})
    assert "mine: questions are put by a template of the recipe." in results_table([scores]).notes


def test_another_template_asks_anew(folder):
    seen = []

    def answer(prompt):
        seen.append(prompt.question)
        return "22"

    for template in ("{question}", "{question}", "Look: {question}"):
        evaluate(folder, answer, chosen={"template": template})
    assert seen == [row["question"] for row in ROWS] + [f"Look: {row['question']}" for row in ROWS]


def test_a_template_without_a_place_for_the_question_is_refused():
    with pytest.raises(
        ValueError,
        match=(
            r"a template says with \{question\} where the question stands; got 'Look: \{questoin\}'"
        ),
    ):
        settings(chosen={"template": "Look: {questoin}"}, protocols=("vasari",))


def test_the_kind_of_a_prompt_reaches_our_verifier_as_it_does_in_training(folder):
    rows = [
        {"id": kind, "question": "Which version?", "answer": "2.5", "kind": kind}
        for kind in ("number", "text")
    ]
    write_rows(folder / "data/mine/prompts.jsonl", rows)
    evaluate(folder, "\\boxed{2.50}", protocols=("vasari",))
    lines = [json.loads(line) for line in (folder / "out/verdicts.jsonl").read_text().splitlines()]
    assert {line["id"]: line["outcome"] for line in lines} == {
        "number": "correct",
        "text": "incorrect",
    }


def test_a_majority_needs_a_scorer_that_says_what_it_read(folder):
    turns = {}

    def answer(prompt):
        turns[prompt.id] = turns.get(prompt.id, 0) + 1
        return "20" if turns[prompt.id] < 3 else "24"

    both = (PROTOCOL, "own_scorers:reads")
    scores = evaluate(
        folder, answer, protocols=both, num_rollouts=3, temperature=1.0, pass_at=(1, 3)
    )
    silent, reading = (scores["sets"]["mine"]["protocols"][name] for name in both)
    assert silent["maj_at"] == {}
    # Two of three rollouts say 20, which is right for one prompt of four.
    assert reading["maj_at"]["3"]["mean"] == 0.25
    # One of three rollouts says 24, which is right for another one.
    assert reading["pass_at"]["3"]["mean"] == 0.5


def test_two_models_are_compared_by_its_scorer(folder):
    evaluate(folder, "22", out="first")
    evaluate(folder, lambda prompt: "24", out="second")
    (found,) = compare_benchmarks(folder / "first", folder / "second")["sets"].values()
    # 22 is right for a and c; 24 for a (within 5), b and c (within 1).
    assert (found["a"]["mean"], found["b"]["mean"], found["num_better"], found["num_worse"]) == (
        0.5,
        0.75,
        1,
        0,
    )


def test_the_blind_control_asks_the_prompts_with_pictures(folder):
    scores = evaluate(folder, "22", blind="removed")
    assert scores["sets"]["mine"]["blind"]["num_prompts"] == 3


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"source": "mine.yaml"}, "`prompts` is a file of your own and has no source and no split"),
        ({"split": "test"}, "`prompts` is a file of your own and has no source and no split"),
        ({"prompt": "prompts.jsonl"}, "Extra inputs are not permitted"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(chosen, message):
    with pytest.raises(ValueError, match=message):
        settings(chosen=chosen)


def test_a_set_of_ones_own_without_a_file_says_what_it_needs():
    with pytest.raises(
        ValueError,
        match=r"there is no benchmark 'mine'; .* or give the set `prompts` \(a file of yours\)",
    ):
        BenchmarkSettings(sets={"mine": {"folder": "data/mine"}})


def test_what_is_wrong_with_its_file_is_named_with_its_place(folder):
    path = folder / "data/mine/prompts.jsonl"
    write_rows(path, [ROWS[0], {**ROWS[1], "image": "../../own_scorers.py"}])
    with pytest.raises(ImageError, match=r"prompts.jsonl:2: prompt 'b': image 1"):
        load(folder)
    write_rows(path, [ROWS[0], {"id": "b", "question": "How wide?"}])
    with pytest.raises(DataError, match=r"prompts.jsonl:2: prompt 'b' has no 'answer'"):
        load(folder)
    path.unlink()
    with pytest.raises(DataError, match=r"data/mine/prompts.jsonl: there is no such file"):
        load(folder)


def test_a_value_that_its_scorer_may_not_return_leaves_the_rollouts_paid_for(folder):
    (folder / "own_scorers.py").write_text("def within(response):\n    return 0.5\n")
    with pytest.raises(StateError, match=r"protocol 'own_scorers:within' returned 0.5"):
        evaluate(folder, "22")
    assert len((folder / "out/outputs.jsonl").read_text().splitlines()) == 4


def vasari(folder, *words):
    """What the command printed, run in the folder as a user runs it, with the plugin allowed by the
    environment."""
    environment = {**os.environ, "VASARI_PLUGINS": "own_scorers", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "vasari", *words]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def recipe(folder):
    content = {
        "name": "mine",
        "policy": {"name": "constant", "settings": {"text": "22"}},
        "benchmarks": {
            "sets": {
                "mine": {
                    "folder": "data/mine",
                    "prompts": "prompts.jsonl",
                    "categories": {"hue": "colour"},
                }
            },
            "protocols": [PROTOCOL, "vasari"],
            "workers": 2,
        },
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(content))
    return "recipe.yaml"


def accuracy_of(folder):
    scores = json.loads((folder / "out/scores.json").read_text())
    return scores["sets"]["mine"]["protocols"][PROTOCOL]["accuracy"]["mean"]


@pytest.mark.slow
def test_the_command_evaluates_it_on_several_processes_and_its_outputs_are_scored_again_alike(
    folder, recipe
):
    said = vasari(folder, "evaluate", recipe, "--out", "out")
    assert PROTOCOL in said
    assert accuracy_of(folder) == 0.5
    vasari(folder, "rescore", "out/outputs.jsonl", "--protocol", PROTOCOL, "--out", "again")
    (again,) = json.loads((folder / "again/scores.json").read_text())["protocols"][PROTOCOL]
    assert (again["accuracy"], again["n"]) == (0.5, 4)


@pytest.mark.slow
def test_a_scorer_that_was_changed_scores_anew_what_is_not_asked_again(folder, recipe):
    vasari(folder, "evaluate", recipe, "--out", "out")
    outputs = (folder / "out/outputs.jsonl").read_bytes()
    # Twice the tolerance: 22 is also within 2 of 24.
    (folder / "own_scorers.py").write_text(
        SCORERS.replace('metadata["tolerance"]', '2 * metadata["tolerance"]')
    )
    vasari(folder, "evaluate", recipe, "--out", "out", "--resume")
    assert accuracy_of(folder) == 0.75
    assert (folder / "out/outputs.jsonl").read_bytes() == outputs
