"""Grading through a server: bins, what was drawn, failures that are no wrong answers, and a judge
for what rules leave open."""

from __future__ import annotations

import json
import math

import pytest

pytest.importorskip("aiohttp")

from vasari.core.errors import DataError
from vasari.curate.choose.grading import GradingSettings
from vasari.curate.choose.pass_rates import grade_by_model, grade_by_verdicts, read_verdicts
from vasari.curate.recipe import CurationRecipe
from vasari.endpoint import EndpointSettings, ResponseStore
from vasari.records import Prompt
from vasari.verify.judge import JudgeSettings, judge_all

MODELS = {"m": {"model": "m", "endpoint": {"base_url": "http://127.0.0.1:9/v1"}}}


def prompts(*answers):
    return [
        Prompt(id=f"p{n}", question=f"Question {n}?", answer=answer)
        for n, answer in enumerate(answers)
    ]


@pytest.fixture
def says(teach):
    """A server that says the same to every question of a prompt: its words by the number in the
    question."""

    def start(words):
        server = teach([])

        def completion(body, **changes):
            asked = str(body["messages"][-1]["content"])
            said = next((text for name, text in words.items() if name in asked), "A")
            choice = {
                "index": 0,
                "message": {"role": "assistant", "content": said},
                "finish_reason": "stop",
            }
            choice["message"].update(changes.get("message", {}))
            return {
                "model": "m",
                "choices": [choice],
                "usage": {"prompt_tokens": 5, "completion_tokens": 5},
            }

        server.completion = completion
        return server

    return start


def test_a_bin_is_decided_by_verified_rollouts_and_no_more_are_drawn(says, asking):
    server = says({"Question 0": "\\boxed{7}", "Question 1": "\\boxed{8}"})
    recipe = GradingSettings(model="m", num_rollouts=8, keep=("easy", "hard"))

    result = grade_by_model(prompts("7", "7"), asking(server), recipe)

    assert [(prompt.id, prompt.difficulty) for prompt in result.kept] == [
        ("p0", "easy"),
        ("p1", "hard"),
    ]
    grades = [prompt.metadata["grade"] for prompt in result.kept]
    # Seven of eight right are easy (7/8 >= 0.8) whatever the last one is, and seven wrong are hard
    # (1/8 <= 0.2). After k right ones the worst ending has k of 8 verifiable, or k of k when the
    # rest cannot be verified: easy needs k = 7.
    assert [(grade["correct"], grade["incorrect"]) for grade in grades] == [(7, 0), (0, 7)]
    assert result.counts["rollouts"] == 14
    assert result.counts["rollouts_saved"] == 2


def test_a_prompt_is_kept_with_its_bin_and_the_level_that_its_source_gave(says, asking):
    server = says({})
    pool = [
        Prompt(
            id="p0",
            question="Question 0?",
            answer="7",
            difficulty="grade 3",
            metadata={"source": "s"},
        )
    ]

    (kept,) = grade_by_model(pool, asking(server), GradingSettings(model="m", num_rollouts=2)).kept

    assert (kept.difficulty, kept.metadata["source_difficulty"], kept.metadata["source"]) == (
        "hard",
        "grade 3",
        "s",
    )


def test_failed_requests_leave_the_count_and_are_no_wrong_answers(says, asking):
    server = says({"Question": "\\boxed{7}"})
    tries = iter(range(100))
    server.plan = lambda body, attempt: "bad_request" if next(tries) in (0, 1) else "good"

    result = grade_by_model(
        prompts("7"),
        asking(server, max_concurrency=1),
        GradingSettings(model="m", num_rollouts=4, keep=("easy",)),
    )

    assert result.kept[0].metadata["grade"] | {} == {
        "by": "teacher",
        "correct": 2,
        "incorrect": 0,
        "unverifiable": 2,
        "pass_rate": 1.0,
        "low": pytest.approx(0.3424, abs=1e-4),  # Wilson, 2 of 2: 1 / (1 + 1.96^2 / 2) = 0.3424
        "high": 1.0,
    }


