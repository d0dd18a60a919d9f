"""Trainings with vLLM's double, in the trainer's process and as a server.

Fields and refusals were compared with the sources of vLLM 0.31.0.
"""

from __future__ import annotations

import itertools

import pytest
import torch
from safetensors.torch import load_file
from stand_ins import mixed_pool

from vasari.train.callbacks import read_log

pytestmark = [pytest.mark.slow, pytest.mark.heavy]
MODES = ("colocate", "server")
KNOBS = {
    "vllm_gpu_memory_utilization": 0.4,
    "vllm_max_model_length": 200,
    "vllm_enable_sleep_mode": True,
    "vllm_model_impl": "transformers",
}


def log_of(run):
    rows = read_log(run["out"] / "metrics.jsonl")
    return [row for row in rows if "reward" in row]


def ratios(run, which):
    return [row[f"sampling/importance_sampling_ratio/{which}"] for row in log_of(run)]


def are_of(weights, checkpoint):
    """Whether weights by name are those of a saved model, whose file has other names."""
    from vasari.model.transformers_policy import load_model

    saved = dict(load_model(str(checkpoint), dtype="float32").named_parameters())
    assert weights.keys() == saved.keys()
    return all(torch.equal(weights[name], saved[name]) for name in saved)


def image_runs(tokens, image):
    return [len(list(run)) for token, run in itertools.groupby(tokens) if token == image]


@pytest.fixture(scope="module")
def image_token(taught_folder):
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(taught_folder).image_token_id


@pytest.fixture(scope="module")
def server(serve, taught_folder):
    return serve(taught_folder)


@pytest.fixture(scope="module")
def trained(train_with_vllm, server):
    """Trainings as they come, with knobs, without correction, with a low ceiling; by mode."""
    changes = {
        "plain": {"save_every": 1},
        "knobs": {"trl": KNOBS},
        "uncorrected": {"steps": 1, "trl": {"vllm_importance_sampling_correction": False}},
        "ceiling": {
            "steps": 1,
            "trl": {
                "vllm_importance_sampling_mode": "token_truncate",
                "vllm_importance_sampling_clip_max": 0.5,
            },
        },
    }
    found = {}
    for mode in MODES:
        runs = [{"grpo": {"vllm": mode} | own} for own in changes.values()]
        told = train_with_vllm(*runs, server=server if mode == "server" else None)
        found |= {(mode, name): run for name, run in zip(changes, told, strict=True)}
    return found


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["plain", "knobs", "uncorrected", "ceiling"])
def test_a_training_with_prompts_of_no_one_and_two_images_ends_well(trained, mode, name):
    run = trained[mode, name]
    assert run["error"] is None
    steps = 2 if name in {"plain", "knobs"} else 1
    assert run["facts"]["rollouts"]["train"] == steps * 12


def test_the_colocated_engine_has_the_weights_of_the_step_it_generated_for(trained):
    out = trained["colocate", "plain"]["out"]
    vllm = load_file(out / "vllm-0.safetensors")
    assert are_of(vllm, out / "checkpoint-1")
    assert not are_of(vllm, out / "checkpoint-2")


def test_a_server_has_the_weights_of_the_step_it_generated_for(trained, train_with_vllm, server):
    (run,) = train_with_vllm({"grpo": {"vllm": "server", "save_every": 1}}, server=server)
    served = dict(server.engine.model.named_parameters())
    assert are_of(served, run["out"] / "checkpoint-1")
    assert not are_of(served, run["out"] / "checkpoint-2")


@pytest.mark.parametrize("mode", MODES)
def test_equal_weights_need_no_correction(trained, mode):
    """But for the tokens of images, which vLLM may not draw and the trained model counts."""
    for which in ("min", "mean", "max"):
        assert ratios(trained[mode, "plain"], which) == pytest.approx([1.0, 1.0], abs=0.02)


@pytest.mark.parametrize("mode", MODES)
def test_the_correction_can_be_left_out_and_limited(trained, mode):
    (row,) = log_of(trained[mode, "uncorrected"])
    assert not any("importance" in name for name in row)
    assert ratios(trained[mode, "ceiling"], "max") == [0.5]


def test_knobs_reach_a_colocated_engine(trained):
    options = trained["colocate", "knobs"]["options"]
    assert options["gpu_memory_utilization"] == 0.4
    assert options["max_model_len"] == 200
    assert options["enable_sleep_mode"]
    assert options["model_impl"] == "transformers"
    assert options["max_num_seqs"] == 12
    assert trained["colocate", "plain"]["options"]["gpu_memory_utilization"] == 0.3


def test_an_engine_that_sleeps_gets_its_weights_before_it_generates(trained):
    cycle = ["wake weights", "weights", "reset", "wake kv_cache", "generate", "sleep 2"]
    assert trained["colocate", "knobs"]["log"] == ["sleep 2", *cycle, *cycle]


def test_a_colocated_engine_gets_one_mark_for_each_image(trained, image_token):
    calls = trained["colocate", "plain"]["calls"]
    assert {len(call["images"]) for call in calls} == {0, 1, 2}
    for call in calls:
        assert image_runs(call["tokens"], image_token) == [1] * len(call["images"])


def test_a_server_gets_all_tokens_of_each_image_and_where_they_stand(trained, server, image_token):
    with_images = [body for body in server.asked("/inference/v1/generate") if body["features"]]
    assert {len(body["features"]["kwargs_data"]["image"]) for body in with_images} == {1, 2}
    for body in with_images:
        places = body["features"]["mm_placeholders"]["image"]
        assert image_runs(body["token_ids"], image_token) == [own["length"] for own in places]


