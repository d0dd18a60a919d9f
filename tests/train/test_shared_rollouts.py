"""Training reads a prompt once for all of its rollouts, and draws what TRL draws."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from stand_ins import STAND_INS, SYSTEM, mixed_pool  # noqa: E402
from trl import GRPOTrainer  # noqa: E402

from vasari.sample import make_sampler  # noqa: E402
from vasari.train.run_grpo import GrpoTraining  # noqa: E402
from vasari.train.settings import GrpoSettings  # noqa: E402
from vasari.train.trl_forward import ImagesByRollout  # noqa: E402
from vasari.train.trl_images import with_images  # noqa: E402

GRPO = {
    "steps": 2,
    "prompts_per_batch": 4,
    "rollouts_per_prompt": 4,
    "updates_per_batch": 1,
    "micro_batch": 4,
    "validate_every": 2,
    "save_every": 2,
    "trl": {"temperature": 1.0, "max_completion_length": 16},
}


def trainer_of(folder, out, pool):
    return GrpoTraining(
        model_path=str(folder),
        prompts=pool,
        sampler=make_sampler("uniform", num_prompts=len(pool), seed=0),
        settings=GrpoSettings.model_validate(GRPO),
        system=SYSTEM,
        out=out,
        seed=0,
    ).make_trainer()


def completions(trainer, generate, rows):
    """Tokens of a rollout for each row, and the rows of each forward pass."""
    sizes = []
    hook = trainer.model.register_forward_pre_hook(
        lambda _, __, given: sizes.append(len(given["input_ids"])), with_kwargs=True
    )
    trainer.model.eval()
    ids, images, fields = trainer._tokenize_prompts(with_images(rows))
    torch.manual_seed(3)
    tokens, _ = generate(trainer, ids, images, fields, 4)
    hook.remove()
    return tokens, sizes


@pytest.mark.parametrize("name", STAND_INS)
@pytest.mark.parametrize("penalty", [1.0, 1.2], ids=["plain", "penalty"])
def test_rollouts_that_train_are_those_of_trl(name, penalty, family_folder, tmp_path):
    pool = mixed_pool(1)
    if not STAND_INS[name].has_images:
        pool = [prompt for prompt in mixed_pool(4) if not prompt.images]
    trainer = trainer_of(family_folder(name), tmp_path, pool)
    vocabulary = trainer.model.config.get_text_config().vocab_size
    ends = [*trainer.eos_token_ids, *range(0, vocabulary, 8)]
    trainer.eos_token_ids = trainer.generation_config.eos_token_id = ends
    trainer.generation_config.repetition_penalty = penalty
    read = [trainer.train_dataset[place] for place in range(4)]
    rows = [row for row in read for _ in range(4)]
    expected, each = completions(trainer, GRPOTrainer._generate_single_turn, rows)
    found, once = completions(trainer, ImagesByRollout._generate_single_turn, rows)
    assert found == expected
    assert each[0] == 16
    assert once[0] == 4
    # Rows that have ended leave.
    assert once[1:] == sorted(once[1:], reverse=True)


def test_settings_that_rows_cannot_share_are_left_to_trl(family_folder, tmp_path):
    trainer = trainer_of(family_folder("qwen2_5_vl"), tmp_path, mixed_pool(1))
    trainer.generation_config.no_repeat_ngram_size = 3
    rows = [trainer.train_dataset[0]] * 4
    found, sizes = completions(trainer, ImagesByRollout._generate_single_turn, rows)
    assert len(found) == 4
    assert sizes[0] == 4


@pytest.mark.heavy
@pytest.mark.slow
def test_two_processes_draw_what_trl_draws_in_each(family_folder, tmp_path):
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    script = Path(__file__).with_name("shared_process.py")
    done = subprocess.run(
        [*start, str(script), str(family_folder("qwen2_5_vl")), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    first, second = (
        json.loads((tmp_path / f"rollouts-{process}.json").read_text()) for process in (0, 1)
    )
    assert first["ours"] == first["stock"]
    assert second["ours"] == second["stock"]
    assert first["ours"] != second["ours"]
    # One was done long before the other.
    assert max(map(len, first["ours"])) < max(map(len, second["ours"]))
