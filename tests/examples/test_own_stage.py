"""The example of a stage of one's own, named in a recipe that ships: drops with a reason, marks on
what is kept."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from vasari.core.files import read_json
from vasari.data.prompt_file import read_prompts

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_example_takes_its_place_in_a_recipe_that_ships(tmp_path):
    shutil.copy(ROOT / "examples" / "own_stage.py", tmp_path)
    stages = "stages=[{name: 'own_stage:short_questions', after: check, settings: {max_words: 12}}]"
    command = [
        "curate",
        str(ROOT / "recipes/curate_tasks.yaml"),
        "--out",
        "out",
        "--set",
        stages,
        "--set",
        "exports=[]",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "vasari", *command],
        cwd=tmp_path,
        env={**os.environ, "VASARI_PLUGINS": "own_stage"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "short questions" in done.stdout
    funnel = read_json(tmp_path / "out/funnel.json")
    (stage,) = [one for one in funnel["stages"] if one["name"] == "short_questions"]
    dropped = pq.read_table(tmp_path / "out/dropped.parquet").to_pylist()
    num_long = sum(
        row["stage"] == "short_questions" and row["reason"] == "too_long" for row in dropped
    )
    assert 0 < num_long == sum(stage["given"].values()) - sum(stage["kept"].values())
    assert all(
        prompt.metadata["num_words"] <= 12 for prompt in read_prompts(tmp_path / "out/sft.parquet")
    )
