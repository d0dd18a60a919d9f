"""What a curation wrote is read as its readers would, and a file that they could not read is
named."""

from __future__ import annotations

import dataclasses
import io
import json
from typing import get_args

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

pytest.importorskip("aiohttp")

from vasari.core.errors import StateError
from vasari.curate.out.export import marked_question, write_exports
from vasari.curate.out.read_back import read_back, require_readable
from vasari.curate.out.reader_rules import RULES
from vasari.curate.recipe import ExportName
from vasari.data.prompt_file import write_prompts
from vasari.records import ImageRef, Prompt

EXPORTS = ("sharegpt", "easyr1", "verl", "slime")


def png(value):
    buffer = io.BytesIO()
    Image.new("L", (20, 20), value).save(buffer, "PNG")
    return ImageRef(data=buffer.getvalue(), path=f"{value}.png")


ASKED = (
    ("How long?", "5", None, (png(1),)),
    ("First <image>, then <image>: which?", "B", ("left", "right"), (png(1), png(2))),
    ("2 + 3?", "5", None, ()),
)


def written(root, exports=EXPORTS, prompts=None):
    """The sets and exports of a few prompts with none, one and two images, and their manifest."""
    prompts = prompts or [
        Prompt(
            id=f"p{n}",
            question=question,
            answer=answer,
            choices=choices,
            images=images,
            solution="It is so.",
            metadata={"source": "quiz"},
        )
        for n, (question, answer, choices, images) in enumerate(ASKED * 3)
    ]
    for kind in ("sft", "rl"):
        write_prompts(root / f"{kind}.parquet", prompts)
    hashes = write_exports(root / "exports", exports, {"sft": prompts, "rl": prompts})
    sets = {kind: {"prompts": len(prompts), "hash": "h"} for kind in ("sft", "rl")}
    return {"sets": sets, "exports": hashes}


def change_rows(path, change):
    """Write a Parquet file again with `change` applied to its list of rows."""
    table = pq.read_table(path)
    rows = table.to_pylist()
    pq.write_table(pa.Table.from_pylist(change(rows) or rows, schema=table.schema), path)


def test_every_export_has_the_rules_of_its_reader():
    assert set(RULES) == set(get_args(ExportName))


def test_files_as_we_write_them_are_read_by_all_that_is_installed(tmp_path):
    found = read_back(tmp_path, written(tmp_path), {})

    assert len(found) == 2 * (1 + len(EXPORTS))
    assert {read["rows"] for read in found.values()} == {9}
    assert [read["problems"] for read in found.values()] == [[]] * len(found)
    require_readable(tmp_path, found)
    datasets = pytest.importorskip("datasets")
    for read in found.values():
        assert read["read_by"][1] == f"datasets {datasets.__version__} (9 rows)"


@pytest.mark.slow
def test_trl_itself_puts_the_images_into_their_places(tmp_path):
    pytest.importorskip("trl")
    manifest = written(tmp_path, ("trl",))
    found = read_back(tmp_path, manifest, {})
    assert found["exports/trl/sft.parquet"]["read_by"][2].startswith("trl ")

    # A prompt that marks no image and has one: our rule and TRL agree.
    from vasari.model.trl_messages import prepared

    def drop_a_part(rows):
        rows[0]["prompt"][1]["content"] = rows[0]["prompt"][1]["content"][1:]

    change_rows(tmp_path / "exports" / "trl" / "sft.parquet", drop_a_part)
    (problem,) = read_back(tmp_path, manifest, {})["exports/trl/sft.parquet"]["problems"]
    assert problem == "prompt 'p0': 0 image parts for 1 images"
    with pytest.raises(ValueError, match=r"images provided \(1\)"):
        prepared(pq.read_table(tmp_path / "exports" / "trl" / "sft.parquet").to_pylist()[0])


def set_field(rows, *path, to):
    place = rows[0]
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = to


# File, change of its rows, and what is said of it.
FAULTS = {
    "a thought in a thought": (
        "sft.parquet",
        lambda rows: set_field(rows, "solution", to="<think>a</think>"),
        "not one thought and one answer",
    ),
    "no solution": ("sft.parquet", lambda rows: set_field(rows, "solution", to=None), "'solution'"),
    "another answer in the metadata": (
        "sft.parquet",
        lambda rows: set_field(rows, "metadata", to='{"final": "7"}'),
        "not one thought and one answer",
    ),
    "a mark too many": (
        "rl.parquet",
        lambda rows: set_field(rows, "question", to="<image> <image>"),
        "marks 2 images",
    ),
    "a token of a template": (
        "rl.parquet",
        lambda rows: set_field(rows, "question", to="How long?<|im_end|>"),
        "template_token",
    ),
    "a row lost": ("rl.parquet", lambda rows: rows[1:], "8 rows where the set has 9"),
    "metadata that is no JSON": (
        "rl.parquet",
        lambda rows: set_field(rows, "metadata", to="{"),
        "row 1: ",
    ),
    "an image that is none": (
        "rl.parquet",
        lambda rows: set_field(rows, "images", to=[{"bytes": b"no image", "path": "1.png"}]),
        "datasets: row 1: UnidentifiedImageError",
    ),
    "EasyR1 without a mark": (
        "exports/easyr1/rl.parquet",
        lambda rows: set_field(rows, "problem", to="How long?"),
        "0 <image> for 1 images",
    ),
    "EasyR1 with another answer": (
        "exports/easyr1/rl.parquet",
        lambda rows: set_field(rows, "answer", to="7"),
        "the answer is '7'",
    ),
    "verl with a video": (
        "exports/verl/rl.parquet",
        lambda rows: set_field(rows, "prompt", 1, "content", to="<video>"),
        "marks <video>",
    ),
    "verl with another ground truth": (
        "exports/verl/rl.parquet",
        lambda rows: set_field(rows, "reward_model", "ground_truth", to="7"),
        "reward_model is",
    ),
    "slime with another label": (
        "exports/slime/rl.parquet",
        lambda rows: set_field(rows, "label", to="7"),
        "the label is '7'",
    ),
    "verl without a user": (
        "exports/verl/rl.parquet",
        lambda rows: set_field(rows, "prompt", 1, "role", to="assistant"),
        "roles ['system', 'assistant']",
    ),
    "verl without an index": (
        "exports/verl/sft.parquet",
        lambda rows: set_field(rows, "extra_info", "index", to=None),
        "extra_info.index is None",
    ),
}


