"""Adapters: seeded, kept out of frozen modules, continued, merged, and saved beside their base model.

PEFT itself, and transformers' `from_pretrained`, say what the weights must calculate.
"""

from __future__ import annotations

import json
import shutil

import pytest

pytest.importorskip("torch")

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForImageTextToText

from vasari.core.errors import ConfigError, StateError
from vasari.model.processor import load_processor
from vasari.model.transformers_policy import load_model
from vasari.train.adapters import load_merged, merged
from vasari.train.checkpoints import BASE, check_finite, restore_weights, save_model
from vasari.train.settings import SftSettings
from vasari.train.weights import load_weights, prepare_weights

LORA = {"rank": 4, "alpha": 8}


@pytest.fixture
def published(family_folder):
    return family_folder("qwen2_5_vl")


def settings(**changes):
    return SftSettings(**({"lora": LORA} | changes))


def taught(path, **changes):
    """The model of a folder with an adapter that has learned something."""
    model = load_weights(str(path), settings(**changes), seed=0)
    generator = torch.Generator().manual_seed(1)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            weight.data = torch.randn(weight.shape, generator=generator) / 10
    return model


@pytest.fixture
def cold_start(published, tmp_path):
    """A saved model with an adapter, and what it calculates."""
    model = taught(published)
    save_model(model, load_processor(str(published)), tmp_path / "run" / "model")
    return tmp_path / "run" / "model", logits(model)


def logits(model):
    ids = torch.arange(20, 40)[None]
    with torch.no_grad():
        found = model.eval()(input_ids=ids, attention_mask=torch.ones_like(ids))
    return found.logits.float()


def adapter_weights(model):
    return {name: w.clone() for name, w in model.named_parameters() if "lora_" in name}


def test_the_same_seed_makes_the_same_adapter_and_draws_no_random_number(published):
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    one, same, other = (
        adapter_weights(load_weights(str(published), settings(), seed=seed)) for seed in (3, 3, 4)
    )
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("name", ["gemma3", "idefics3", "internvl3", "qwen2_5_vl"])
def test_a_frozen_vision_encoder_has_no_adapters_whatever_its_modules_are_called(
    name, family_folder
):
    """Encoders have a `q_proj` too, in many families."""
    choice = settings(freeze_vision=True, lora=LORA | {"target_modules": ["q_proj", "v_proj"]})
    adapters = list(adapter_weights(load_weights(str(family_folder(name)), choice, seed=0)))
    seeing = ("visual", "vision", "connector", "projector")
    assert adapters
    assert not [name for name in adapters if any(part in name for part in seeing)]


def test_a_vision_encoder_that_is_not_frozen_gets_adapters(published):
    assert [name for name in adapter_weights(taught(published)) if "visual" in name]


@pytest.mark.parametrize("lora", [None, LORA], ids=["weights", "adapters"])
def test_a_model_that_sees_nothing_has_nothing_to_freeze(lora, family_folder):
    with pytest.raises(ConfigError, match=r"freeze_vision: .* has no vision encoder; leave it out"):
        load_weights(
            str(family_folder("qwen2_text")), SftSettings(freeze_vision=True, lora=lora), seed=0
        )


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (["lm_head", "q_proj"], "take in the embeddings of the vocabulary"),
        (["embed_tokens"], "take in the embeddings of the vocabulary"),
        (["nonsense"], "Target modules .* not found"),
    ],
    ids=["head", "embeddings", "none"],
)
def test_modules_that_cannot_have_adapters_are_refused(published, target, reason):
    with pytest.raises(ConfigError, match=f"lora.target_modules .*{reason}"):
        load_weights(str(published), settings(lora=LORA | {"target_modules": target}), seed=0)


def test_an_adapter_is_peft_s_own(published):
    ours = load_weights(str(published), settings(), seed=0)
    config = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM")
    plain = get_peft_model(load_model(str(published), dtype="float32"), config)
    assert list(adapter_weights(ours)) == list(adapter_weights(plain))
    assert torch.equal(logits(ours), logits(plain))


def test_what_is_not_trained_stays_as_published_and_the_adapter_is_float32(published):
    model = load_weights(str(published), settings(trl={"bf16": True}), seed=0)
    types = {"lora_" in name: weight.dtype for name, weight in model.named_parameters()}
    assert types == {True: torch.float32, False: torch.bfloat16}