def test_a_server_is_asked_for_each_prompt_once_with_all_its_rollouts(trained, server):
    for body in server.asked("/inference/v1/generate"):
        assert body["sampling_params"]["n"] == 4
        assert body["sampling_params"]["stop_token_ids"]
        assert body["sampling_params"].get("seed") is None


@pytest.fixture(scope="module")
def eager_folder(taught_folder, digit_prompts, tmp_path_factory):
    """The model, but the token of an image is by far its likeliest next token."""
    from vasari.model.processor import load_processor, save_processor
    from vasari.model.transformers_policy import load_model

    model = load_model(str(taught_folder), dtype="float32").eval()
    processor = load_processor(str(taught_folder))
    ids = torch.tensor(processor.tokenizer("How many? What is it?")["input_ids"])[None]
    with torch.no_grad():
        hidden = model.model(input_ids=ids).last_hidden_state[0]
        head = torch.nn.Parameter(model.lm_head.weight.clone())
        model.config.tie_word_embeddings = model.config.text_config.tie_word_embeddings = False
        model.lm_head.weight = head
        middle = hidden.mean(0)
        head[model.config.image_token_id] = 40.0 * middle / middle.norm() ** 2
        assert model(input_ids=ids).logits[0, -1].argmax() == model.config.image_token_id
    folder = tmp_path_factory.mktemp("eager")
    model.save_pretrained(str(folder))
    save_processor(processor, folder)
    return folder


@pytest.mark.parametrize("mode", MODES)
def test_the_token_of_an_image_is_never_drawn(
    mode, train_with_vllm, serve, eager_folder, image_token
):
    server = serve(eager_folder) if mode == "server" else None
    run = {"grpo": {"vllm": mode, "steps": 1}}
    (told,) = train_with_vllm(run, server=server, model=eager_folder)
    assert told["error"] is None
    drawn = server.drawn if mode == "server" else told["drawn"]
    assert len(drawn) >= 12
    assert image_token not in set(itertools.chain(*drawn))


@pytest.mark.parametrize("mode", MODES)
def test_a_limit_that_a_prompt_and_its_rollout_exceed_is_told_before_anything_is_generated(
    mode, train_with_vllm, serve, taught_folder
):
    server = serve(taught_folder, max_model_len=40) if mode == "server" else None
    told = train_with_vllm(
        {"grpo": {"vllm": mode, "trl": {"vllm_max_model_length": 40}}}, server=server
    )
    assert "are longer than the 40 tokens that vLLM was started with" in told[0]["error"]
    if mode == "server":
        assert not server.asked("/inference/v1/generate")
    else:
        assert not told[0]["calls"]


@pytest.mark.parametrize("mode", MODES)
def test_images_are_no_larger_than_the_run_allows(mode, train_with_vllm, serve, family_folder):
    """The model is published with a limit of 12,845,056 pixels, and some images have 112 x 112."""
    model = family_folder("qwen2_5_vl")
    server = serve(model) if mode == "server" else None
    grpo = {"vllm": mode, "steps": 1, "prompts_per_batch": 4}
    run = {"grpo": grpo, "max_pixels": 56 * 56, "prompts": mixed_pool(1)}
    (told,) = train_with_vllm(run, server=server, model=model)
    assert told["error"] is None
    if mode == "server":
        lengths = {
            place["length"]
            for body in server.asked("/inference/v1/generate")
            if body["features"]
            for place in body["features"]["mm_placeholders"]["image"]
        }
        assert lengths == {4}
    else:
        assert {size for call in told["calls"] for size in map(tuple, call["images"])} == {(56, 56)}


@pytest.mark.parametrize("mode", MODES)
def test_two_processes_share_the_rollouts(mode, train_with_vllm, serve, taught_folder):
    server = serve(taught_folder) if mode == "server" else None
    grpo = {"vllm": mode, "prompts_per_batch": 4, "micro_batch": 2}
    (told,) = train_with_vllm({"grpo": grpo}, server=server, processes=2)
    assert [rank["error"] for rank in told["ranks"]] == [None, None]
    assert told["facts"]["rollouts"]["train"] == 2 * 4 * 4
    if mode == "server":
        assert len(server.asked("/inference/v1/generate")) == 2 * 4
    else:
        assert [len(rank["calls"]) for rank in told["ranks"]] == [2 * 8, 2 * 8]


def test_two_processes_that_share_one_copy_of_the_model_ask_for_the_same(train_with_vllm):
    trl = {"vllm_tensor_parallel_size": 2, "vllm_enable_sleep_mode": True}
    grpo = {"vllm": "colocate", "prompts_per_batch": 4, "micro_batch": 2, "trl": trl}
    run = {"sampler": "vas", "num_validation": 3, "grpo": grpo}
    (told,) = train_with_vllm(run, processes=2)
    one, other = told["ranks"]
    assert (one["error"], other["error"]) == (None, None)
    assert one["options"]["tensor_parallel_size"] == other["options"]["tensor_parallel_size"] == 2
    assert one["options"]["seed"] == other["options"]["seed"]
    assert one["calls"] == other["calls"]
    # Of two batches, two refreshes and two validations, in which one prompt fills up.
    assert len(one["calls"]) == 2 * 16 + 2 * 24 + 2 * 4
    assert ratios(told, "mean") == pytest.approx([1.0, 1.0], abs=0.02)


@pytest.mark.parametrize("mode", MODES)
def test_images_that_vllm_reads_otherwise_end_the_run(mode, train_with_vllm, serve, taught_folder):
    """The model is published with a least size, below which the run's limit lies."""
    server = serve(taught_folder) if mode == "server" else None
    run = {"grpo": {"vllm": mode, "steps": 1}, "max_pixels": 28 * 28}
    (told,) = train_with_vllm(run, server=server)
    assert told["error"].startswith("StateError: ")
    assert "leave model.max_pixels out" in told["error"]
