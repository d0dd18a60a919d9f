"""`vasari train` and `vasari evaluate` with vLLM's double in the process, as a user calls them."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.heavy]
STUB = Path(__file__).parent / "stub"
VLLM = ("--set", "evaluate.vllm=colocate")
COMMAND = """
import atexit, json, pathlib, sys
import vasari.model.transformers_tokens as tokens
from vllm import LLM
def forbidden(*_, **__):
    raise AssertionError("transformers was to generate")
def tell():
    told = [{"options": llm.options, "seeds": [call["params"].seed for call in llm.calls]}
            for llm in LLM.made]
    pathlib.Path(place).write_text(json.dumps(told))
place = sys.argv.pop(1)
if any(word.endswith(".vllm=colocate") for word in sys.argv):
    tokens.generate_shared = forbidden
atexit.register(tell)
from vasari.cli.main import main
main()
"""


def call(command, recipe, out, *options):
    out.mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, "-c", COMMAND, out / "told", command, recipe, "--out", out, *options],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=os.environ
        | {"PYTHONPATH": os.pathsep.join([str(STUB), os.environ.get("PYTHONPATH", "")])},
    )


def evaluated(recipe, out, *options, name="base"):
    """Texts of an evaluation by pass and prompt, with what the double was asked."""
    done = call("evaluate", recipe, out, *options)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    rows = pq.read_table(out / "evaluation" / f"{name}-rollouts.parquet").to_pylist()
    texts = {(row["decoding"], row["prompt_id"]): row["texts"] for row in rows}
    return texts, json.loads((out / "told").read_text())


def greedy(texts):
    return {key: value for key, value in texts.items() if key[0] == "greedy"}


@pytest.fixture(scope="module")
def recipe(write_recipe, tmp_path_factory):
    return write_recipe(tmp_path_factory.mktemp("recipe"), evaluate={"num_rollouts": 4})


@pytest.fixture(scope="module")
def plain(recipe, tmp_path_factory):
    """An evaluation by transformers, and its folder."""
    out = tmp_path_factory.mktemp("plain")
    return evaluated(recipe, out)[0], out


@pytest.fixture(scope="module")
def by_vllm(recipe, tmp_path_factory):
    knobs = ("evaluate.vllm_gpu_memory_utilization=0.5", "evaluate.vllm_max_model_length=300")
    options = itertools.chain(*(("--set", knob) for knob in knobs))
    return evaluated(recipe, tmp_path_factory.mktemp("vllm"), *VLLM, *options)


def test_greedy_answers_are_those_of_transformers(by_vllm, plain):
    """To prompts without an image, with one and with two."""
    assert len(greedy(plain[0])) == 3
    assert greedy(by_vllm[0]) == greedy(plain[0])


def test_knobs_reach_vllm(by_vllm):
    (told,) = by_vllm[1]
    assert told["options"]["gpu_memory_utilization"] == 0.5
    assert told["options"]["max_model_len"] == 300
    # As the weights are saved, and as transformers computes; vLLM's "auto" would halve it.
    assert told["options"]["dtype"] == "float32"


def test_no_two_prompts_share_random_numbers(by_vllm):
    seeds = by_vllm[1][0]["seeds"]
    num_sampled = sum(key[0] == "sampled" for key in by_vllm[0])
    own = sorted(seeds[:num_sampled])
    # The i-th rollout of a prompt has its seed plus i.
    assert all(second - first > 4 for first, second in itertools.pairwise(own))
    assert any(len(set(texts)) > 1 for key, texts in by_vllm[0].items() if key[0] == "sampled")


def test_the_same_seed_repeats_the_rollouts_and_another_does_not(by_vllm, recipe, tmp_path):
    again, _ = evaluated(recipe, tmp_path / "again", *VLLM)
    other, _ = evaluated(recipe, tmp_path / "other", *VLLM, "--set", "evaluate.seed=1")
    assert again == by_vllm[0]
    assert other != again
    assert greedy(other) == greedy(again)


def test_a_prompt_that_is_too_long_for_vllm_is_told_before_anything_is_generated(recipe, tmp_path):
    done = call(
        "evaluate", recipe, tmp_path / "out", *VLLM, "--set", "evaluate.vllm_max_model_length=100"
    )
    assert done.returncode != 0
    assert "are longer than the 100 tokens that vLLM takes" in " ".join(done.stderr.split())
    assert json.loads((tmp_path / "out" / "told").read_text())[0]["seeds"] == []


def test_results_of_transformers_are_not_taken_for_those_of_vllm(plain, recipe, tmp_path):
    out = tmp_path / "both"
    shutil.copytree(plain[1], out)
    texts, told = evaluated(recipe, out, *VLLM, "--resume")
    assert told[0]["seeds"]
    assert greedy(texts) == greedy(plain[0])


def test_a_run_is_trained_and_evaluated_by_vllm_alone(recipe, tmp_path):
    out = tmp_path / "run"
    done = call("train", recipe, out, "--set", "grpo.vllm=colocate")
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads((out / "told").read_text())[0]["seeds"]
    (best,) = (out / "rl").glob("*/best")
    texts, told = evaluated(
        recipe, out, "--set", "grpo.vllm=colocate", *VLLM, name=best.parent.name
    )
    assert len(greedy(texts)) == 3
    assert [one["options"]["model"] for one in told][-1] == str(best)


def test_an_adapter_is_merged_for_vllm(recipe, taught_folder, tmp_path):
    import torch
    from peft import LoraConfig, get_peft_model

    from vasari.model.transformers_policy import load_model

    folder = tmp_path / "models" / "adapted"
    shutil.copytree(taught_folder, folder)
    torch.manual_seed(0)
    adapter = LoraConfig(r=4, lora_alpha=32, target_modules="all-linear", init_lora_weights=False)
    get_peft_model(load_model(str(folder), dtype="float32"), adapter).save_pretrained(str(folder))
    name = "others/models-adapted"
    options = ("--model", folder)
    plain, _ = evaluated(recipe, tmp_path / "plain", *options, name=name)
    texts, _ = evaluated(recipe, tmp_path / "vllm", *options, *VLLM, name=name)
    assert greedy(texts) == greedy(plain)
