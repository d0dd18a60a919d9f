"""`examples/trl_grpo.py` trains a Qwen2.5-VL with its stock chat template, and goes on after a stop."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from vasari.train.group_file import read_groups

SCRIPT = Path(__file__).parents[2] / "examples" / "trl_grpo.py"


@pytest.fixture(scope="module")
def stock_folder(taught_folder, tmp_path_factory):
    """A small Qwen2.5-VL with the chat template that TRL ships for it."""
    import trl

    folder = shutil.copytree(taught_folder, tmp_path_factory.mktemp("stock") / "model")
    template = Path(trl.__file__).parent / "chat_templates" / "qwen2_5_vl.jinja"
    for place in (folder / "chat_template.jinja", folder / "chat_template.json"):
        place.unlink(missing_ok=True)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings["chat_template"] = template.read_text()
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


@pytest.fixture(scope="module")
def data_folder(digit_prompts, tmp_path_factory):
    """Eight problems with one image each, as Parquet files of the hub hold them."""
    from datasets import Dataset, Image, Sequence

    rows = [
        {
            "problem": f"<image>{prompt.question}",
            "answer": prompt.answer,
            "images": [{"bytes": prompt.images[0].data, "path": None}],
        }
        for prompt in digit_prompts
        if prompt.images
    ]
    folder = tmp_path_factory.mktemp("data")
    data = Dataset.from_list(rows).cast_column("images", Sequence(Image()))
    data.to_parquet(folder / "train-00000-of-00001.parquet")
    return folder


def run(model, data, out, *more):
    arguments = {
        "model_name_or_path": model,
        "dataset_name": data,
        "output_dir": out,
        "per_device_train_batch_size": 8,
        "num_generations": 4,
        "max_completion_length": 12,
        "learning_rate": 1e-3,
        "save_steps": 1,
        "logging_steps": 1,
        "use_cpu": "true",
        "report_to": "none",
        "dtype": "float32",
    }
    flags = [word for name, value in arguments.items() for word in (f"--{name}", str(value))]
    return subprocess.run(
        [sys.executable, str(SCRIPT), *flags, *more],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(out.parent / "hub")},
    )


@pytest.mark.slow
def test_the_script_trains_and_goes_on_where_it_was_stopped(stock_folder, data_folder, tmp_path):
    out = tmp_path / "run"
    first = run(stock_folder, data_folder, out, "--max_steps", "2", "--sampler", "uniform")
    assert first.returncode == 0, first.stderr[-3000:]
    second = run(stock_folder, data_folder, out, "--max_steps", "3", "--sampler", "uniform")
    assert second.returncode == 0, second.stderr[-3000:]
    state = json.loads((out / "checkpoint-3" / "trainer_state.json").read_text())
    assert state["global_step"] == 3
    groups = read_groups(out / "groups", ["batch", "prompt_id", "rewards", "texts"]).to_pylist()
    assert sorted({group["batch"] for group in groups}) == [0, 1, 2]
    # One pass of the pool, unbroken by the stop: no prompt comes twice.
    assert len({group["prompt_id"] for group in groups}) == len(groups) == 6
    assert all(reward in (0.0, 1.0) for group in groups for reward in group["rewards"])


@pytest.mark.heavy
@pytest.mark.slow
def test_the_script_trains_adapters_with_a_gate(stock_folder, data_folder, tmp_path):
    out = tmp_path / "run"
    flags = ("--max_steps", "2", "--gate", "mixed", "--use_peft", "--lora_r", "4")
    done = run(stock_folder, data_folder, out, *flags, "--lora_target_modules", "q_proj", "v_proj")
    assert done.returncode == 0, done.stderr[-3000:]
    assert (out / "adapter_model.safetensors").exists()
    log = json.loads((out / "checkpoint-2" / "trainer_state.json").read_text())["log_history"]
    assert any("ledger/rollouts/train" in line for line in log)