def test_a_prompt_without_any_answer_is_a_dead_letter(says, asking):
    server = says({})
    server.plan = lambda body, attempt: "bad_request"

    result = grade_by_model(
        prompts("7"), asking(server), GradingSettings(model="m", num_rollouts=2)
    )

    (drop,) = result.dropped
    assert drop.reason == "grader_failed"
    assert drop.detail.startswith("refused: ")


@pytest.mark.parametrize(("judged", "bin_name"), [(False, "hard"), (True, "easy")])
def test_a_judge_decides_what_rules_leave_open_and_nothing_is_drawn_short_of_it(
    says, asking, tmp_path, judged, bin_name
):
    # "A" is CompassVerifier's label for a correct answer; the server says so to whatever is not
    # question 0.
    server = says({"Question 0?": "<answer>\\boxed{the building of a savings bank}</answer>"})
    settings = JudgeSettings(
        endpoint=EndpointSettings(base_url=server.url), model="judge", format="compass_verifier"
    )
    words = server.completion

    def completion(body, **changes):
        if body["model"] == "judge":
            body = body | {"messages": [{"role": "user", "content": "judge"}]}
        return words(body, **changes)

    server.completion = completion
    recipe = GradingSettings(model="m", num_rollouts=4, keep=("easy", "medium", "hard"))
    with ResponseStore(tmp_path / "judge") as store:
        result = grade_by_model(
            prompts("bank"),
            asking(server),
            recipe,
            appeal=(lambda items: judge_all(items, settings, store)) if judged else None,
        )

    assert result.kept[0].difficulty == bin_name
    assert result.counts["rollouts"] == 4
    assert result.counts.get("judge_asked", 0) == (4 if judged else 0)


def test_verdicts_of_rollouts_drawn_elsewhere_are_binned_whole():
    # Of eight: 7 right is 0.875 (easy), 6 is 0.75 (medium), 1 is 0.125 (hard); one of five
    # verifiable is 0.2 (hard).
    verdicts = {
        "p0": [1] * 7 + [0],
        "p1": [1] * 6 + [0] * 2,
        "p2": [1] + [0] * 7,
        "p3": [1, 0, 0, 0, 0] + [math.nan] * 3,
    }
    recipe = GradingSettings(verdicts="file", keep=("easy", "medium", "hard"))

    result = grade_by_verdicts(prompts("1", "1", "1", "1", "1"), verdicts, recipe)

    assert [prompt.difficulty for prompt in result.kept] == ["easy", "medium", "hard", "hard"]
    assert [(drop.id, drop.reason) for drop in result.dropped] == [("p4", "no_verdicts")]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("no json", r"verdicts\.jsonl:1: .*JSON"),
        (json.dumps({"id": "a"}), r"verdicts\.jsonl:1: expected"),
        (
            json.dumps({"id": "a", "verdicts": [0.5]}),
            r"verdicts\.jsonl:1: a verdict is 1, 0 or null",
        ),
        (json.dumps({"id": "a", "verdicts": [1] * 200}), r"200 verdicts; at most 128"),
    ],
)
def test_a_file_of_verdicts_of_another_form_is_refused_with_its_line(tmp_path, line, said):
    (tmp_path / "verdicts.jsonl").write_text(line + "\n")

    with pytest.raises(DataError, match=said):
        read_verdicts(tmp_path / "verdicts.jsonl")


def test_a_grade_comes_from_a_model_or_a_file_not_from_both():
    for grade in ({}, {"model": "m", "verdicts": "file"}):
        recipe = {"name": "r", "sources": [{"source": "jsonl", "folder": "f"}], "grade": grade}
        with pytest.raises(ValueError, match=r"give either `model`"):
            CurationRecipe.model_validate(recipe | {"models": MODELS, "sft": {}})


def test_a_bin_of_easy_prompts_lies_above_that_of_hard_ones():
    with pytest.raises(ValueError, match=r"hard_to < easy_from"):
        GradingSettings(model="m", easy_from=0.1)
