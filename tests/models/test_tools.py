"""Beside tools, TRL encodes prompts itself: each rollout is still learned from as it was asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from checks.grpo import recorded_calls
from checks.lab import Lab, assert_close
from checks.plain import with_answer
from datasets import Dataset
from trl import GRPOConfig, apply_chat_template, prepare_multimodal_messages

from vasari.data.images import open_image
from vasari.model.processor import load_processor
from vasari.model.transformers_policy import load_model
from vasari.train.trl_images import types_of_columns
from vasari.train.trl_trainer import VarianceAwareGRPOTrainer


def add(a: int, b: int) -> int:
    """Add two numbers.

    Args:
        a: A number.
        b: Another.
    """
    return a + b


def every_second(completions: list[Any], **_: Any) -> list[float]:
    return [float(place % 2) for place in range(len(completions))]


def rows_of(lab: Lab) -> list[dict[str, Any]]:
    """The lab's prompts as TRL wants them."""
    return [
        {
            "prompt": [{"role": "user", "content": prompt.question.replace("<image>", "this")}],
            "images": [open_image(ref, where=prompt.id) for ref in prompt.images],
        }
        for prompt in lab.pool
    ]


def alone(processor: Any, row: dict[str, Any], **options: Any) -> dict[str, torch.Tensor]:
    """Tensors of one prompt, encoded by itself."""
    messages = prepare_multimodal_messages(row["prompt"], images=row["images"])
    how = {"add_generation_prompt": True, "tokenize": True, "return_dict": True}
    return dict(processor.apply_chat_template([messages], return_tensors="pt", **how, **options))


@pytest.mark.parametrize("family", ["gemma4", "qwen3_vl"])
def test_rollouts_beside_tools_are_those_of_their_prompts_alone(
    family: str, tmp_path: Path
) -> None:
    lab = Lab(family, tmp_path)
    processor, rows = load_processor(str(lab.folder)), rows_of(lab)
    args = GRPOConfig(
        output_dir=str(tmp_path / "out"),
        per_device_train_batch_size=8,
        steps_per_generation=2,
        num_generations=2,
        max_steps=2,
        max_completion_length=6,
        learning_rate=1e-3,
        temperature=1.0,
        bf16=False,
        report_to=[],
    )
    trainer = VarianceAwareGRPOTrainer(
        load_model(str(lab.folder), dtype="float32"),
        every_second,
        args,
        Dataset.from_list(rows),
        processing_class=processor,
        tools=[add],
        sampler="uniform",
    )
    with recorded_calls() as calls:
        trainer.train()
    told = [alone(processor, row, tools=[add], chat_template=trainer.chat_template) for row in rows]
    by_tokens = {tuple(own["input_ids"][0].tolist()): own for own in told}
    assert len(calls) >= 2
    for call in calls:
        lab.plain.put(call.weights)
        for row, (ids, shown) in enumerate(zip(call.input_ids, call.mask.bool(), strict=True)):
            columns = len(ids) - call.num_answer
            kept = shown[columns:]
            answer = ids[columns:][kept]
            own = by_tokens[tuple(ids[:columns][shown[:columns]].tolist())]
            lab.plain.model.model.rope_deltas = None
            with torch.no_grad():
                logits = lab.plain.model(**with_answer(own, answer.tolist())).logits[0]
            expected = logits[-len(answer) - 1 : -1].log_softmax(-1).gather(1, answer[:, None])
            assert_close(call.logps[row][kept], expected[:, 0], f"row {row}", by=lab.close)


def test_image_tokens_stand_where_the_model_reads_them_though_trl_writes_a_second_bos(
    tmp_path: Path,
) -> None:
    lab = Lab("gemma3", tmp_path)
    processor, rows = load_processor(str(lab.folder)), rows_of(lab)[1:4]
    processor.tokenizer.padding_side = "left"
    prompts = [prepare_multimodal_messages(row["prompt"], images=row["images"]) for row in rows]
    again = processor(
        images=[row["images"] for row in rows],
        text=[apply_chat_template({"prompt": one}, processor)["prompt"] for one in prompts],
        padding=True,
        return_tensors="pt",
    )
    read = [alone(processor, row)["input_ids"][0] for row in rows]
    width = max(len(ids) for ids in read)
    types = types_of_columns(again["token_type_ids"], width)
    assert again["token_type_ids"].size(1) == width + 1
    for own, ids in zip(types, read, strict=True):
        expected = (ids == lab.plain.config["image_token_index"]).long()
        assert own[width - len(ids) :].tolist() == expected.tolist()
