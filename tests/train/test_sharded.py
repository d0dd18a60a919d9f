"""Weights divided over two processes: what is trained, saved and validated is the whole model.

DeepSpeed's ZeRO-3 and PyTorch's FSDP2 run here on two CPU processes, through the commands that a
user types, on a pool that mixes prompts with no, one and two images. ZeRO-3 needs the extra
`deepspeed`.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

torch = pytest.importorskip("torch")

from pyarrow.parquet import read_table  # noqa: E402
from safetensors.torch import load_file  # noqa: E402
from stand_ins import held_out_pool, mixed_pool  # noqa: E402

import vasari as vasari_package  # noqa: E402
from vasari.core.errors import ConfigError  # noqa: E402
from vasari.data.prompt_file import write_prompts  # noqa: E402
from vasari.train.adapters import load_merged  # noqa: E402
from vasari.train.settings import SftSettings  # noqa: E402
from vasari.train.trl_config import sft_config  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.heavy]

ZERO3 = {
    "bf16": {"enabled": "auto"},
    "zero_optimization": {"stage": 3, "stage3_gather_16bit_weights_on_model_save": True},
    "gradient_accumulation_steps": "auto",
    "gradient_clipping": "auto",
    "train_batch_size": "auto",
    "train_micro_batch_size_per_gpu": "auto",
}
ENGINES: dict[str, dict[str, Any]] = {
    "alone": {},
    "zero3": {"deepspeed": "zero3.json"},
    "fsdp": {"fsdp": True, "fsdp_config": "fsdp.json"},
}
VASARI = Path(vasari_package.__file__).parent / "__main__.py"
REWARD = """
def odd(text: str) -> float:
    return float(len(text) % 2)
"""
FSDP = {"version": 2, "reshard_after_forward": True, "state_dict_type": "FULL_STATE_DICT"}


def recipe_in(folder: Path, model: Path, pool: list[Any], engine: str, **changes: Any) -> Path:
    """A recipe of two SFT steps and two GRPO batches, with a refresh before each batch."""
    (folder / "zero3.json").write_text(json.dumps(ZERO3))
    (folder / "odd_reward.py").write_text(REWARD)
    (folder / "fsdp.json").write_text(json.dumps(FSDP))
    files = {}
    splits = {"cold_start": pool, "train": pool[:9], "validation": held_out_pool(2)[:5]}
    for split, prompts in splits.items():
        name = f"{split}.parquet"
        own = [dataclasses.replace(prompt, id=f"{split}-{prompt.id}") for prompt in prompts]
        write_prompts(folder / name, own)
        files[split] = name
    shared: dict[str, Any] = {"learning_rate": 1e-3, "warmup_steps": 0} | ENGINES[engine]
    recipe = {
        "name": "sharded",
        "seed": 0,
        "prompts": {"files": files},
        "model": {"path": str(model), "system_prompt": "small"},
        "sft": {
            "epochs": 1,
            "batch_prompts": 8,
            "micro_batch": 2,
            "validate_every": 1,
            "trl": shared | {"dataloader_num_workers": 0},
            **changes,
        },
        "sampler": {
            "name": "vas",
            "settings": {"preset": "paper", "num_refresh_rollouts": 2, "refresh_every": 1},
        },
        "grpo": {
            "steps": 2,
            "prompts_per_batch": 4,
            "rollouts_per_prompt": 4,
            "updates_per_batch": 1,
            "micro_batch": 2,
            "validate_every": 1,
            "save_every": 1,
            # a small part at a time, so that the two processes have unequal numbers of parts
            "refresh_batch": 2,
            "rewards": [{"name": "odd_reward:odd"}],
            "trl": shared
            | {"learning_rate": 1e-2, "beta": 0.01, "temperature": 1.0, "max_completion_length": 8},
            **changes,
        },
    }
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe))
    return path


def vasari(command: str, recipe: Path, *options: str, processes: int, on_cpu: bool = True) -> str:
    """What a `vasari` command prints in so many processes, which write into `run`."""
    start = [sys.executable, "-m"]
    if processes > 1:
        start += ["torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
        here = Path(__file__).parent
        start += [str(here / "spread_on_cpu.py"), str(VASARI)] if on_cpu else ["-m", "vasari"]
    else:
        start.append("vasari")
    paths = [str(recipe.parent), os.environ.get("PYTHONPATH", "")]
    own = {
        "PYTHONPATH": ":".join(paths),
        "VASARI_PLUGINS": "odd_reward",
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "DS_ACCELERATOR": "cpu",
    }
    done = subprocess.run(
        [*start, command, str(recipe), "--out", str(recipe.parent / "run"), *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        env=os.environ | own,
    )
    said = [line for line in done.stderr.splitlines() if line.startswith(("error", "[rank"))]
    assert done.returncode == 0, "\n".join(said[-40:]) or done.stderr[-3000:]
    return done.stdout


def weights(folder: Path) -> dict[str, Any]:
    """The tensors that a folder's model is saved with."""
    return load_file(folder / "model.safetensors")


def apart(found: dict[str, Any], expected: dict[str, Any]) -> float:
    """The largest difference of two models' weights."""
    assert found.keys() == expected.keys()
    return max(float((found[name] - value).abs().max()) for name, value in expected.items())


@pytest.fixture(scope="module")
def pool() -> list[Any]:
    """Sixteen prompts; neighbours have no, one small, one larger and two images."""
    return mixed_pool(4)


