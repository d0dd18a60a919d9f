"""The tables of docs/scale.md are those that the script computes today."""

from pathlib import Path

import pytest

import scale_table

DOCUMENT = (Path(__file__).parents[2] / "docs" / "scale.md").read_text()


@pytest.mark.slow
def test_the_hours_of_the_document_are_those_of_the_script():
    rows = scale_table.hours_table().splitlines()[2:]
    assert len(rows) == 11
    assert all(row in DOCUMENT for row in rows)


@pytest.mark.slow
def test_a_cell_of_the_document_is_what_the_script_computes():
    recipe = scale_table.load_recipe(scale_table.RECIPES / scale_table.MODELS["3B"])
    model = scale_table.planned_model(recipe, scale_table.RECIPES)
    lengths = scale_table.prompt_lengths({}, (), recipe, model.config, [])
    ways = {name: scale_table.WAYS[name] for name in ("all weights", "all weights, ZeRO-3")}
    plain, zero = (scale_table.best_fit(recipe, model, lengths, way, 8) for way in ways.values())
    (row,) = [line for line in DOCUMENT.splitlines() if line.startswith("| 3B | 8 |")]
    cells = [cell.strip() for cell in row.split("|")]
    assert (cells[3], cells[5]) == (plain, zero)
