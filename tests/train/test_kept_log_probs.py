"""Log-probabilities kept from drawing are those that TRL computes in a second pass."""

import pytest
import torch
from stand_ins import STAND_INS
from transformers import AutoConfig, AutoModelForCausalLM

from vasari.model.transformers_policy import load_model
from vasari.train.trl_log_probs import Columns, has_dropout, ignores_padding, padded


def passes(trainer, first_batch):
    """A trainer's first batch, and how many forward passes without gradient read whole rollouts."""
    counted = []
    hook = trainer.model.register_forward_pre_hook(
        lambda _, __, given: counted.append(len(given["input_ids"])) if "labels" in given else None,
        with_kwargs=True,
    )
    batch = first_batch(trainer)
    hook.remove()
    return batch, counted


@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("top_p", [1.0, 0.8])
def test_a_batch_of_several_updates_costs_no_second_pass(
    temperature, top_p, make_trainer, first_batch, digit_prompts, tmp_path
):
    trainer = make_trainer(
        digit_prompts[:3],
        tmp_path,
        micro_batch=3,
        updates_per_batch=2,
        save_every=2,
        trl={"temperature": temperature, "top_p": top_p},
    )
    batch, counted = passes(trainer, first_batch)
    assert counted == []
    expected = trainer._engine._log_probabilities(batch)
    mask = batch["completion_mask"].bool()
    found = batch["old_per_token_logps"]
    torch.testing.assert_close(found[mask], expected[mask], atol=2e-5, rtol=0)
    assert not found[~mask].any()
    # Without the temperature they would be others.
    if temperature != 1.0:
        assert float((found[mask] - expected[mask] * temperature).abs().max()) > 0.01


def test_coherence_costs_no_second_pass(make_trainer, first_batch, digit_prompts, tmp_path):
    trainer = make_trainer(digit_prompts[:3], tmp_path, sampler="progress")
    told = []
    observe = trainer.prompt_sampler.observe
    trainer.prompt_sampler.observe = lambda groups: (told.extend(groups), observe(groups))
    batch, counted = passes(trainer, first_batch)
    assert counted == []
    # TRL's off-policy mask would take the drawing's for another engine's.
    assert not {"old_per_token_logps", "sampling_per_token_logps"} & batch.keys()
    expected = trainer._engine._log_probabilities(batch).masked_fill(
        batch["completion_mask"] == 0, 0.0
    )
    found = torch.tensor([own for group in told for own in group.confidence.tolist()])
    torch.testing.assert_close(
        found, expected.min(1).values.double(), atol=2e-5, rtol=0, check_dtype=False
    )


def test_a_sampler_that_does_not_ask_has_none_kept(
    make_trainer, first_batch, digit_prompts, tmp_path
):
    batch = first_batch(make_trainer(digit_prompts[:3], tmp_path))
    assert "sampling_per_token_logps" not in batch


def test_in_bfloat16_trl_computes_its_own(make_trainer, first_batch, digit_prompts, tmp_path):
    trainer = make_trainer(
        digit_prompts[:3],
        tmp_path,
        micro_batch=3,
        updates_per_batch=2,
        save_every=2,
        trl={"bf16": True},
    )
    batch, counted = passes(trainer, first_batch)
    assert sum(counted) == 12
    assert "old_per_token_logps" in batch


def test_the_reference_is_asked_for_its_own(make_trainer, first_batch, digit_prompts, tmp_path):
    trainer = make_trainer(
        digit_prompts[:3],
        tmp_path,
        micro_batch=3,
        updates_per_batch=2,
        save_every=2,
        lora={"rank": 2, "alpha": 8},
        trl={"beta": 0.1},
    )
    torch.manual_seed(0)
    with torch.no_grad():
        for name, weight in trainer.model.named_parameters():
            if "lora_B" in name:
                weight.add_(0.1 * torch.randn_like(weight))
    batch, counted = passes(trainer, first_batch)
    assert sum(counted) == 12  # those of the reference
    mask = batch["completion_mask"].bool()
    old, reference = batch["old_per_token_logps"][mask], batch["ref_per_token_logps"][mask]
    torch.testing.assert_close(
        old, trainer._engine._log_probabilities(batch)[mask], atol=2e-5, rtol=0
    )
    assert float((old - reference).abs().max()) > 0.01


