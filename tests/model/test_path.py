"""A model's path is found from the recipe's folder, and a folder that lies elsewhere is named."""

from __future__ import annotations

import pytest

from vasari.core.errors import StateError
from vasari.model.path import resolve_model


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
