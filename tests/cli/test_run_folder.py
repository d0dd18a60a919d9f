"""A run's folder goes on under the recipe it was begun with, and refuses another."""

import json
from pathlib import Path

import pytest

from vasari.cli.run_folder import open_run
from vasari.errors import StateError
from vasari.recipe import load_recipe

QUICKSTART = Path(__file__).parents[2] / "recipes" / "quickstart.yaml"


@pytest.fixture
def begun(tmp_path):
    """The folder of a run of the quickstart's recipe."""
    open_run(load_recipe(QUICKSTART, []), tmp_path)
    return tmp_path


def change(folder: Path, edit) -> None:
    settings = json.loads((folder / "settings.json").read_text())
    edit(settings["recipe"])
    (folder / "settings.json").write_text(json.dumps(settings))


def test_a_run_begun_before_a_setting_existed_goes_on(begun):
    change(begun, lambda recipe: recipe["grpo"].pop("screening"))
    assert open_run(load_recipe(QUICKSTART, []), begun).root == begun


def test_a_setting_that_existed_and_differs_is_named(begun):
    change(begun, lambda recipe: recipe["grpo"].update(temperature=0.5))
    with pytest.raises(StateError, match=r"grpo\.temperature is 1\.0, was 0\.5"):
        open_run(load_recipe(QUICKSTART, []), begun)


def test_a_setting_that_no_longer_exists_is_refused(begun):
    change(begun, lambda recipe: recipe.update(alchemy={"gold": 1}))
    with pytest.raises(StateError, match="alchemy"):
        open_run(load_recipe(QUICKSTART, []), begun)


def test_another_sampler_trains_in_the_same_folder(begun):
    assert open_run(load_recipe(QUICKSTART, ["sampler.name=vas"]), begun).root == begun
