"""TRL's binding draws what the bare contract of a sampler draws."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import scenario
from datasets import Dataset

from vasari.records import Verdict
from vasari.verify import verify


@pytest.fixture(scope="module")
def text_folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Folder with random weights of the scenario's model."""
    import torch
    from transformers import LlamaForCausalLM

    torch.manual_seed(3)
    folder = tmp_path_factory.mktemp("text")
    LlamaForCausalLM(scenario.model_config()).save_pretrained(str(folder))
    return str(folder)


def config(out: Path) -> Any:
    """As many prompts and rollouts a batch as the scenario has."""
    from trl import GRPOConfig

    return GRPOConfig(
        output_dir=str(out),
        per_device_train_batch_size=scenario.PROMPTS_A_BATCH * scenario.ROLLOUTS_A_PROMPT,
        num_generations=scenario.ROLLOUTS_A_PROMPT,
        max_completion_length=16,
        max_steps=scenario.NUM_BATCHES,
        report_to=[],
        use_cpu=True,
        save_strategy="no",
        disable_tqdm=True,
        bf16=False,
        gradient_checkpointing=False,
        seed=scenario.SEED,
    )


def rows() -> list[dict[str, Any]]:
    """The pool as TRL's rows."""
    return [
        {
            "prompt": [{"role": "user", "content": prompt.question}],
            "id": prompt.id,
            "category": prompt.category,
        }
        for prompt in scenario.prompts()
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", scenario.SAMPLERS)
def test_trl_s_binding_draws_what_the_bare_contract_draws(text_folder, tmp_path, name):
    from vasari.trl import LoopOptions, VarianceAwareGRPOTrainer

    pool, script, drawn = scenario.prompts(), scenario.Script(), []
    place_of = {prompt.question: place for place, prompt in enumerate(pool)}

    def roll_out(prompts: list[Any], trainer: Any) -> dict[str, Any]:
        """The scripted rollouts of these prompts, each of which stands as often as its group is
        large."""
        places = [place_of[turns[-1]["content"]] for turns in prompts]
        texts = [
            text
            for place in dict.fromkeys(places)
            for text in script.group(place, places.count(place))
        ]
        ids = trainer.processing_class.apply_chat_template(
            prompts, add_generation_prompt=True, tokenize=True, return_dict=True
        )["input_ids"]
        answers = [scenario.token_ids(text) for text in texts]
        return {
            "prompt_ids": ids,
            "completion_ids": answers,
            "logprobs": [[0.0] * len(answer) for answer in answers],
        }

    def verdict_on(row: Any, text: str) -> Verdict:
        return verify(text, pool[place_of[row["prompt"][-1]["content"]]])

    def correct(verdict: list[Verdict], **_: Any) -> list[float]:
        return [given.value for given in verdict]

    def record(groups: Any, batch: int) -> None:
        if groups[0].purpose != "refresh":
            drawn.append([group.rollouts[0].index for group in groups])

    trainer = VarianceAwareGRPOTrainer(
        text_folder,
        correct,
        config(tmp_path),
        Dataset.from_list(rows()),
        processing_class=scenario.tokenizer(),
        rollout_func=roll_out,
        sampler={"name": name, **scenario.SAMPLERS[name]},
        verify=verdict_on,
        options=LoopOptions(record=record),
    )
    trainer.train()
    assert drawn == scenario.recorded_draws(name)