def test_columns_are_those_that_hold_a_token():
    mask = torch.tensor([[0, 0, 1, 1, 1, 0, 0], [0, 1, 1, 1, 1, 1, 0]])
    columns = Columns.of(mask, 3, crop=True)
    rows = torch.arange(14).reshape(2, 7)
    assert columns.crop(rows).tolist() == [[1, 2, 3, 4, 5], [8, 9, 10, 11, 12]]
    assert columns.num_kept == 2
    assert columns.grow(torch.ones(2, 2)).tolist() == [[1, 1, 0], [1, 1, 0]]


def test_a_part_without_completions_keeps_a_column_of_each():
    mask = torch.tensor([[0, 1, 1, 0, 0]])
    columns = Columns.of(mask, 2, crop=True)
    assert columns.num_kept == 1
    assert columns.crop(mask).tolist() == [[1, 1, 0]]


def test_kept_numbers_are_padded_to_the_batch():
    mask = torch.tensor([[1, 1, 0], [0, 0, 0]])
    assert padded([[-1.0, -2.0], [-3.0]], mask).tolist() == [[-1.0, -2.0, 0.0], [0.0, 0.0, 0.0]]


SPREAD = {"micro_batch": 3, "updates_per_batch": 2, "save_every": 2}


def test_with_dropout_trl_computes_its_own_and_rollouts_are_drawn_without(
    make_trainer, first_batch, digit_prompts, tmp_path
):
    lora = {"rank": 2, "alpha": 8, "dropout": 0.3}
    trainer = make_trainer(digit_prompts[:3], tmp_path, lora=lora, **SPREAD)
    assert has_dropout(trainer.model)
    drawing = []
    trainer.model.get_base_model().register_forward_pre_hook(
        lambda model, _, given: None if "labels" in given else drawing.append(model.training),
        with_kwargs=True,
    )
    batch, counted = passes(trainer, first_batch)
    assert sum(counted) == 12
    assert drawing
    assert not any(drawing)
    assert trainer.model.training
    assert "old_per_token_logps" in batch


def test_mixed_precision_from_the_environment_is_seen(
    make_trainer, first_batch, digit_prompts, tmp_path, monkeypatch
):
    trainer = make_trainer(digit_prompts[:3], tmp_path, **SPREAD)
    monkeypatch.setattr(type(trainer.accelerator), "mixed_precision", "bf16")
    _, counted = passes(trainer, first_batch)
    assert sum(counted) == 12


def test_they_are_of_the_temperature_that_trains(
    make_trainer, first_batch, digit_prompts, tmp_path
):
    trainer = make_trainer(digit_prompts[:3], tmp_path, trl={"temperature": 0.7}, **SPREAD)
    trainer.generation_config.temperature = 0.3
    batch, counted = passes(trainer, first_batch)
    assert counted == []
    mask = batch["completion_mask"].bool()
    torch.testing.assert_close(
        batch["old_per_token_logps"][mask],
        trainer._engine._log_probabilities(batch)[mask],
        atol=2e-5,
        rtol=0,
    )


TEXT_MODELS = {
    "gpt2": False,
    "gpt_neo": False,
    "xglm": False,
    "qwen2": True,
    "llama": True,
    "mistral": True,
    "gemma3_text": True,
    "phi3": True,
}


@pytest.mark.parametrize("kind", TEXT_MODELS)
def test_padding_is_spared_where_positions_are_relative(kind):
    """Says what a forward pass with three columns of padding more would show."""
    config = AutoConfig.for_model(
        kind,
        vocab_size=64,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        intermediate_size=48,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        **({"attention_types": [[["global"], 2]]} if kind == "gpt_neo" else {}),
    )
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).eval()
    assert ignores_padding(model) is TEXT_MODELS[kind]
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.mul_(5)
        ids = torch.randint(3, 64, (1, 9))
        alone = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
        longer = torch.cat([torch.zeros(1, 3, dtype=torch.long), ids], 1)
        mask = torch.cat([torch.zeros(1, 3), torch.ones(1, 9)], 1).long()
        behind = model(input_ids=longer, attention_mask=mask).logits[:, 3:]
    is_equal = torch.allclose(alone.log_softmax(-1), behind.log_softmax(-1), atol=1e-3)
    assert is_equal is TEXT_MODELS[kind]


@pytest.mark.parametrize("name", STAND_INS)
def test_families_of_the_table_have_no_dropout_and_ignore_padding(name, family_folder):
    model = load_model(str(family_folder(name)))
    assert not has_dropout(model)
    assert ignores_padding(model)
