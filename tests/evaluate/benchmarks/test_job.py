"""A scripted model on miniature benchmarks: every number by hand, and a run that goes on where it
was."""

from __future__ import annotations

import itertools
import json
import re

import pytest
from pydantic import ValidationError

from vasari.core.errors import ConfigError, DataError, StateError
from vasari.evaluate.benchmarks import (
    BenchmarkDir,
    BenchmarkSettings,
    evaluate_benchmarks,
    open_folder,
    plan_benchmarks,
    read_scores,
)
from vasari.evaluate.collect import Pass
from vasari.model.scripted import ScriptedPolicy

LONG = "First I look at the picture. " * 8


def plan(data, *names, **changes):
    sets = {name: {"folder": f"data/{name}"} for name in names}
    settings = BenchmarkSettings(
        **({"sets": sets, "protocols": ("vasari", "official"), "max_tokens": 30} | changes)
    )
    return plan_benchmarks(settings, folder=data.parent)


class Script(ScriptedPolicy):
    """Says the texts of each prompt in turn, and remembers whom it was asked."""

    def __init__(self, texts, default="\\boxed{0}"):
        turns = {identity: itertools.cycle(said) for identity, said in texts.items()}
        self.asked = []
        super().__init__(lambda prompt, rng: self._say(prompt, turns, default))

    def _say(self, prompt, turns, default):
        self.asked.append(prompt)
        return next(turns[prompt.id]) if prompt.id in turns else default


VISION = {
    "mathvision/1": ["\\boxed{5}", "\\boxed{6}"],
    "mathvision/2": ["\\boxed{B}", "\\boxed{B}"],
    "mathvision/3": ["I cannot tell.", "\\boxed{C}"],
    "mathvision/4": [LONG, "\\boxed{12}"],
}


@pytest.fixture
def vision(data, tmp_path):
    """The scores of two rollouts a prompt of the four of MathVision."""
    todo = plan(data, "mathvision", num_rollouts=2, temperature=1.0)
    return evaluate_benchmarks(Script(VISION), todo, tmp_path / "out", name="m")["sets"][
        "mathvision"
    ]["protocols"]["vasari"]


def test_accuracy_is_the_mean_share_of_right_rollouts_with_its_standard_error(vision):
    # Shares 1/2, 1, 1/2, 1/2: mean 5/8; squared deviations 3 x 1/64 + 9/64 = 12/64; sqrt(12/64) /
    # 4.
    assert vision["accuracy"]["mean"] == 0.625
    assert vision["accuracy"]["standard_error"] == pytest.approx((12 / 64) ** 0.5 / 4)
    assert vision["accuracy"]["low"] <= 0.625 <= vision["accuracy"]["high"]
    assert (vision["avg_at"], vision["num_rollouts"]) == (2, 8)


def test_pass_at_k_and_maj_at_k_are_those_of_the_hand_calculation(vision):
    assert vision["pass_at"]["1"]["mean"] == 0.625
    assert vision["pass_at"]["2"]["mean"] == 1.0  # every prompt has a right rollout
    # 5 and 6 tie: 1/2; B; C against silence; 12 against silence.
    assert vision["maj_at"]["2"]["mean"] == pytest.approx((0.5 + 1 + 1 + 1) / 4)
    assert set(vision["pass_at"]) == {"1", "2"}


def test_truncated_rollouts_are_counted_apart_from_wrong_ones(vision):
    assert vision["counts"] == {
        "correct": 5, "wrong": 2, "truncated": 1, "unverifiable": 0, "needs_judge": 0, "unanswered": 0, "no_answer": 1,
    }  # fmt: skip


def test_categories_have_the_prompts_of_their_label(vision):
    levels = {
        label: (one["num_prompts"], one["accuracy"]["mean"])
        for label, one in vision["by_category"]["level"].items()
    }
    assert levels == {"1": (1, 0.5), "2": (2, 0.75), "3": (1, 0.5)}


