"""Each term of a reward through a real training: its weight moves the advantages as computed by
hand."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from trl.rewards import get_soft_overlong_punishment, think_format_reward

from vasari.train.callbacks import read_log
from vasari.train.group_file import read_groups
from vasari.train.settings import GrpoSettings
from vasari.train.trl_settings import ALGORITHMS, trl_algorithm

MAX_TOKENS = 24


def cosine(row, start=(0.5, -0.5), exceeded=-0.5):
    """arXiv:2502.03373, equation 1, from start to 0 over the limit, for right and wrong
    rollouts."""
    return [
        (
            exceeded
            if n >= MAX_TOKENS
            else (start[0] if correct else start[1]) * (1 + np.cos(np.pi * n / MAX_TOKENS)) / 2
        )
        for n, correct in zip(row["num_tokens"], row["verdicts"], strict=True)
    ]


def overlong(row):
    return get_soft_overlong_punishment(MAX_TOKENS, MAX_TOKENS // 5)(
        completion_ids=[[0] * n for n in row["num_tokens"]]
    )


def repeated(row):
    """Share of 2-grams of the text's words that stood before: the tokens are words here, and are
    seen in the log."""
    shares = []
    for ids in row["ids"]:
        grams = [tuple(ids[place : place + 2]) for place in range(len(ids) - 1)]
        shares.append(-(1 - len(set(grams)) / len(grams)) if grams else 0.0)
    return shares


def thought(row):
    return think_format_reward([[{"role": "assistant", "content": text}] for text in row["texts"]])


TERMS = {
    "cosine_length": ({"name": "cosine_length"}, cosine),
    "soft_overlong": ({"name": "soft_overlong"}, overlong),
    "repetition": ({"name": "repetition", "settings": {"ngram": 2}}, repeated),
    "trl": ({"name": "trl.rewards:think_format_reward"}, thought),
}


@pytest.fixture(scope="module", autouse=True)
def trl_allowed():
    before = os.environ.get("VASARI_PLUGINS")
    os.environ["VASARI_PLUGINS"] = "trl"
    yield
    os.environ.pop("VASARI_PLUGINS") if before is None else os.environ.update(VASARI_PLUGINS=before)


@pytest.fixture
def batch_of(make_trainer, first_batch, digit_prompts, tmp_path):
    """The first batch of a training with these terms: its advantages, and its groups with their
    tokens."""

    def run(name, rewards, **changes):
        settings = {
            "micro_batch": 12,
            "trl": {
                "max_completion_length": MAX_TOKENS,
                "temperature": 1.6,
                "scale_rewards": "none",
            },
        } | changes
        trainer = make_trainer(digit_prompts, tmp_path / name, rewards=rewards, **settings)
        torch.manual_seed(5)
        batch = first_batch(trainer)
        rows = read_groups(tmp_path / name / "groups").to_pylist()
        lengths = [num for row in rows for num in row["num_tokens"]]
        ids = iter(batch["completion_ids"].tolist())
        cut = [own[:num] for own, num in zip(ids, lengths, strict=True)]
        for place, row in enumerate(rows):
            row["ids"] = cut[4 * place : 4 * place + 4]
        return batch["advantages"].view(len(rows), 4).numpy(), rows

    return run


@pytest.mark.slow
@pytest.mark.parametrize("name", TERMS)
def test_a_term_s_weight_moves_the_advantages_as_computed_by_hand(batch_of, name):
    term, by_hand = TERMS[name]
    seen = {}
    for weight in (0.5, -2.0):
        advantages, rows = batch_of(f"{weight}", [{"name": "accuracy"}, {**term, "weight": weight}])
        values = np.array([by_hand(row) for row in rows], dtype=float)
        correct = np.array([row["verdicts"] for row in rows])
        total = correct + weight * values
        np.testing.assert_allclose(np.array([row["rewards"] for row in rows]), total, atol=1e-5)
        np.testing.assert_allclose(advantages, total - total.mean(axis=1, keepdims=True), atol=1e-5)
        seen[weight] = (advantages, values, [row["texts"] for row in rows])
    (one, values, texts), (other, _, again) = seen[0.5], seen[-2.0]
    assert texts == again
    np.testing.assert_allclose(
        other - one, -2.5 * (values - values.mean(axis=1, keepdims=True)), atol=1e-5
    )
    assert np.abs(other - one).max() > 0.05


@pytest.mark.slow
def test_the_log_shows_every_term_without_its_weight(
    batch_of, make_trainer, digit_prompts, first_batch, tmp_path
):
    rewards = [{"name": "accuracy", "weight": 3.0}, {"name": "soft_overlong", "weight": 0.5}]
    trainer = make_trainer(
        digit_prompts,
        tmp_path,
        rewards=rewards,
        micro_batch=12,
        trl={"max_completion_length": MAX_TOKENS},
    )
    first_batch(trainer)
    rows = read_groups(tmp_path / "groups").to_pylist()
    logged = {name: values[-1] for name, values in trainer._metrics["train"].items()}
    assert logged["rewards/accuracy/mean"] == pytest.approx(
        np.mean([row["verdicts"] for row in rows])
    )
    assert logged["rewards/soft_overlong/mean"] == pytest.approx(
        np.mean([overlong(row) for row in rows]), abs=1e-6
    )
    terms = [dict(row["reward_terms"]) for row in rows]
    assert np.mean([term["accuracy"] for term in terms]) == pytest.approx(
        3.0 * logged["rewards/accuracy/mean"]
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "algorithm",
    [pytest.param(a, marks=[pytest.mark.heavy] if a != "dapo" else []) for a in ALGORITHMS],
)
def test_a_variant_trains_by_its_name_and_reaches_trl(run_small, algorithm, tmp_path):
    facts = run_small(tmp_path, algorithm=algorithm, steps=2)
    assert facts["steps"] == 2
    losses = [row["loss"] for row in read_log(tmp_path / "metrics.jsonl") if "loss" in row]
    assert len(losses) == 2
    assert np.isfinite(losses).all()


def test_a_variant_s_settings_stand_unless_the_recipe_gives_its_own():
    dapo = GrpoSettings.model_validate({"algorithm": "dapo"})
    assert (dapo.trl.loss_type, dapo.trl.epsilon_high, dapo.trl.beta, dapo.gate.name) == (
        "dapo",
        0.28,
        0.0,
        "mixed",
    )
    assert [term.name for term in dapo.make_rewards()] == ["accuracy", "format", "soft_overlong"]
    assert dapo.make_rewards()[2].function.max_tokens == dapo.trl.max_completion_length
    own = GrpoSettings.model_validate(
        {"algorithm": "dapo", "trl": {"epsilon_high": 0.3}, "gate": "all"}
    )
    assert (own.trl.loss_type, own.trl.epsilon_high, own.gate.name) == ("dapo", 0.3, "all")


@pytest.mark.parametrize(
    ("algorithm", "trl", "message"),
    [
        ("gspo", {"loss_type": "dapo"}, "algorithm gspo has the loss_type grpo, got .*dapo"),
        (
            "gspo",
            {"importance_sampling_level": "token"},
            "algorithm gspo has the importance_sampling_level sequence, got .*token",
        ),
        ("dapo", {"importance_sampling_level": "sequence"}, "leave one out"),
    ],
)
def test_settings_that_contradict_the_variant_are_refused(algorithm, trl, message):
    with pytest.raises(ValueError, match=message):
        GrpoSettings.model_validate({"algorithm": algorithm, "trl": trl})


@pytest.mark.parametrize(
    ("algorithm", "expected"),
    [
        (
            "grpo",
            {
                "loss_type": "grpo",
                "beta": 0.01,
                "scale_rewards": "group",
                "importance_sampling_level": "token",
            },
        ),
        ("dapo", {"loss_type": "dapo", "beta": 0.0, "epsilon_high": 0.28}),
        ("dr_grpo", {"loss_type": "dr_grpo", "scale_rewards": "none"}),
        (
            "gspo",
            {
                "loss_type": "grpo",
                "importance_sampling_level": "sequence",
                "epsilon": 3e-4,
                "epsilon_high": 4e-4,
            },
        ),
    ],
)
def test_a_variant_is_arguments_of_trl_for_a_script(algorithm, expected):
    from trl import GRPOConfig

    chosen = trl_algorithm(algorithm)
    config = GRPOConfig("unused", use_cpu=True, bf16=False, report_to=[], **chosen.config)
    assert {name: getattr(config, name) for name in expected} == expected
    assert chosen.trainer == {"gate": "mixed" if algorithm == "dapo" else "all"}


def test_settings_take_no_key_that_only_a_recipe_of_0_1_0_has():
    with pytest.raises(ValueError, match=r"accuracy_reward\n +Extra inputs are not permitted"):
        GrpoSettings.model_validate({"accuracy_reward": 1.0})


@pytest.mark.slow
def test_a_reward_of_one_s_own_trains_from_a_recipe(write_recipe, tmp_path):
    recipe = write_recipe(
        tmp_path,
        grpo={
            "rewards": [
                "accuracy",
                {"name": "my_rewards:vowels", "weight": 0.25, "settings": {"most": 10}},
            ]
        },
        sampler={"name": "uniform", "settings": {}},
    )
    (tmp_path / "my_rewards.py").write_text(
        "def vowels(text, truncated, most=5):\n    return None if truncated else min(most, sum(c in"
        " 'aeiou' for c in text))\n"
    )
    command = [sys.executable, "-m", "vasari", "train", str(recipe), "--out", "run"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "VASARI_PLUGINS": ""}
    refused = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, env=environment, check=False
    )
    assert refused.returncode == 1
    assert "reward 'my_rewards:vowels' is code of the package 'my_rewards'" in refused.stderr
    done = subprocess.run(
        [*command, "--plugin", "my_rewards"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows = read_groups(tmp_path / "run" / "rl" / "uniform" / "groups").to_pylist()
    paid = 0
    for row in rows:
        terms = dict(row["reward_terms"])
        for text, cut, part, total in zip(
            row["texts"], row["truncated"], terms["vowels"], row["rewards"], strict=True
        ):
            assert np.isnan(total) == cut
            if not cut:
                assert part == pytest.approx(
                    0.25 * min(10, sum(letter in "aeiou" for letter in text))
                )
                paid += 1
    assert paid
    logged = [
        json.loads(line)
        for line in (tmp_path / "run" / "rl" / "uniform" / "metrics.jsonl").read_text().splitlines()
    ]
    assert any("rewards/vowels/mean" in row for row in logged)
