"""A model's path is found from the recipe's folder, and a folder that lies elsewhere is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vasari.core.errors import StateError
from vasari.model.path import fingerprint, resolve_model


def test_a_relative_path_starts_from_the_recipes_folder(tmp_path, monkeypatch):
    (tmp_path / "recipes" / "models" / "mine").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    recipes = tmp_path / "recipes"
    found = str(recipes / "models" / "mine")
    assert resolve_model("models/mine", recipes) == found
    assert resolve_model(found, recipes) == found


def test_a_name_without_a_folder_is_one_of_the_hub(tmp_path):
    assert resolve_model("Qwen/Qwen3.5-4B", tmp_path) == "Qwen/Qwen3.5-4B"


def test_a_folder_beside_the_command_and_not_the_recipe_is_named(tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    (tmp_path / "recipes").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StateError, match=r"relative to the recipe.*from there it is '\.\./mine'"):
        resolve_model("mine", tmp_path / "recipes")


def test_a_path_that_is_no_folder_is_refused(tmp_path):
    with pytest.raises(StateError, match=r"model\.path '\./mine': there is no folder"):
        resolve_model("./mine", tmp_path)


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("config.json", "pytorch_model.bin", "chat_template.jinja", "merges.txt"):
        (folder / name).write_text("{}")
    return folder


@pytest.mark.parametrize(
    "name",
    [
        "pytorch_model.bin",
        "chat_template.jinja",
        "merges.txt",
        "config.json",
        "tokenizer.model",
        "additional_chat_templates/tools.jinja",
    ],
)
def test_whatever_changes_the_answers_changes_the_fingerprint(model, name):
    before = fingerprint(model)
    (model / name).parent.mkdir(exist_ok=True)
    (model / name).write_text('{"other": 1}')
    assert fingerprint(model) != before


def test_what_a_checkpoint_has_beside_the_model_leaves_the_fingerprint(model):
    before = fingerprint(model)
    for name in ("training_args.bin", "trainer_state.json", "optimizer.pt", "COMPLETE"):
        (model / name).write_text("other")
    assert fingerprint(model) == before


def test_an_adapter_alone_has_the_fingerprint_of_its_base_model_too(model, tmp_path):
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    named = {"base_model_name_or_path": str(model)}
    (adapter / "adapter_config.json").write_text(json.dumps(named))
    (adapter / "adapter_model.safetensors").write_text("weights")
    before = fingerprint(adapter)
    (model / "pytorch_model.bin").write_text("others")
    assert fingerprint(adapter) != before


def test_a_hub_name_is_its_own_fingerprint():
    assert fingerprint(Path("Qwen/Qwen3.5-4B")) == "Qwen/Qwen3.5-4B"