def test_the_versions_of_a_problem_count_as_one_observation(data, tmp_path):
    # Problems 1 and 2 are solved in all versions, 3 and 4 in none: four clusters that deviate by
    # 5/2: sqrt(4 x 25/4) / 20.
    texts = {f"mathverse/{n}": [f"\\boxed{{{1 if n <= 5 else 2}}}"] for n in range(1, 11)}
    scores = evaluate_benchmarks(Script(texts), plan(data, "mathverse"), tmp_path / "out", name="m")
    found = scores["sets"]["mathverse"]["protocols"]["vasari"]
    assert (found["accuracy"]["mean"], found["accuracy"]["n"]) == (0.5, 4)
    assert found["accuracy"]["standard_error"] == pytest.approx(0.25)
    assert {one["accuracy"]["mean"] for one in found["by_category"]["version"].values()} == {0.5}


def test_what_the_official_scorer_would_ask_an_llm_is_undecided_not_wrong(data, tmp_path):
    texts = {"mathvista/1": ["1.2"], "mathvista/2": ["I think it is Beta."]}
    scores = evaluate_benchmarks(
        Script(texts), plan(data, "mathvista", "mathverse"), tmp_path / "out", name="m"
    )
    vista = scores["sets"]["mathvista"]["protocols"]["official"]["counts"]
    assert (vista["correct"], vista["needs_judge"], vista["wrong"]) == (1, 1, 0)
    verse = scores["sets"]["mathverse"]["protocols"]["official"]["counts"]
    assert (verse["needs_judge"], verse["wrong"]) == (20, 0)


def test_the_policy_is_given_no_answer_solution_or_fact(data, tmp_path):
    policy = Script({})
    evaluate_benchmarks(
        policy, plan(data, "mathvision", "mathvista", "mathverse"), tmp_path / "out", name="m"
    )
    assert len(policy.asked) == 26
    assert {
        (p.answer, p.solution, p.choices, len(p.metadata), p.category) for p in policy.asked
    } == {("", None, None, 0, "")}


def test_the_blind_control_shows_no_image_and_stands_beside_the_most_frequent_answer(
    data, tmp_path
):
    policy = Script({})
    todo = plan(data, "mathverse", blind="removed")
    scores = evaluate_benchmarks(policy, todo, tmp_path / "out", name="m")
    blind = scores["sets"]["mathverse"]["blind"]
    assert [len(prompt.images) for prompt in policy.asked] == [1] * 20 + [0] * 20
    assert (blind["num_prompts"], blind["protocols"]["vasari"]["accuracy"]["mean"]) == (20, 0.0)
    assert blind["majority"] == 0.25  # four answers, five prompts each
    assert len((tmp_path / "out/blind/outputs.jsonl").read_text().splitlines()) == 20


def test_every_file_has_a_line_a_rollout_or_a_prompt_in_the_order_of_the_plan(data, tmp_path):
    todo = plan(data, "mathvision", "mathvista", num_rollouts=2, temperature=1.0)
    evaluate_benchmarks(Script(VISION), todo, tmp_path / "out", name="m")
    folder = BenchmarkDir(tmp_path / "out")
    rows = {
        name: [json.loads(line) for line in (folder.root / name).read_text().splitlines()]
        for name in (
            "outputs.jsonl",
            "verdicts.jsonl",
            "verdicts.official.jsonl",
            "by_prompt.jsonl",
        )
    }
    prompts = [*(f"mathvision/{n}" for n in range(1, 5)), "mathvista/1", "mathvista/2"]
    expected = [(identity, number) for identity in prompts for number in (0, 1)]
    assert [(row["id"], row["rollout"]) for row in rows["outputs.jsonl"]] == expected
    assert [(row["id"], row["rollout"]) for row in rows["verdicts.jsonl"]] == expected
    assert [(row["id"], row["rollout"]) for row in rows["verdicts.official.jsonl"]] == expected
    assert [row["verdicts"]["vasari"] for row in rows["by_prompt.jsonl"]][:4] == [
        [1, 0],
        [1, 1],
        [0, 1],
        [0, 1],
    ]
    assert rows["verdicts.jsonl"][0] == {
        "id": "mathvision/1", "set": "mathvision", "rollout": 0, "outcome": "correct", "decided_by": "exact",
        "extraction": "5", "truncated": False,
    }  # fmt: skip


