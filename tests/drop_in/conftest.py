"""Small text and vision-language models, pools in TRL's forms, and trainings on them: TRL's own
beside ours."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from vasari.records import Prompt

CLOCKED = ("step_time", "runtime", "samples_per_second", "steps_per_second")
"""Endings of what two runs of the same training log differently."""


@pytest.fixture(scope="session")
def text_folder(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> Path:
    """Folder with a random Qwen2 of two thin layers, and the tokenizer of the tiny vision-language
    model."""
    import torch
    from transformers import AutoTokenizer, Qwen2Config, Qwen2ForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(str(tiny_folder))
    # Of a text-only model there is no processor to open.
    tokenizer.init_kwargs.pop("processor_class")
    tokenizer._set_processor_class(None)
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    torch.manual_seed(3)
    folder = tmp_path_factory.mktemp("text")
    Qwen2ForCausalLM(config).save_pretrained(str(folder))
    tokenizer.save_pretrained(str(folder))
    return folder


def text_rows(num: int = 12) -> list[dict[str, Any]]:
    """Conversational prompts without images."""
    return [
        {
            "prompt": [{"role": "user", "content": f"What is {n} + 2?"}],
            "answer": str(n + 2),
            "id": f"t{n}",
        }
        for n in range(num)
    ]


def image_rows(prompts: list[Prompt]) -> list[dict[str, Any]]:
    """Conversational prompts with one image each."""
    from vasari.data.images import open_image

    return [
        {
            "prompt": [{"role": "user", "content": prompt.question}],
            "images": [open_image(ref, where=prompt.id) for ref in prompt.images],
            "answer": prompt.answer,
            "id": prompt.id,
        }
        for prompt in prompts
    ]


def even_sum(completions: Any, completion_ids: Any, **_: Any) -> list[float]:
    """1 where the tokens' sum is even: mixed groups from a random model."""
    return [float(sum(ids) % 2 == 0) for ids in completion_ids]


def first_token(completion_ids: Any, **_: Any) -> list[float | None]:
    """A number that depends on the first token; None now and then."""
    return [None if ids[0] % 7 == 0 else (ids[0] % 5) / 5 for ids in completion_ids]


def config(out: Path, **changes: Any) -> Any:
    """A GRPOConfig of three prompts x four rollouts a batch."""
    from trl import GRPOConfig

    settings: dict[str, Any] = {
        "output_dir": str(out),
        "per_device_train_batch_size": 12,
        "num_generations": 4,
        "max_completion_length": 8,
        "max_steps": 3,
        "learning_rate": 1e-2,
        "logging_steps": 1,
        "report_to": [],
        "use_cpu": True,
        "save_strategy": "no",
        "shuffle_dataset": False,
        "disable_tqdm": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "seed": 11,
    }
    return GRPOConfig(**(settings | changes))


def logged(trainer: Any) -> list[dict[str, float]]:
    """Every number that a training logged, step by step, less those of the clock."""
    return [
        {name: value for name, value in row.items() if not name.endswith(CLOCKED)}
        for row in trainer.state.log_history
    ]


def weights_of(trainer: Any) -> dict[str, Any]:
    """The trained weights."""
    return {
        name: value.detach().clone()
        for name, value in trainer.accelerator.unwrap_model(trainer.model).state_dict().items()
    }


def drawn_order(
    rows: list[dict[str, Any]], *, batch: int, passes: int = 1, seed: int = 11
) -> list[dict[str, Any]]:
    """The rows in the order in which a uniform sampler of this seed draws them."""
    from vasari.sample import make_sampler

    sampler = make_sampler(
        "uniform", num_prompts=len(rows), seed=seed, prompt_ids=[row["id"] for row in rows]
    )
    return [
        rows[int(index)]
        for _ in range(passes * len(rows) // batch)
        for index in sampler.draw(batch).indices
    ]


def same(one: list[dict[str, float]], other: list[dict[str, float]]) -> list[str]:
    """Names of numbers of `one` that `other` lacks or has differently."""
    assert len(one) == len(other)
    return [
        f"{name} at {row.get('step')}: {row[name]} and {twin.get(name)}"
        for row, twin in zip(one, other, strict=True)
        for name in row
        if not _equal(row[name], twin.get(name))
    ]


def _equal(one: Any, other: Any) -> bool:
    if one is None or other is None or isinstance(one, str):
        return one == other
    return one == other or (math.isnan(one) and math.isnan(other))


@pytest.fixture(scope="session")
def small() -> SimpleNamespace:
    """Rows, rewards, settings and comparisons of small trainings."""
    return SimpleNamespace(
        text_rows=text_rows,
        image_rows=image_rows,
        even_sum=even_sum,
        first_token=first_token,
        config=config,
        logged=logged,
        weights_of=weights_of,
        drawn_order=drawn_order,
        same=same,
    )
