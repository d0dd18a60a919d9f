"""Beside stock TRL on the same prompts in the same order, every small.logged number and every
weight is the same."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from datasets import Dataset
from peft import LoraConfig
from trl import GRPOTrainer

from vasari.records import Prompt
from vasari.trl import VarianceAwareGRPOTrainer

BATCH = 3
"""Prompts of a batch."""


async def slow_reward(completion_ids: Any, **_: Any) -> list[float]:
    return [len(set(ids)) / len(ids) for ids in completion_ids]


@pytest.fixture
def pair(small, tmp_path):
    """Trains TRL's trainer and ours on the same prompts; ours has them in another order and
    draws."""

    def trained(folder: Any, rows: list[dict[str, Any]], **options: Any) -> tuple[Any, Any]:
        rewards = options.pop("rewards", [small.even_sum])
        kinds = options.pop("kinds", (GRPOTrainer, VarianceAwareGRPOTrainer))
        arguments = {
            name: options.pop(name)
            for name in ("peft_config", "processing_class", "eval_dataset")
            if name in options
        }
        ordered = Dataset.from_list(small.drawn_order(rows, batch=BATCH))
        # TRL seeds torch when a trainer is made, so each is trained before the next one is.
        stock = kinds[0](
            str(folder),
            list(rewards),
            small.config(tmp_path / "stock", **options),
            ordered,
            **arguments,
        )
        stock.train()
        pool = Dataset.from_list(rows)
        settings = small.config(tmp_path / "ours", **options)
        ours = kinds[1](str(folder), list(rewards), settings, pool, **arguments, sampler="uniform")
        ours.train()
        return stock, ours

    return trained


@pytest.fixture
def assert_equal(small):
    def check(stock: Any, ours: Any) -> None:
        assert small.same(small.logged(stock), small.logged(ours)) == []
        assert any(row.get("grad_norm", 0) > 0 for row in small.logged(stock))
        theirs, own = small.weights_of(stock), small.weights_of(ours)
        assert [name for name in theirs if not torch.equal(theirs[name], own[name])] == []

    return check


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"loss_type": "grpo", "beta": 0.04, "epsilon_high": 0.28},
        {"loss_type": "dr_grpo", "scale_rewards": "none"},
        {"loss_type": "grpo", "importance_sampling_level": "sequence"},
        {
            "loss_type": "bnpo",
            "scale_rewards": "batch",
            "max_completion_length": 24,
            "mask_truncated_completions": True,
        },
        {"multi_objective_aggregation": "normalize_then_sum", "reward_weights": [0.3, 1.5]},
        {"per_device_train_batch_size": 6, "gradient_accumulation_steps": 2},
        {
            "per_device_train_batch_size": 3,
            "gradient_accumulation_steps": 2,
            "steps_per_generation": 4,
            "num_iterations": 2,
        },
    ],
    ids=lambda changes: ",".join(map(str, changes)) or "defaults",
)
def test_losses_metrics_and_weights_are_trl_s(text_folder, small, pair, assert_equal, changes):
    assert_equal(
        *pair(
            text_folder,
            small.text_rows(),
            rewards=[small.even_sum, small.first_token],
            max_steps=4,
            **changes,
        )
    )


def test_a_model_with_dropout_draws_as_trl_draws(text_folder, small, pair, assert_equal):
    lora = LoraConfig(r=2, lora_dropout=0.2, target_modules="all-linear", task_type="CAUSAL_LM")
    assert_equal(*pair(text_folder, small.text_rows(), peft_config=lora, max_steps=2))


def test_a_reward_that_is_awaited_is_awaited(text_folder, small, pair, assert_equal):
    assert_equal(*pair(text_folder, small.text_rows(), rewards=[slow_reward, small.even_sum]))


def test_prompts_may_be_plain_strings(text_folder, small, pair, assert_equal):
    rows = [{"prompt": f"{n} + 2 =", "id": f"s{n}"} for n in range(12)]
    assert_equal(*pair(text_folder, rows))


def test_images_are_those_of_the_drawn_prompts(
    tiny_folder, image_prompts, tiny_processor, small, pair, assert_equal
):
    rows = small.image_rows(image_prompts)
    assert_equal(
        *pair(
            tiny_folder,
            rows,
            processing_class=tiny_processor,
            rewards=[small.even_sum, small.first_token],
        )
    )


def test_several_images_and_the_column_image_are_read_as_trl_reads_them(
    tiny_folder, image_prompts, tiny_processor, small, pair, assert_equal
):
    rows = small.image_rows([_with_two(image_prompts, n) for n in range(12)])
    assert_equal(*pair(tiny_folder, rows, processing_class=tiny_processor))
    single = [{**row, "image": row.pop("images")[0]} for row in small.image_rows(image_prompts)]
    assert_equal(*pair(tiny_folder, single, processing_class=tiny_processor))


def test_adapters_train_as_with_trl(text_folder, small, pair, assert_equal):
    lora = LoraConfig(r=4, target_modules="all-linear", exclude_modules=["lm_head"])
    stock, ours = pair(
        text_folder, small.text_rows(), peft_config=lora, beta=0.02, learning_rate=0.1
    )
    assert_equal(stock, ours)
    assert any("lora" in name for name in small.weights_of(ours))


def test_evaluation_on_another_data_set_is_trl_s(text_folder, small, pair, assert_equal):
    other = Dataset.from_list(small.text_rows(6))
    changes = {
        "eval_strategy": "steps",
        "eval_steps": 2,
        "per_device_eval_batch_size": 8,
        "num_generations_eval": 2,
    }
    stock, ours = pair(text_folder, small.text_rows(), eval_dataset=other, max_steps=4, **changes)
    assert any("eval_reward" in row for row in small.logged(stock))
    assert_equal(stock, ours)


def test_epochs_are_passes_over_the_pool(text_folder, small, pair, assert_equal):
    rows = small.text_rows(6)
    options = {"num_train_epochs": 1, "max_steps": -1}
    stock, ours = pair(text_folder, rows, **options)
    assert (ours.state.global_step, ours.state.epoch) == (2, 1.0)
    assert_equal(stock, ours)


def test_a_subclass_that_wraps_trl_s_methods_still_works(text_folder, small, pair, assert_equal):
    class Doubled:
        """A user's own change of TRL's trainer."""

        def _calculate_rewards(self, *args: Any) -> Any:
            return 2.0 * super()._calculate_rewards(*args)  # type: ignore[misc]

        def _compute_loss(self, model: Any, inputs: Any) -> Any:
            return 0.5 * super()._compute_loss(model, inputs)  # type: ignore[misc]

    kinds = (
        type("Stock", (Doubled, GRPOTrainer), {}),
        type("Ours", (Doubled, VarianceAwareGRPOTrainer), {}),
    )
    assert_equal(*pair(text_folder, small.text_rows(), kinds=kinds))


def test_the_first_arguments_are_those_of_trl_in_its_order():
    import inspect

    theirs = list(inspect.signature(GRPOTrainer.__init__).parameters.values())
    own = list(inspect.signature(VarianceAwareGRPOTrainer.__init__).parameters.values())[
        : len(theirs)
    ]
    assert [(p.name, p.default, p.kind) for p in own] == [
        (p.name, p.default, p.kind) for p in theirs
    ]


def _with_two(prompts: list[Prompt], place: int) -> Prompt:
    return dataclasses.replace(
        prompts[place], images=(prompts[place].images[0], prompts[place - 1].images[0])
    )
