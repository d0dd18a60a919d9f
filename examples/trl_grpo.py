"""GRPO of a vision-language model in TRL, with prompts chosen by Vasari.

One GPU, adapters, Geometry3K from the hub:

    python examples/trl_grpo.py \
        --model_name_or_path Qwen/Qwen2.5-VL-3B-Instruct --use_peft --dtype bfloat16 \
        --dataset_name hiyouga/geometry3k --output_dir runs/geometry \
        --per_device_train_batch_size 8 --gradient_accumulation_steps 8 --num_generations 8 \
        --max_completion_length 1024 --learning_rate 1e-5 --bf16 --gradient_checkpointing

Several GPUs: `accelerate launch examples/trl_grpo.py ...`. The same command resumes a run from its
last checkpoint. `--sampler uniform` trains as TRL alone would, to compare with. The data set is a
name on the hub or a folder of Parquet or JSON files with the columns `problem`, `answer` and, where
there are pictures, `images`. Needs `pip install 'vasari[train,evaluate]'`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import Dataset, Image, Sequence, load_dataset
from transformers.trainer_utils import get_last_checkpoint
from trl import GRPOConfig, ModelConfig, ScriptArguments, TrlParser, get_peft_config

from vasari.model.processor import load_processor
from vasari.records import Outcome
from vasari.trl import GroupLog, LoopOptions, VarianceAwareGRPOTrainer
from vasari.verify import verify_answer

SYSTEM = (
    "Reason about the problem first, between <think> and </think>. Then give the final answer in"
    " \\boxed{}, between <answer> and </answer>."
)


@dataclass
class ChoiceArguments:
    """Command-line options for which prompts are rolled out and which groups train."""

    sampler: str = "weighted_passes"
    """`weighted_passes`, `vas`, `uniform`, ..., or `package.module:attribute`."""
    gate: str = "all"
    """`all`, or `mixed`: other prompts in the place of groups without variance (DAPO)."""


def conversation(row: dict[str, Any], index: int) -> dict[str, Any]:
    """Return the columns that TRL reads, and an id by which a saved sampler knows the prompt."""
    question = row["problem"].replace("<image>", "").strip()
    prompt = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": question}]
    return {"prompt": prompt, "answer": str(row["answer"]), "prompt_id": f"{index:06d}"}


def load_prompts(name: str, split: str) -> Dataset:
    """Load prompts from the hub or a folder, in the format TRL takes."""
    rows = load_dataset(name, split=split)
    rows = rows.map(conversation, with_indices=True)
    if "images" in rows.column_names:
        rows = rows.cast_column("images", Sequence(Image()))
    wanted = {"prompt", "images", "answer", "prompt_id", "category", "difficulty"}
    return rows.remove_columns([column for column in rows.column_names if column not in wanted])


def accuracy(completions: list[Any], answer: list[str], **_: Any) -> list[float | None]:
    """Return 1 for each correct answer, 0 for a wrong one, None if the reference is unreadable."""
    verdicts = [
        verify_answer(said[0]["content"], key)
        for said, key in zip(completions, answer, strict=True)
    ]
    return [None if v.outcome is Outcome.UNVERIFIABLE else v.value for v in verdicts]


def main() -> None:
    """Train with the command line's settings, from the last checkpoint if there is one."""
    parser = TrlParser((ScriptArguments, GRPOConfig, ModelConfig, ChoiceArguments))
    script, training, model, choice = parser.parse_args_and_config()
    training.model_init_kwargs = {
        "revision": model.model_revision,
        "attn_implementation": model.attn_implementation,
        "dtype": model.dtype,
    }
    prompts = load_prompts(script.dataset_name, script.dataset_train_split)
    groups = GroupLog(Path(training.output_dir) / "groups", prompts["prompt_id"])
    trainer = VarianceAwareGRPOTrainer(
        model.model_name_or_path,
        reward_funcs=accuracy,
        args=training,
        train_dataset=prompts,
        processing_class=load_processor(model.model_name_or_path),
        peft_config=get_peft_config(model),
        sampler=choice.sampler,
        gate=choice.gate,
        options=LoopOptions(record=groups),
    )
    out = Path(training.output_dir)
    trainer.train(resume_from_checkpoint=get_last_checkpoint(out) if out.is_dir() else None)
    trainer.save_model(training.output_dir)


if __name__ == "__main__":
    main()