def test_a_saved_adapter_opens_with_its_base_model_after_a_move(
    cold_start, published, tmp_path, monkeypatch
):
    folder, expected = cold_start
    moved = tmp_path / "elsewhere" / "model"
    shutil.copytree(folder, moved)
    shutil.rmtree(folder.parent)
    monkeypatch.chdir(tmp_path)
    model = AutoModelForImageTextToText.from_pretrained("elsewhere/model", dtype="float32")
    torch.testing.assert_close(logits(model), expected, atol=1e-6, rtol=0)
    assert str(published) not in (moved / "adapter_config.json").read_text()


def test_a_base_model_is_kept_once_for_all_folders_of_a_run(cold_start, published):
    folder, _ = cold_start
    save_model(taught(published), load_processor(str(published)), folder.with_name("best"))
    places = [folder, folder.with_name("best"), folder.with_name(BASE)]
    assert len({(place / "model.safetensors").stat().st_ino for place in places}) == 1


def test_training_goes_on_with_the_adapter_of_a_cold_start(cold_start):
    folder, expected = cold_start
    model = load_weights(str(folder), settings(lora=LORA | {"dropout": 0.1}), seed=5)
    torch.testing.assert_close(logits(model), expected, atol=1e-6, rtol=0)
    assert any(bool(w.any()) for name, w in adapter_weights(model).items() if "lora_B" in name)
    assert all(w.requires_grad == ("lora_" in name) for name, w in model.named_parameters())


@pytest.mark.parametrize(
    "changes",
    [
        {"lora": {"rank": 8, "alpha": 8}},
        {"lora": {"rank": 4, "alpha": 4}},
        {"lora": LORA | {"target_modules": ["q_proj"]}},
        {"freeze_vision": True},
    ],
    ids=["rank", "scale", "modules", "frozen"],
)
def test_another_adapter_begins_at_the_merged_cold_start(cold_start, changes):
    folder, expected = cold_start
    model = load_weights(str(folder), settings(**changes), seed=0)
    torch.testing.assert_close(logits(model), expected, atol=1e-5, rtol=0)
    assert not any(w.any() for name, w in adapter_weights(model).items() if "lora_B" in name)


def test_without_lora_all_weights_are_trained_from_the_merged_cold_start(cold_start):
    folder, expected = cold_start
    model = load_weights(str(folder), SftSettings(), seed=0)
    torch.testing.assert_close(logits(model), expected, atol=1e-5, rtol=0)
    assert all(weight.requires_grad for weight in model.parameters())
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    # By this name TRL loads the reference model of the KL term.
    reference = AutoModelForImageTextToText.from_pretrained(model.name_or_path, dtype="float32")
    torch.testing.assert_close(logits(reference), expected, atol=1e-5, rtol=0)


def test_an_adapter_is_merged_as_peft_merges_it_in_float32(cold_start):
    folder, expected = cold_start
    base = load_model(str(folder.with_name(BASE)), dtype="float32")
    plain = PeftModel.from_pretrained(base, str(folder)).merge_and_unload().state_dict()
    ours = load_merged(str(folder)).state_dict()
    assert ours.keys() == plain.keys()
    assert all(torch.equal(ours[name], plain[name]) for name in ours)
    torch.testing.assert_close(logits(load_merged(str(folder))), expected, atol=1e-5, rtol=0)


def test_a_model_without_an_adapter_is_merged_as_it_is(published):
    model = load_model(str(published))
    assert merged(model) is model


def test_an_adapter_is_restored_and_one_of_another_shape_refused(cold_start, published):
    folder, expected = cold_start
    model = load_weights(str(published), settings(), seed=9)
    assert restore_weights(model, folder)
    torch.testing.assert_close(logits(model), expected, atol=1e-6, rtol=0)
    other = load_weights(str(published), settings(freeze_vision=True), seed=9)
    with pytest.raises(StateError, match="its adapter has other weights than the run's"):
        restore_weights(other, folder)


def test_an_adapter_without_a_base_model_is_refused(cold_start):
    folder, _ = cold_start
    for name in ("config.json", "model.safetensors"):
        (folder / name).unlink()
    with pytest.raises(StateError, match="has an adapter, and no base model beside it"):
        load_merged(str(folder))


def test_weights_that_are_no_numbers_are_named(published, tmp_path):
    model = load_model(str(published), dtype="float32")
    model.lm_head.weight.data[0, 0] = torch.nan
    with pytest.raises(StateError, match=r"HERE: the weight .* is infinite or no number"):
        check_finite(model.named_parameters(), where="HERE")
    with pytest.raises(StateError, match="is infinite or no number"):
        save_model(model, load_processor(str(published)), tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_model_that_has_an_adapter_is_prepared(cold_start):
    folder, _ = cold_start
    model = load_weights(str(folder), settings(), seed=0)
    assert prepare_weights(model, settings()) is model
    assert json.loads((folder / "adapter_config.json").read_text())["r"] == 4
