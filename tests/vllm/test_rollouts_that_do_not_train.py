"""Refreshes and validation with vLLM's double: by the training's engine, with its present weights."""

from __future__ import annotations

import pytest

from vasari.train.callbacks import read_log
from vasari.train.group_file import read_groups

pytestmark = [pytest.mark.slow, pytest.mark.heavy]
MODES = ("colocate", "server")


@pytest.fixture(scope="module", params=MODES)
def greedy(request, train_with_vllm, serve, taught_folder):
    """Greedy rollouts of both engines, at three moments."""
    server = serve(taught_folder) if request.param == "server" else None
    (told,) = train_with_vllm({"only_draws": True, "grpo": {"vllm": request.param}}, server=server)
    assert told["error"] is None
    return dict(zip(("start", "changed", "stepped"), told["texts"], strict=True))


@pytest.mark.parametrize("moment", ["start", "stepped"])
def test_greedy_rollouts_are_those_of_transformers_with_the_same_weights(greedy, moment):
    assert greedy[moment]["vllm"] == greedy[moment]["transformers"]


def test_weights_arrive_with_the_step_of_the_trainer(greedy):
    assert greedy["changed"]["transformers"] != greedy["start"]["transformers"]
    assert greedy["changed"]["vllm"] == greedy["start"]["vllm"]
    assert greedy["stepped"]["vllm"] != greedy["start"]["vllm"]


def test_several_greedy_rollouts_of_a_prompt_are_one_and_the_same(greedy):
    assert all(len(group) == 2 and group[0] == group[1] for group in greedy["start"]["vllm"])


@pytest.fixture(scope="module", params=MODES)
def run(request, train_with_vllm, serve, taught_folder):
    """A training with two refreshes of twelve prompts and three validations of five, in which
    transformers may generate nothing; with its mode and server."""
    server = serve(taught_folder) if request.param == "server" else None
    grpo = {
        "vllm": request.param,
        "validate_every": 1,
        "trl": {"temperature": 0.7, "top_p": 0.9, "vllm_enable_sleep_mode": True},
    }
    (told,) = train_with_vllm({"sampler": "vas", "num_validation": 5, "grpo": grpo}, server=server)
    return told | {"mode": request.param, "server": server}


def asked(run):
    """For each rollout, how vLLM was told to draw it."""
    if run["mode"] == "colocate":
        return [call["params"] for call in run["calls"]]
    bodies = [body["sampling_params"] for body in run["server"].asked("/inference/v1/generate")]
    bodies += [
        body for body in run["server"].asked("/v1/completions") for _ in range(len(body["prompt"]))
    ]
    return [body for body in bodies for _ in range(body["n"])]


def test_all_rollouts_of_a_run_come_from_vllm(run):
    assert run["error"] is None
    assert run["facts"]["rollouts"] == {"train": 24, "refresh": 48, "screen": 0, "discarded": 0}
    assert len(asked(run)) == 24 + 48 + 3 * 5


def test_all_are_drawn_from_the_distribution_of_the_training(run):
    for params in asked(run):
        assert (params["temperature"], params["top_p"]) == (0.7, 0.9)
        assert (params["top_k"], params["min_p"], params["repetition_penalty"]) == (0, 0.0, 1.0)
        assert params["max_tokens"] == 12
        assert params["stop_token_ids"] == [2]
        assert params.get("seed") is None


def test_each_is_charged_to_what_it_was_spent_on(run):
    rows = read_groups(run["out"] / "groups").to_pylist()
    for purpose in ("train", "refresh"):
        own = [row for row in rows if row["purpose"] == purpose]
        assert sum(sum(row["num_tokens"]) for row in own) == run["facts"]["tokens"][purpose]
    validations = read_log(run["out"] / "validation.jsonl")
    assert [row["step"] for row in validations] == [0, 1, 2]
    assert {(row["n"], row["rollouts_validation"]) for row in validations} == {(5, 5)}


def test_rollouts_of_a_prompt_differ(run):
    rows = read_groups(run["out"] / "groups").to_pylist()
    assert any(len(set(row["num_tokens"])) > 1 or len(set(row["rewards"])) > 1 for row in rows)


@pytest.mark.parametrize("mode", MODES)
def test_two_processes_fill_up_and_drop_what_only_fills(
    mode, train_with_vllm, serve, taught_folder, digit_prompts
):
    """Eleven prompts are refreshed and five validate."""
    server = serve(taught_folder) if mode == "server" else None
    grpo = {"vllm": mode, "steps": 1, "prompts_per_batch": 4, "micro_batch": 2, "save_every": 1}
    grpo["validate_every"] = 1
    (told,) = train_with_vllm(
        {"sampler": "vas", "num_validation": 5, "prompts": digit_prompts[:11], "grpo": grpo},
        server=server,
        processes=2,
    )
    assert [rank["error"] for rank in told["ranks"]] == [None, None]
    assert told["facts"]["rollouts"] == {"train": 16, "refresh": 22, "screen": 0, "discarded": 2}
    validations = read_log(told["out"] / "validation.jsonl")
    assert [(row["n"], row["rollouts_validation"]) for row in validations] == [(5, 5), (5, 5)]
