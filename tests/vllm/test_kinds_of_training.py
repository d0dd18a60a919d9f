"""Adapters, gates, penalties and text models, trained with vLLM's double in both modes."""

from __future__ import annotations

import pytest

from vasari.train.callbacks import read_log

pytestmark = [pytest.mark.slow, pytest.mark.heavy]
MODES = ("colocate", "server")
KINDS = {
    "adapters": {"lora": {"rank": 4, "alpha": 32}, "trl": {"learning_rate": 0.3}},
    "penalty": {"trl": {"beta": 0.05}},
    "screened": {"gate": "two_stage", "screening": {"rollouts": 2}},
    "mixed": {"gate": "mixed", "max_generations": 2},
    "two updates": {"updates_per_batch": 2, "prompts_per_batch": 4, "steps": 4},
}


def ratios(run):
    rows = read_log(run["out"] / "metrics.jsonl")
    name = "sampling/importance_sampling_ratio/mean"
    return [row[name] for row in rows if name in row]


@pytest.fixture(scope="module", params=MODES)
def trained(request, train_with_vllm, serve, taught_folder):
    server = serve(taught_folder) if request.param == "server" else None
    # A ratio that is off is to be seen: weights move far, and nothing is cut out.
    trl = {"vllm_importance_sampling_mode": "token_truncate", "learning_rate": 0.02}
    runs = [
        {
            "sampler": "vas",
            "num_validation": 3,
            "grpo": own | {"vllm": request.param, "trl": trl | own.get("trl", {})},
        }
        for own in KINDS.values()
    ]
    told = train_with_vllm(*runs, server=server)
    return dict(zip(KINDS, told, strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_a_training_ends_well_and_vllm_has_the_weights_that_are_trained(trained, kind):
    assert trained[kind]["error"] is None
    assert ratios(trained[kind]) == pytest.approx([1.0] * len(ratios(trained[kind])), abs=0.02)
    assert ratios(trained[kind])


@pytest.mark.parametrize("mode", MODES)
def test_a_text_model_is_asked_by_plain_token_ids(
    mode, train_with_vllm, serve, family_folder, digit_prompts
):
    model = family_folder("qwen2_text")
    server = serve(model) if mode == "server" else None
    run = {
        "sampler": "vas",
        "num_validation": 2,
        "prompts": [prompt for prompt in digit_prompts if not prompt.images],
        "grpo": {"vllm": mode},
    }
    (told,) = train_with_vllm(run, server=server, model=model)
    assert told["error"] is None
    assert ratios(told) == pytest.approx([1.0, 1.0], abs=0.02)
    if mode == "server":
        # A validation, two refreshes, two batches, a validation: each one request.
        assert len(server.asked("/v1/completions")) == 6
        assert not server.asked("/inference/v1/generate")


@pytest.mark.parametrize("mode", MODES)
def test_a_resumed_training_pushes_the_weights_of_its_checkpoint(
    mode, train_with_vllm, serve, taught_folder
):
    server = serve(taught_folder) if mode == "server" else None
    trl = {"vllm_importance_sampling_mode": "token_truncate", "learning_rate": 0.02}
    run = {"sampler": "uniform", "resume": {"steps": 4}, "grpo": {"vllm": mode, "trl": trl}}
    (told,) = train_with_vllm(run, server=server)
    assert told["error"] is None
    assert told["facts"]["steps"] == 4
    assert ratios(told) == pytest.approx([1.0] * 4, abs=0.02)


@pytest.mark.parametrize("mode", MODES)
def test_weights_spread_over_processes_arrive_whole(mode, train_with_vllm, serve, taught_folder):
    server = serve(taught_folder) if mode == "server" else None
    trl = {
        "fsdp": True,
        "fsdp_config": {"version": 2, "state_dict_type": "FULL_STATE_DICT"},
        "vllm_importance_sampling_mode": "token_truncate",
    }
    grpo = {"vllm": mode, "prompts_per_batch": 4, "micro_batch": 2, "trl": trl}
    # Weights are pushed for a refresh; without one, for the batch.
    runs = [{"sampler": "vas", "num_validation": 3, "grpo": grpo}, {"grpo": grpo}]
    for told in train_with_vllm(*runs, server=server, processes=2, spread=True):
        assert [rank["error"] for rank in told["ranks"]] == [None, None]
        assert ratios(told) == pytest.approx([1.0, 1.0], abs=0.02)
