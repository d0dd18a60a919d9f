"""`vasari recipe` writes a shipped recipe into the working folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from vasari.cli.main import app
from vasari.core.errors import ConfigError, StateError
from vasari.run.recipe import load_recipe

SHIPPED = Path(__file__).parents[2] / "recipes"


def vasari(*words):
    return CliRunner().invoke(app, words, catch_exceptions=False)


def test_a_recipe_is_copied_and_one_that_was_changed_stays(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert vasari("recipe", "curated").exit_code == 0
    assert Path("curated.yaml").read_bytes() == (SHIPPED / "curated.yaml").read_bytes()
    Path("curated.yaml").write_text("name: mine\n")
    with pytest.raises(StateError, match="another file of this name"):
        vasari("recipe", "curated")
    assert Path("curated.yaml").read_text() == "name: mine\n"


def test_without_a_name_all_are_listed_and_another_name_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    listed = vasari("recipe").stdout
    assert all(f"{path.stem}: " in listed for path in SHIPPED.glob("*.yaml"))
    with pytest.raises(ConfigError, match="no shipped recipe"):
        vasari("recipe", "../etc")
    assert list(tmp_path.iterdir()) == []


def test_a_recipe_that_is_missing_says_where_shipped_ones_are(tmp_path):
    with pytest.raises(ConfigError, match="`vasari recipe` lists those that ship"):
        load_recipe(tmp_path / "recipes" / "curated.yaml")