@pytest.mark.parametrize(("file", "change", "said"), FAULTS.values(), ids=FAULTS)
def test_a_file_that_its_reader_could_not_use_is_named(tmp_path, file, change, said):
    manifest = written(tmp_path)
    change_rows(tmp_path / file, change)

    found = read_back(tmp_path, manifest, {})

    assert said in found[file]["problems"][0]
    with pytest.raises(StateError, match="not done"):
        require_readable(tmp_path, found)


def edit(path, change):
    path.write_text(change(path.read_text()))


SHAREGPT = {
    "an image's file is gone": (
        lambda folder: next((folder / "images").iterdir()).unlink(),
        "an image has no file",
    ),
    "a mark in what is taught": (
        lambda folder: edit(folder / "sft.json", lambda t: t.replace("It is so", "<image>", 1)),
        "2 <image> for 1 images",
    ),
    "another answer is taught": (
        lambda folder: edit(folder / "sft.json", lambda t: t.replace("boxed{5}", "boxed{7}", 1)),
        "teaches",
    ),
    "its list is cut": (
        lambda folder: edit(folder / "sft.json", lambda t: t[:-3]),
        "its array does not end",
    ),
    "its description names another file": (
        lambda folder: edit(folder / "dataset_info.json", lambda t: t.replace("sft.json", "x")),
        "does not name sft.json",
    ),
    "its description has other tags": (
        lambda folder: edit(folder / "dataset_info.json", lambda t: t.replace('"role"', '"from"')),
        "other columns or tags",
    ),
}


@pytest.mark.parametrize(("damage", "said"), SHAREGPT.values(), ids=SHAREGPT)
def test_a_file_that_llamafactory_could_not_use_is_named(tmp_path, damage, said):
    manifest = written(tmp_path)
    damage(tmp_path / "exports" / "sharegpt")
    assert said in read_back(tmp_path, manifest, {})["exports/sharegpt/sft.json"]["problems"][0]


def test_a_cut_file_and_a_missing_one_are_named(tmp_path):
    manifest = written(tmp_path)
    whole = (tmp_path / "sft.parquet").read_bytes()
    (tmp_path / "sft.parquet").write_bytes(whole[:-20])
    (tmp_path / "exports" / "verl" / "rl.parquet").unlink()
    found = read_back(tmp_path, manifest, {})
    assert found["sft.parquet"]["problems"]
    assert found["exports/verl/rl.parquet"]["problems"]


def test_a_file_that_was_read_before_is_not_read_again(tmp_path):
    manifest = written(tmp_path)
    found = read_back(tmp_path, manifest, {})
    (tmp_path / "rl.parquet").unlink()  # whoever reads it now would say so
    again = read_back(tmp_path, manifest, manifest | {"read_back": found})
    assert again == found
    other = dict(manifest, sets=manifest["sets"] | {"rl": {"prompts": 9, "hash": "other"}})
    assert read_back(tmp_path, other, manifest | {"read_back": found})["rl.parquet"]["problems"]


@pytest.mark.parametrize(
    ("question", "images", "marked"),
    [
        ("How long?", 0, "How long?"),
        ("How long?", 2, "<image><image>How long?"),
        ("Is <image> longer than <image>?", 2, "Is <image> longer than <image>?"),
        ("How long? <image>", 1, "How long? <image>"),
    ],
)
def test_marks_are_as_many_as_images_and_stay_where_they_are(question, images, marked):
    prompt = Prompt(id="p", question=question, answer="5", images=(png(1),) * images)
    assert marked_question(prompt) == marked


@pytest.mark.slow
def test_a_set_that_a_stage_of_ones_own_spoils_is_not_called_done(tmp_path, own_module, run):
    name = own_module(
        "from dataclasses import replace\n"
        "def wrap(prompts):\n"
        "    return [replace(p, solution='<think>' + p.solution) for p in prompts]\n"
    )
    (tmp_path / "own").mkdir()
    rows = [
        {"id": f"q{n}", "question": f"What is {n} + 2?", "answer": str(n + 2), "solution": "Add."}
        for n in range(5)
    ]
    (tmp_path / "own" / "train.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    recipe = tmp_path / "r.yaml"
    recipe.write_text(
        "name: r\nsources: [{source: jsonl, folder: own}]\nduplicates: null\nsft: {}\n"
        f"stages: [{{name: '{name}:wrap', after: sft}}]\n"
    )

    with pytest.raises(StateError, match=r"sft\.parquet cannot be used, so this curation is not"):
        run(recipe)

    said = json.loads((tmp_path / "out" / "manifest.json").read_text())["read_back"]["sft.parquet"]
    assert said["num_problems"] == 5
    recipe.write_text(recipe.read_text().split("stages:")[0])
    assert run(recipe).sizes == {"sft": 5}
    assert dataclasses.is_dataclass(run(recipe))
