"""The recipe for benchmarks names the paper's five, asks as its table 8 says, and is read by the
code that runs it."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("aiohttp")

from vasari.evaluate.benchmarks.catalogue import PAPER_COLUMNS
from vasari.evaluate.benchmarks.forms import PAPER_SYSTEM
from vasari.evaluate.benchmarks.recipe import load_benchmark_recipe

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("benchmarks*.yaml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_benchmark_recipe_is_valid_and_named_after_its_file(path):
    recipe = load_benchmark_recipe(path)
    assert recipe.name == path.stem
    assert tuple(recipe.benchmarks.sets) == PAPER_COLUMNS
    assert {recipe.benchmarks.form(name).system for name in recipe.benchmarks.sets} == {
        PAPER_SYSTEM
    }
