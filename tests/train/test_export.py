"""Exported weights are those of the run, in the type asked for; adapters are merged."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from peft import PeftModel
from safetensors import safe_open
from transformers import AutoModelForImageTextToText

from vasari.model.processor import load_processor
from vasari.model.transformers_policy import load_model
from vasari.train.adapters import add_adapter, write_adapter, write_base
from vasari.train.export import export_weights
from vasari.train.settings import LoraSettings

IDS = torch.tensor([[5, 6, 7, 8, 9]])


def logits(model):
    with torch.no_grad():
        return model.float().eval()(input_ids=IDS).logits


def opened(folder):
    return AutoModelForImageTextToText.from_pretrained(folder, dtype="auto")


def types(folder):
    with safe_open(folder / "model.safetensors", framework="pt") as file:
        return {file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118


@pytest.fixture
def adapter_folder(tiny_folder, tmp_path):
    """A folder as training leaves it: an adapter that does something, its base model beside it."""
    folder = tmp_path / "trained"
    shutil.copytree(tiny_folder, folder)
    model = add_adapter(
        load_model(str(tiny_folder), dtype="float32"), LoraSettings(rank=4), frozen=(), seed=0
    )
    torch.manual_seed(1)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.1)
    write_base(model, folder, None)
    write_adapter(model, folder, None)
    return folder, logits(model)


def test_whole_weights_in_float32_give_the_same_logits(tiny_folder, tmp_path):
    facts = export_weights(str(tiny_folder), tmp_path / "out", dtype="float32")
    assert types(tmp_path / "out") == {"F32"}
    assert torch.equal(logits(opened(tmp_path / "out")), logits(load_model(str(tiny_folder))))
    assert (facts.is_merged, facts.sees_images) == (False, True)


def test_bfloat16_rounds_each_weight(tiny_folder, tmp_path):
    export_weights(str(tiny_folder), tmp_path / "out", dtype="bfloat16")
    assert types(tmp_path / "out") == {"BF16"}
    source = load_model(str(tiny_folder), dtype="float32").state_dict()
    for name, weight in opened(tmp_path / "out").state_dict().items():
        assert torch.equal(weight, source[name].to(torch.bfloat16))
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    named = [
        part["dtype"] for part in config.values() if isinstance(part, dict) and "dtype" in part
    ]
    assert {config["dtype"], *named} == {"bfloat16"}


def test_an_adapter_is_merged_wherever_the_run_was_moved(adapter_folder, tmp_path):
    folder, expected = adapter_folder
    moved = folder.rename(tmp_path / "moved")
    facts = export_weights(str(moved), tmp_path / "out", dtype="float32")
    assert facts.is_merged
    assert not (tmp_path / "out" / "adapter_config.json").exists()
    torch.testing.assert_close(logits(opened(tmp_path / "out")), expected, rtol=0, atol=1e-5)


def test_an_adapter_alone_is_merged_into_the_model_that_it_names(
    adapter_folder, tiny_folder, tmp_path
):
    folder, expected = adapter_folder
    base = load_model(str(tiny_folder), dtype="float32")
    alone = tmp_path / "alone"
    adapter = PeftModel.from_pretrained(base, folder)
    adapter.peft_config["default"].base_model_name_or_path = str(tiny_folder)
    adapter.save_pretrained(alone)
    assert not (alone / "config.json").exists()
    export_weights(str(alone), tmp_path / "out", dtype="float32")
    torch.testing.assert_close(logits(opened(tmp_path / "out")), expected, rtol=0, atol=1e-5)


def test_processor_and_template_are_the_sources_byte_for_byte_and_no_path_is_in_them(
    tiny_folder, tmp_path
):
    out = tmp_path / "out"
    export_weights(str(tiny_folder), out, dtype="float32")
    for name in ("tokenizer.json", "tokenizer_config.json", "preprocessor_config.json"):
        assert (out / name).read_bytes() == (tiny_folder / name).read_bytes()
    assert load_processor(str(out)).chat_template == load_processor(str(tiny_folder)).chat_template
    for file in out.glob("*.json"):
        assert str(tiny_folder) not in file.read_text()
        assert str(tmp_path) not in file.read_text()
