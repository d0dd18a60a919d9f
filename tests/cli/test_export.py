"""`vasari export` writes a folder for others, of the weights that are asked for, and only once."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vasari.cli.main import app
from vasari.core.errors import StateError, StorageError
from vasari.core.files import write_json


@pytest.fixture
def run(tiny_folder: Path, tmp_path: Path) -> Path:
    """A run with a cold start and two GRPO runs, of which one validated nothing."""
    root = tmp_path / "run"
    write_json(root / "settings.json", {"recipe": {"name": "mine", "sampler": {"name": "vas"}}})
    for place in ("cold_start/model", "rl/vas/best", "rl/vas/last", "rl/uniform/last"):
        shutil.copytree(tiny_folder, root / place)
    return root


def export(*words: object):
    done = CliRunner().invoke(app, ["export", *map(str, words)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.output


def test_the_recipes_sampler_is_exported_with_processor_and_card(run, tmp_path):
    said = export(run, "--out", tmp_path / "out")
    held = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"README.md", "config.json", "generation_config.json", "model.safetensors"} <= held
    assert {"tokenizer.json", "preprocessor_config.json"} <= held
    assert "the sampler vas chose (best weights)" in (tmp_path / "out" / "README.md").read_text()
    assert "the licence is unknown" in said


def test_an_existing_folder_is_kept(run, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("keep")
    with pytest.raises(StateError, match="is there already"):
        export(run, "--out", tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine"]


def test_the_cold_start_is_exported_by_name(run, tmp_path):
    export(run, "--out", tmp_path / "out", "--arm", "cold_start", "--license", "mit")
    card = (tmp_path / "out" / "README.md").read_text()
    assert "license: mit" in card
    assert "GRPO" not in card


def test_a_disk_that_fills_up_is_one_line_and_leaves_nothing(run, tmp_path, largest_file):
    with largest_file(20_000), pytest.raises(StorageError, match="could not be written") as caught:
        export(run, "--out", tmp_path / "out")
    said = str(caught.value)
    assert said.startswith(f"{tmp_path / 'out'}: could not be written: ")
    assert said.endswith("free some space there, or write elsewhere")
    assert "\n" not in said
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_folder_that_may_not_be_written_is_one_line(run, tmp_path):
    (tmp_path / "closed").mkdir(mode=0o500)
    with pytest.raises(StorageError, match=r"closed/out: could not be written: Permission denied"):
        export(run, "--out", tmp_path / "closed" / "out")


def test_a_file_in_the_place_of_the_folder_above_is_one_line(run, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StorageError, match=r"file/out: could not be written: Not a directory"):
        export(run, "--out", tmp_path / "file" / "out")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--arm", "beta"), r"no trained weights of 'beta'; there are: uniform, vas, cold_start"),
        (("--arm", "uniform"), r"uniform/best: is not there"),
    ],
    ids=["unknown", "not validated"],
)
def test_weights_that_are_not_there_are_named(run, tmp_path, words, message):
    with pytest.raises(StateError, match=message):
        export(run, "--out", tmp_path / "out", *words)
    assert not (tmp_path / "out").exists()
