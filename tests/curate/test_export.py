"""Exports hold what the trainers of their names read."""

from __future__ import annotations

import base64
import dataclasses
import io
import json

import pyarrow.parquet as pq
import pytest
from PIL import Image

pytest.importorskip("aiohttp")

from vasari.curate.out.export import marked_question, write_exports
from vasari.data.sources import read_source
from vasari.records import ImageRef, Prompt

NAMES = ("sharegpt", "trl", "easyr1", "verl", "slime")


def png(value):
    buffer = io.BytesIO()
    Image.new("L", (20, 20), value).save(buffer, "PNG")
    return ImageRef(data=buffer.getvalue(), path=f"{value}.png")


@pytest.fixture
def prompts():
    facts = {"source": "quiz", "licence": "MIT"}
    return [
        Prompt(
            id="a",
            question="How long?",
            answer="5",
            images=(png(1),),
            solution="It is 5.",
            category="len",
            metadata=facts,
        ),
        Prompt(
            id="b",
            question="First <image>, then <image>: which?",
            answer="B",
            choices=("left", "right"),
            images=(png(1), png(2)),
            solution="Right.",
            metadata=facts,
        ),
        Prompt(id="c", question="2 + 3?", answer="5", solution="Five.", metadata=facts),
    ]


def test_llamafactorys_form_is_read_back_with_images_turns_and_answers(prompts, tmp_path):
    hashes = write_exports(tmp_path / "out", ("sharegpt",), {"sft": prompts})

    folder = tmp_path / "out" / "sharegpt"
    rows = json.loads((folder / "sft.json").read_text())
    assert set(hashes) == {"sharegpt/sft.json"}
    assert [row["messages"][1]["content"] for row in rows] == [
        "<image>How long?",
        "First <image>, then <image>: which? A) left B) right",
        "2 + 3?",
    ]
    assert rows[1]["messages"][2]["content"] == "<think>Right.</think><answer>\\boxed{B}</answer>"
    assert [len(row["images"]) for row in rows] == [1, 2, 0]
    assert rows[0]["images"][0] == rows[1]["images"][0]  # one file for equal bytes
    info = json.loads((folder / "dataset_info.json").read_text())["vasari_sft"]
    assert (info["file_name"], info["formatting"]) == ("sft.json", "sharegpt")
    # Our own reader of LLaMA-Factory's formats, made from its published samples.
    found = list(read_source("llamafactory", folder))
    assert [len(one.images) for one in found] == [1, 2, 0]


