"""Every recipe of a curation is read by the code that runs it."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("aiohttp")

from vasari.curate.recipe import load_curation

ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "recipes").glob("curate_*.yaml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_curation_is_valid_and_named_after_its_file(path):
    assert load_curation(path).name == path.stem
