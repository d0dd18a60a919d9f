"""GRPO learns the same from the same rollouts on any number of processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from stand_ins import IMAGE_FAMILIES

SCRIPT = Path(__file__).with_name("grpo_process.py")
ON_CPU = SCRIPT.parents[1] / "train" / "spread_on_cpu.py"
GRPO = {
    "steps": 2,
    "prompts_per_batch": 4,
    "rollouts_per_prompt": 4,
    # With several, chance decides in each process which rollouts an update has.
    "updates_per_batch": 1,
    "micro_batch": 2,
    "validate_every": 2,
    "save_every": 2,
    "trl": {
        "beta": 0.0,
        "temperature": 1.0,
        "max_completion_length": 8,
        # Adam divides by the size of a gradient, and so makes a step of what is only rounding.
        "optim": "sgd",
        "learning_rate": 0.1,
        "warmup_steps": 0,
    },
}
ZERO3 = {
    "zero_optimization": {"stage": 3, "stage3_gather_16bit_weights_on_model_save": True},
    "zero_force_ds_cpu_optimizer": False,
    "zero_allow_untested_optimizer": True,
    "gradient_accumulation_steps": "auto",
    "gradient_clipping": "auto",
    "train_batch_size": "auto",
    "train_micro_batch_size_per_gpu": "auto",
}
ENGINES = {
    "zero3": {"deepspeed": ZERO3},
    "fsdp": {"fsdp": True, "fsdp_config": {"version": 2, "state_dict_type": "FULL_STATE_DICT"}},
}


def trained(model, out, *, processes, **changes):
    """Weights of a training on written rollouts, four prompts without, with one and two images."""
    grpo = GRPO | changes | {"trl": GRPO["trl"] | changes.get("trl", {})}
    told = {"model": str(model), "out": str(out), "processes": processes, "grpo": grpo}
    start = [sys.executable]
    if processes > 1:
        start += ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    done = subprocess.run(
        [*start, str(ON_CPU), str(SCRIPT), json.dumps(told)],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1", "DS_ACCELERATOR": "cpu"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return load_file(out / "last" / "model.safetensors")


def assert_same(found, expected, start):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(
            found[name], value, atol=1e-5, rtol=0, msg=lambda said, name=name: f"{name}: {said}"
        )
    bounded = [name for name in expected if start[name].isfinite().all()]  # limits may be infinite
    moved = max((expected[name] - start[name].float()).abs().max() for name in bounded)
    assert moved > 1e-3


EVERY = ("validate_every", "save_every")
CASES = {
    "full": {},
    "kl": {"trl": {"beta": 0.1}},
    "dapo": {"trl": {"loss_type": "dapo", "gradient_checkpointing": True}},
    # One batch: where a group was refused, every process draws a prompt, and the next has others.
    "mixed": {"gate": "mixed", "max_generations": 2, "steps": 1} | dict.fromkeys(EVERY, 1),
    "frozen": {"freeze_vision": True},
}


@pytest.mark.slow
@pytest.mark.heavy
@pytest.mark.parametrize("processes", [2, 4])
@pytest.mark.parametrize("case", CASES)
def test_weights_are_those_of_one_process(case, processes, family_folder, tmp_path):
    model = family_folder("qwen2_5_vl")
    one = trained(model, tmp_path / "one", processes=1, **CASES[case])
    several = trained(model, tmp_path / "several", processes=processes, **CASES[case])
    assert_same(several, one, load_file(model / "model.safetensors"))


@pytest.mark.slow
@pytest.mark.heavy
@pytest.mark.parametrize("name", IMAGE_FAMILIES)
def test_a_family_learns_on_two_processes_what_it_learns_on_one(name, family_folder, tmp_path):
    """Of the two, one has a micro-batch without an image where the other has some."""
    model = family_folder(name)
    one = trained(model, tmp_path / "one", processes=1)
    two = trained(model, tmp_path / "two", processes=2)
    assert_same(two, one, load_file(model / "model.safetensors"))


@pytest.mark.slow
@pytest.mark.heavy
@pytest.mark.parametrize("engine", ["zero3", "fsdp"])
@pytest.mark.parametrize("name", ["qwen2_5_vl", "gemma3", "smolvlm2"])
def test_weights_spread_over_processes_learn_what_whole_ones_learn(
    name, engine, family_folder, tmp_path
):
    if engine == "zero3":
        pytest.importorskip("deepspeed", reason="needs the extra deepspeed")
    model = family_folder(name)
    one = trained(model, tmp_path / "one", processes=1)
    two = trained(model, tmp_path / "two", processes=2, trl=ENGINES[engine])
    assert_same(two, one, load_file(model / "model.safetensors"))