def test_slime_gets_marks_data_uris_and_what_answers_are_verified_by(prompts, tmp_path):
    write_exports(tmp_path, ("slime",), {"rl": prompts})

    rows = pq.read_table(tmp_path / "slime" / "rl.parquet").to_pylist()
    assert [turn["content"] for turn in rows[1]["prompt"]][1:] == [
        "First <image>, then <image>: which? A) left B) right"
    ]
    head, _, data = rows[0]["images"][0].partition(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(data) == prompts[0].images[0].data
    assert [len(row["images"]) for row in rows] == [1, 2, 0]
    assert [row["label"] for row in rows] == ["5", "B", "5"]
    assert rows[1]["metadata"] == {
        "id": "b",
        "question": "First <image>, then <image>: which?",
        "kind": None,
        "choices": ["left", "right"],
        "category": "",
        "difficulty": "",
        "set": "rl",
    }
    assert rows[2]["metadata"]["choices"] is None


def test_easyr1_and_verl_get_marks_references_and_images(prompts, tmp_path):
    write_exports(tmp_path, ("easyr1", "verl"), {"rl": prompts})

    plain = pq.read_table(tmp_path / "easyr1" / "rl.parquet").to_pylist()
    assert [row["problem"].count("<image>") == len(row["images"]) for row in plain] == [True] * 3
    assert [row["answer"] for row in plain] == ["5", "B", "5"]
    row = pq.read_table(tmp_path / "verl" / "rl.parquet").to_pylist()[0]
    assert row["reward_model"] == {"style": "rule", "ground_truth": "5"}
    assert [turn["role"] for turn in row["prompt"]] == ["system", "user"]
    assert (row["data_source"], row["ability"], row["extra_info"]["index"]) == ("quiz", "len", "a")
    assert row["images"][0]["bytes"] == prompts[0].images[0].data
    known = pq.read_table(tmp_path / "verl" / "rl.parquet").column("extra_info").to_pylist()
    assert [info["choices"] for info in known] == [list(p.choices or ()) for p in prompts]
    assert [info["kind"] for info in known] == [prompt.kind for prompt in prompts]


def test_trl_gets_parts_in_the_order_of_the_question(prompts, tmp_path):
    write_exports(tmp_path, ("trl",), {"sft": prompts, "rl": prompts})

    row = pq.read_table(tmp_path / "trl" / "sft.parquet").to_pylist()[1]
    assert [part["type"] for part in row["prompt"][1]["content"]] == [
        "text",
        "image",
        "text",
        "image",
        "text",
    ]
    assert row["completion"][0]["content"][0]["text"].endswith("\\boxed{B}</answer>")
    assert pq.read_table(tmp_path / "trl" / "rl.parquet").column("solution").to_pylist() == [
        "5",
        "B",
        "5",
    ]


def test_a_set_without_prompts_has_no_export_and_an_old_one_is_gone(prompts, tmp_path):
    write_exports(tmp_path / "out", ("easyr1",), {"sft": prompts})

    hashes = write_exports(tmp_path / "out", ("verl",), {"sft": prompts, "rl": []})

    assert set(hashes) == {"verl/sft.parquet"}
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["verl"]


def identities(folder):
    """Inode and time of change of every file: a file written again has another of either."""
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


CONTENT = {"sft": ["one", "two"], "rl": ["three"]}


@pytest.fixture
def written(prompts, tmp_path):
    """Exports of both sets, their folder, and the same call again with other sets or content."""

    def again(content=CONTENT, names=NAMES, sets=None):
        return write_exports(
            tmp_path / "out", names, sets or {"sft": prompts, "rl": prompts}, content=content
        )

    again.hashes, again.folder = again(), tmp_path / "out"
    return again


def test_exports_of_the_same_content_are_left_as_they_are(written):
    before = identities(written.folder)
    assert written() == written.hashes
    assert identities(written.folder) == before


def test_an_export_whose_content_has_changed_is_written_again(written, prompts):
    before = identities(written.folder)
    changed = [dataclasses.replace(prompts[0], answer="6"), *prompts[1:]]

    hashes = written(content=CONTENT | {"rl": ["four"]}, sets={"sft": prompts, "rl": changed})

    after = identities(written.folder)
    assert all(after[name] != before[name] for name in written.hashes)
    assert pq.read_table(written.folder / "trl" / "rl.parquet").column("solution").to_pylist() == [
        "6",
        "B",
        "5",
    ]
    assert {name for name in hashes if hashes[name] != written.hashes[name]} == {
        f"{name}/rl.{'json' if name == 'sharegpt' else 'parquet'}" for name in NAMES
    }


def test_an_export_that_is_not_made_any_more_is_gone_and_the_others_are_left(written):
    before = identities(written.folder)
    hashes = written(names=("sharegpt",))
    assert set(hashes) == {"sharegpt/sft.json", "sharegpt/rl.json"}
    assert identities(written.folder) == {
        name: value for name, value in before.items() if name.startswith("sharegpt/")
    }
    assert written(names=()) == {}
    assert not written.folder.exists()


@pytest.mark.parametrize(
    "file",
    [
        "trl/sft.parquet",
        "sharegpt/rl.json",
        "sharegpt/dataset_info.json",
        "sharegpt/images",
        "sharegpt/made_from.json",
    ],
)
@pytest.mark.parametrize("missing", [False, True])
def test_an_export_that_is_damaged_or_missing_is_made_again_and_no_other(written, file, missing):
    before = identities(written.folder)
    path = written.folder / file
    path = next(path.iterdir()) if path.is_dir() else path
    good = path.read_bytes()
    path.unlink() if missing else path.write_bytes(good[:-1] + b"?")

    assert written() == written.hashes

    assert path.read_bytes() == good
    after = identities(written.folder)
    others = [name for name in before if name.split("/")[0] != file.split("/")[0]]
    assert [after[name] for name in others] == [before[name] for name in others]
    mended = identities(written.folder)
    written()
    assert identities(written.folder) == mended


def test_an_export_that_a_crash_left_half_written_is_made_again(written):
    # The word of what it was made from comes last, so it is what a crash leaves out.
    (written.folder / "verl" / "made_from.json").unlink()
    (written.folder / "verl" / "rl.parquet").unlink()
    assert written() == written.hashes
    assert (written.folder / "verl" / "rl.parquet").exists()


def test_images_stand_in_front_of_a_question_that_marks_none(prompts):
    assert marked_question(prompts[0]) == "<image>How long?"
    assert marked_question(prompts[1]).startswith("First <image>, then")


@pytest.mark.slow
def test_datasets_opens_the_exports_with_images_decoded(prompts, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    write_exports(tmp_path / "out", NAMES, {"sft": prompts})

    for name in ("trl", "easyr1", "verl"):
        file = str(tmp_path / "out" / name / "sft.parquet")
        found = datasets.load_dataset(
            "parquet", data_files=file, split="train", cache_dir=str(tmp_path / "cache")
        )
        assert [[image.size for image in row["images"]] for row in found] == [
            [(20, 20)],
            [(20, 20)] * 2,
            [],
        ]
