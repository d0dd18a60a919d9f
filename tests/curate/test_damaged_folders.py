"""Files of a curation that were lost or cut since: made again, and nothing else with them."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from vasari.core.errors import StateError, VasariError
from vasari.curate.recipe import load_curation
from vasari.curate.run.job import curate
from vasari.data.prompt_file import read_prompts

SETS = ("sft.parquet", "rl.parquet", "dropped.parquet", "README.md", "funnel.json")


@pytest.fixture
def finished(tmp_path):
    """The folder of a finished curation of rows whose pictures lie in the source's table."""
    rows = []
    for n in range(9):
        data = io.BytesIO()
        cells = np.random.default_rng(n).integers(0, 256, size=(6, 6), dtype=np.uint8)
        Image.fromarray(cells).resize((48, 48)).save(data, "PNG")
        rows.append(
            {
                "id": f"q{n}",
                "question": f"Read mark {n}.",
                "answer": str(7310 + n),
                "solution": "I read it.",
                "images": [{"bytes": data.getvalue(), "path": None}],
            }
        )
    (tmp_path / "data").mkdir()
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "data" / "train-00000-of-00001.parquet")
    return make(tmp_path).root


def make(tmp_path, **changes):
    path = tmp_path / "recipe.yaml"
    content = {
        "name": "pictures",
        "sources": [{"source": "parquet", "folder": "data", "domain": "math"}],
        "sft": {},
        "rl": {"parts": [{"name": "all", "target": 4}]},
        "shard_rows": 4,
        "exports": ["sharegpt"],
    } | changes
    path.write_text(yaml.safe_dump(content))
    return curate(load_curation(path), base=tmp_path, root=tmp_path / "out")


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def scramble(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def remove(path):
    shutil.rmtree(path) if path.is_dir() else path.unlink()


HURT = {
    "images": (remove, "images"),
    "one folder of images": (remove, "images/??"),
    "cut images": (lambda path: path.write_bytes(b""), "images/??/*"),
    "cut manifest": (cut, "manifest.json"),
    "manifest of another shape": (lambda path: path.write_text('{"sets": [1]}'), "manifest.json"),
    "marker": (remove, ".curation.json"),
    "cut marker": (cut, ".curation.json"),
    "cut stage manifests": (cut, "stages/*/manifest.json"),
    "stage manifests that are lists": (
        lambda path: path.write_text("[]"),
        "stages/*/manifest.json",
    ),
    "cut begun": (cut, "stages/*/begun.json"),
    "begun and manifests": (remove, "stages/*/[bm]*.json"),
    "cut shards": (cut, "stages/*/part-00001.parquet"),
    "scrambled shards": (scramble, "stages/*/part-00000.parquet"),
    "lost shards of the first stage": (remove, "stages/00-read/part-*"),
    "cut dropped rows": (cut, "stages/*/dropped-00000.parquet"),
    "lost dropped rows": (remove, "stages/*/dropped-*.parquet"),
    "cut counts": (cut, "stages/*/counts-00001.json"),
    "counts of a stage": (remove, "stages/01-check/counts-*.json"),
    "a stage": (remove, "stages/01-check"),
    "stages": (remove, "stages"),
    "a cut set": (cut, "sft.parquet"),
    "a lost set": (remove, "rl.parquet"),
    "a cut export": (cut, "exports/sharegpt/sft.json"),
    "a cut list of an export": (cut, "exports/sharegpt/made_from.json"),
    "a lost list of an export": (remove, "exports/sharegpt/made_from.json"),
    "a lost picture of an export": (remove, "exports/sharegpt/images"),
}


# What said whose files lie there is gone: they may be anyone's.
UNKNOWN = {"begun and manifests": "stages/*"}


@pytest.mark.parametrize("what", HURT)
def test_what_was_lost_or_cut_is_made_again_or_said_in_a_line(finished, tmp_path, what):
    before = {name: (finished / name).read_bytes() for name in SETS}
    hurt, where = HURT[what]
    for path in sorted(finished.glob(where)):
        hurt(path)

    if what in UNKNOWN:
        with pytest.raises(StateError, match="move it away"):
            make(tmp_path)
        for path in (finished / UNKNOWN[what]).parent.glob(Path(UNKNOWN[what]).name):
            shutil.rmtree(path)
    make(tmp_path)

    assert {name: (finished / name).read_bytes() for name in SETS} == before
    assert all(path.stat().st_size for path in finished.glob("images/??/*"))
    rows = json.loads((finished / "exports" / "sharegpt" / "sft.json").read_text())
    assert all((finished / "exports/sharegpt" / row["images"][0]).stat().st_size for row in rows)


def test_lost_images_cost_no_row_in_what_is_made_next(finished, tmp_path):
    shutil.rmtree(finished / "images")
    curated = make(tmp_path, checks={"max_question_chars": 500})
    assert curated.sizes == {"sft": 9, "rl": 4}
    assert {len(prompt.images) for prompt in read_prompts(finished / "sft.parquet")} == {1}


def test_one_damaged_shard_is_made_again_alone(finished, tmp_path):
    stage = finished / "stages" / "01-check"
    whole = stage / "part-00000.parquet", stage / "part-00002.parquet"
    before = [path.stat().st_mtime_ns for path in whole]
    cut(stage / "part-00001.parquet")
    make(tmp_path)
    assert [path.stat().st_mtime_ns for path in whole] == before
    assert pq.read_metadata(stage / "part-00001.parquet").num_rows == 4


@pytest.mark.parametrize("name", ["sft.parquet", "manifest.json", "stages/01-check", ".lock"])
def test_a_link_or_a_folder_in_the_place_of_ours_harms_nothing_elsewhere(finished, tmp_path, name):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "begun.json").write_text("mine")
    (elsewhere / "part-00000.parquet").write_text("mine")
    target = elsewhere if "/" in name else elsewhere / "begun.json"
    remove(finished / name)
    (finished / name).symlink_to(target)
    with contextlib.suppress(VasariError):
        make(tmp_path, checks={"max_question_chars": 500})
    assert {path.name: path.read_text() for path in elsewhere.iterdir()} == {
        "begun.json": "mine",
        "part-00000.parquet": "mine",
    }
