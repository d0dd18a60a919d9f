"""Real images of five data sets through every stage, with a teacher that answers from the solutions
that two of them carry."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

pytest.importorskip("aiohttp")

from vasari.curate.recipe import load_curation
from vasari.curate.run.job import curate
from vasari.data.prompt_file import check_images, read_prompts
from vasari.data.sources import BadRow, read_source

RECIPE = Path(__file__).parents[2] / "recipes" / "curate_recorded.yaml"
NUM_ROWS = 40


@pytest.mark.slow
@pytest.mark.skipif("VASARI_DATA" not in os.environ, reason="needs VASARI_DATA")
def test_five_data_sets_become_two_sets_and_every_row_is_accounted_for(teach, tmp_path):
    data = Path(os.environ["VASARI_DATA"])
    known = [
        row
        for name, split in (("tabmwp", "val"), ("puzzlevqa", "test"))
        for row in itertools.islice(
            read_source(name, data / name, split=split, allow_test=True), NUM_ROWS
        )
        if not isinstance(row, BadRow)
    ]
    server = teach(known, spread=True, truncated=0.05, off_format=0.05)
    content = yaml.safe_load(RECIPE.read_text())
    content["models"]["recorded"]["endpoint"]["base_url"] = server.url
    for entry in content["sources"]:
        entry["limit"] = NUM_ROWS
    for entry in content["decontaminate"]["benchmarks"]:
        entry["limit"] = 100
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(content))

    curated = curate(load_curation(path), base=tmp_path, root=tmp_path / "out")

    dropped = pq.read_table(tmp_path / "out" / "dropped.parquet").to_pylist()
    by_branch = Counter(row["branch"] for row in dropped)
    for name in ("sft", "rl"):
        prompts = read_prompts(tmp_path / "out" / f"{name}.parquet")
        check_images(prompts)
        assert len(prompts) + by_branch["both"] + by_branch[name] == 5 * NUM_ROWS
    assert {
        prompt.metadata["source"] for prompt in read_prompts(tmp_path / "out" / "sft.parquet")
    } == {"tabmwp", "puzzlevqa"}
    assert curated.funnel["decontamination"]["compared"]
    # The references of the two sets that the teacher knows, as far as they are long enough not to
    # occur by chance.
    told = [
        str(body["messages"])
        for body in server.bodies
        if "Right answer" not in str(body["messages"])
    ]
    solutions = [
        prompt.solution[:60] for prompt in known if prompt.solution and len(prompt.solution) > 60
    ]
    assert not [text for text in solutions if any(text in body for body in told)]