def test_categories_are_a_page_of_tables_by_protocol(data, tmp_path):
    todo = plan(data, "mathvision", num_rollouts=2, temperature=1.0)
    evaluate_benchmarks(Script(VISION), todo, tmp_path / "out", name="m")
    page = (tmp_path / "out/categories.md").read_text().splitlines()
    assert "| mathvision: level | prompts | vasari | official |" in page
    # Of level 2 one prompt is solved always and one half the time: deviations of 1/4, sqrt(2 x
    # 1/16) / 2 = 0.177.
    assert any(line.startswith("| 2 | 2 | 75.0 ± 17.7 |") for line in page)


def test_a_category_that_needs_a_judge_throughout_has_no_accuracy(data, tmp_path):
    texts = {"mathvista/1": ["1.2"], "mathvista/2": ["I think it is Beta."]}
    evaluate_benchmarks(Script(texts), plan(data, "mathvista"), tmp_path / "out", name="m")
    page = (tmp_path / "out/categories.md").read_text().splitlines()
    assert "| word | 1 | 100.0 ± 0.0 | 100.0 ± 0.0 |" in page
    assert "| figure | 1 | 100.0 ± 0.0 | - |" in page
    # Of the skill that both have, one is right by the official scorer and one undecided.
    assert any(
        re.fullmatch(r"\| algebra \| 2 \| 100\.0 ± 0\.0 \| ≥ 50\.0 ± .*", line) for line in page
    )


def test_lost_outputs_are_generated_again_and_no_others(data, tmp_path):
    todo = plan(data, "mathvision", "mathverse", batch_rollouts=3)
    path = tmp_path / "out/outputs.jsonl"
    evaluate_benchmarks(Script({}), todo, tmp_path / "out", name="m")
    whole, scores = path.read_bytes(), (tmp_path / "out/scores.json").read_bytes()
    lines = whole.splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2] + lines[10:-1]) + lines[-1][:40])
    policy = Script({})
    evaluate_benchmarks(policy, todo, tmp_path / "out", name="m")
    assert path.read_bytes() == whole
    assert (tmp_path / "out/scores.json").read_bytes() == scores
    # Parts of three: of MathVision 2-3 and 4 (places 2, 3), of MathVerse 1-6 (places 0 to 5) and
    # the last two.
    assert [prompt.id for prompt in policy.asked] == [
        *(f"mathvision/{n}" for n in (1, 2, 3, 4)),
        *(f"mathverse/{n}" for n in (1, 2, 3, 4, 5, 6, 19, 20)),
    ]


def test_a_finished_evaluation_asks_nothing_and_may_be_scored_by_other_protocols(data, tmp_path):
    evaluate_benchmarks(Script(VISION), plan(data, "mathvision"), tmp_path / "out", name="m")
    policy = Script(VISION)
    scores = evaluate_benchmarks(
        policy, plan(data, "mathvision", protocols=("official",)), tmp_path / "out", name="m"
    )
    assert policy.asked == []
    assert list(scores["sets"]["mathvision"]["protocols"]) == ["official"]
    assert read_scores(tmp_path / "out")["protocols"] == ["official"]


def test_a_raised_limit_asks_the_truncated_ones_again(data, tmp_path):
    first = evaluate_benchmarks(
        Script(VISION), plan(data, "mathvision", batch_rollouts=1), tmp_path / "out", name="m"
    )
    assert first["sets"]["mathvision"]["protocols"]["vasari"]["counts"]["truncated"] == 1
    policy = Script({}, default="\\boxed{12}")
    todo = plan(data, "mathvision", batch_rollouts=1, max_tokens=500)
    scores = evaluate_benchmarks(policy, todo, tmp_path / "out", name="m")
    assert [prompt.id for prompt in policy.asked] == ["mathvision/4"]
    counts = scores["sets"]["mathvision"]["protocols"]["vasari"]["counts"]
    assert (counts["truncated"], counts["correct"], counts["wrong"]) == (0, 3, 1)