@pytest.fixture(scope="module")
def plain_run(
    family_folder: Any, pool: list[Any], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A cold start in one process."""
    folder = tmp_path_factory.mktemp("alone")
    recipe = recipe_in(folder, family_folder("qwen2_5_vl"), pool, "alone")
    vasari("sft", recipe, processes=1)
    return folder / "run"


@pytest.fixture(scope="module", params=["zero3", "fsdp"])
def spread_run(
    request: pytest.FixtureRequest,
    family_folder: Any,
    pool: list[Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A run of SFT and GRPO in two processes that share the weights."""
    if request.param == "zero3":
        pytest.importorskip("deepspeed", reason="needs the extra deepspeed")
    folder = tmp_path_factory.mktemp(request.param)
    recipe = recipe_in(folder, family_folder("qwen2_5_vl"), pool, request.param)
    for command in ("sft", "train"):
        vasari(command, recipe, processes=2)
    return folder / "run"


def test_supervised_training_with_spread_weights_gives_the_weights_of_one_process(
    spread_run: Path, plain_run: Path
) -> None:
    found, expected = (weights(run / "cold_start" / "model") for run in (spread_run, plain_run))
    # Adam divides by the root of a gradient's square: where a gradient is all but zero, its
    # rounding decides over a share of the learning rate of 1e-3.
    assert apart(found, expected) < 1e-4


@pytest.mark.parametrize("which", ["best", "last", "checkpoint-2"])
def test_what_training_with_spread_weights_saves_is_the_whole_model(
    which: str, spread_run: Path, family_folder: Any
) -> None:
    shapes = {n: value.shape for n, value in weights(family_folder("qwen2_5_vl")).items()}
    saved = weights(spread_run / "rl" / "vas" / which)
    assert {name: value.shape for name, value in saved.items()} == shapes


def test_training_with_spread_weights_moves_them_and_keeps_the_best(spread_run: Path) -> None:
    rl, start = spread_run / "rl" / "vas", weights(spread_run / "cold_start" / "model")
    last = weights(rl / "last")
    assert any(not torch.equal(last[name], value) for name, value in start.items())
    rows = [json.loads(line) for line in (rl / "validation.jsonl").read_text().splitlines()]
    assert [row["n"] for row in rows] == [5, 5, 5]
    # The first of equal accuracies is the best: where none is better, the weights of the start.
    best = weights(rl / "best")
    same_as = {0: start, 2: last}
    step = max(rows, key=lambda row: (row["accuracy"], -row["step"]))["step"]
    if step in same_as:
        assert all(torch.equal(best[name], value) for name, value in same_as[step].items())
    summary = json.loads((spread_run / "stages" / "rl-vas.json").read_text())
    # two batches of 4 x 4, and before each all prompts twice: nine, of which one is held out
    drawn = {purpose: number for purpose, number in summary["rollouts"].items() if number}
    assert drawn == {"train": 32, "refresh": 32}


def test_a_training_with_spread_weights_resumes_where_it_was(
    spread_run: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "again"
    shutil.copytree(spread_run.parent, folder)
    rl = folder / "run" / "rl" / "vas"
    for lost in ("checkpoint-2", "last"):
        shutil.rmtree(rl / lost)
    (folder / "run" / "stages" / "rl-vas.json").unlink()
    vasari("train", folder / "recipe.yaml", "--resume", processes=2)
    whole = spread_run / "rl" / "vas"
    for saved in ("last", "best"):
        assert apart(weights(rl / saved), weights(whole / saved)) == 0
    texts = [read_table(f / "groups" / "000001-train.parquet")["texts"] for f in (rl, whole)]
    assert texts[0].to_pylist() == texts[1].to_pylist()


@pytest.mark.parametrize("engine", ["zero3", "fsdp"])
def test_adapters_over_spread_weights_learn_what_they_learn_alone(
    engine: str, family_folder: Any, pool: list[Any], tmp_path: Path
) -> None:
    if engine == "zero3":
        pytest.importorskip("deepspeed", reason="needs the extra deepspeed")
    lora = {"lora": {"rank": 4, "alpha": 8}}
    model, adapters = family_folder("qwen2_5_vl"), []
    for name, processes in {"alone": 1, engine: 2}.items():
        (tmp_path / name).mkdir()
        recipe = recipe_in(tmp_path / name, model, pool, name, **lora)
        vasari("sft", recipe, processes=processes)
        saved = tmp_path / name / "run" / "cold_start" / "model"
        adapters.append(load_file(saved / "adapter_model.safetensors"))
        # The base model beside the adapter is the published one.
        assert apart(weights(saved), weights(model)) == 0
    assert apart(adapters[1], adapters[0]) < 1e-4
    vasari("train", recipe, processes=2)
    best, last = (tmp_path / engine / "run" / "rl" / "vas" / part for part in ("best", "last"))
    assert apart(weights(last), weights(model)) == 0
    trained = load_file(last / "adapter_model.safetensors")
    assert apart(trained, adapters[1]) > 1e-3
    load_merged(str(best))


@pytest.mark.parametrize("engine", ["zero3", "fsdp"])
def test_processes_that_accelerate_does_not_join_are_one_line(
    engine: str, family_folder: Any, pool: list[Any], tmp_path: Path
) -> None:
    if engine == "zero3":
        pytest.importorskip("deepspeed", reason="needs the extra deepspeed")
    recipe = recipe_in(tmp_path, family_folder("qwen2_5_vl"), pool, engine)
    with pytest.raises(AssertionError, match="accelerate joins none of the 2 processes"):
        vasari("sft", recipe, processes=2, on_cpu=False)


def test_a_stage_3_that_saves_no_weights_is_refused_before_it_trains(tmp_path: Path) -> None:
    pytest.importorskip("deepspeed", reason="needs the extra deepspeed")
    settings = SftSettings(trl={"deepspeed": {"zero_optimization": {"stage": 3}}})
    with pytest.raises(ConfigError, match="stage3_gather_16bit_weights_on_model_save"):
        sft_config(settings, tmp_path, 0, num_prompts=8)