def test_more_rollouts_a_prompt_keep_those_that_are_there(data, tmp_path):
    evaluate_benchmarks(
        Script({}), plan(data, "mathvision", temperature=1.0), tmp_path / "out", name="m"
    )
    kept = (tmp_path / "out/outputs.jsonl").read_text().splitlines()
    todo = plan(data, "mathvision", temperature=1.0, num_rollouts=3)
    evaluate_benchmarks(Script({}, default="\\boxed{9}"), todo, tmp_path / "out", name="m")
    rows = (tmp_path / "out/outputs.jsonl").read_text().splitlines()
    assert len(rows) == 12
    assert rows[::3] == kept


def test_a_policy_that_gives_too_few_rollouts_is_refused(data, tmp_path):
    class Short(ScriptedPolicy):
        def generate(self, prompts, decoding, *, seed, tell=None):
            return super().generate(prompts, decoding, seed=seed)[:-1]

    with pytest.raises(
        DataError, match=r"asked for 1 rollouts of 4 prompts and gave 3 in 3 groups"
    ):
        evaluate_benchmarks(
            Short(lambda prompt, rng: "x"), plan(data, "mathvision"), tmp_path / "out", name="m"
        )


def test_a_folder_with_outputs_is_refused_without_resume_and_with_another_model(data, tmp_path):
    todo, folder = plan(data, "mathvision"), BenchmarkDir(tmp_path / "out")
    open_folder(folder, todo, model={"server": "a"}, resume=False)
    evaluate_benchmarks(Script({}), todo, folder.root, name="a")
    with pytest.raises(ConfigError, match=r"holds outputs already; go on with --resume"):
        open_folder(folder, todo, model={"server": "a"}, resume=False)
    open_folder(folder, todo, model={"server": "a"}, resume=True)
    with pytest.raises(ConfigError, match=r"model was \{'server': 'a'\} and is \{'server': 'b'\}"):
        open_folder(folder, todo, model={"server": "b"}, resume=True)
    with pytest.raises(ConfigError, match=r"prompt was 'paper' and is 'bare'"):
        open_folder(
            folder, plan(data, "mathvision", prompt="bare"), model={"server": "a"}, resume=True
        )
    open_folder(
        folder,
        plan(data, "mathvision", "mathverse", max_tokens=99),
        model={"server": "a"},
        resume=True,
    )


def test_a_folder_without_scores_says_so(tmp_path):
    with pytest.raises(StateError, match=r"holds no results on benchmarks"):
        read_scores(tmp_path)


BAD_SETTINGS = [
    ({"sets": {}}, "name at least one benchmark"),
    ({"protocols": ("vasari", "vasari")}, "each once"),
    ({"protocols": ("offical",)}, "protocol must be one of"),
    ({"prompt": "polite"}, "has no prompt 'polite'"),
    ({"num_rollouts": 4}, "several rollouts at temperature 0"),
    ({"sets": {"../x": {"folder": "x", "source": "chartqa"}}}, "String should match pattern"),
]


@pytest.mark.parametrize(("changes", "said"), BAD_SETTINGS)
def test_settings_that_contradict_themselves_are_refused(changes, said):
    with pytest.raises((ConfigError, ValidationError), match=said):
        BenchmarkSettings(**({"sets": {"mathvision": {"folder": "x"}}} | changes))


def test_the_plan_has_a_pass_for_every_set_and_control(data):
    passes: tuple[Pass, ...] = plan(
        data, "mathvision", "mathvista", blind="blank", blind_rollouts=2, temperature=0.5
    ).passes
    assert [
        (item.set_name, item.name, item.decoding.images, len(item.rollouts)) for item in passes
    ] == [
        ("mathvision", "shown", "shown", 4),
        ("mathvista", "shown", "shown", 2),
        ("mathvision", "blind", "blank", 8),
        ("mathvista", "blind", "blank", 4),
    ]
