"""Prompt files that are written, and images that are decoded to check them."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from vasari.core.errors import DataError, ImageError, StorageError
from vasari.data.prompt_file import check_images, read_prompts, write_prompts
from vasari.records import ImageRef, Prompt


def png(shade: int = 0, size: int = 8) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (size, size), (shade, shade, shade)).save(file, "PNG")
    return file.getvalue()


def lines(path: Path, *rows: Mapping[str, Any] | str) -> Path:
    path.write_text(
        "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows),
        encoding="utf-8",
    )
    return path


def test_same_prompts_give_the_same_bytes(tmp_path):
    pool = [
        Prompt(
            id="a",
            question="q",
            answer="1",
            images=(ImageRef(data=png()),),
            metadata={"b": 1, "a": 2},
        )
    ]
    for name in ("one.parquet", "two.parquet"):
        write_prompts(tmp_path / name, pool)
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()


def test_datasets_decodes_the_images_of_a_written_file(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    pool = [
        Prompt(
            id="a",
            question="<image> and <image>?",
            answer="B",
            images=(ImageRef(data=png(7)), ImageRef(data=png(9))),
        ),
        Prompt(id="b", question="no image", answer="3", choices=("x", "y")),
    ]
    write_prompts(tmp_path / "p.parquet", pool)
    rows = datasets.load_dataset(
        "parquet",
        data_files=str(tmp_path / "p.parquet"),
        split="train",
        cache_dir=str(tmp_path / "cache"),
    )
    assert [[image.getpixel((0, 0)) for image in row["images"]] for row in rows] == [
        [(7, 7, 7), (9, 9, 9)],
        [],
    ]
    assert rows[1]["choices"] == ["x", "y"]
    rows.to_parquet(str(tmp_path / "again.parquet"))
    assert read_prompts(tmp_path / "again.parquet") == pool


def test_a_written_file_stands_alone(tmp_path):
    (tmp_path / "a.png").write_bytes(png(5))
    write_prompts(
        tmp_path / "p.parquet",
        [
            Prompt(
                id="a", question="q", answer="1", images=(ImageRef(path=str(tmp_path / "a.png")),)
            )
        ],
    )
    (tmp_path / "a.png").unlink()
    assert read_prompts(tmp_path / "p.parquet")[0].images == (ImageRef(data=png(5), path="a.png"),)


def test_a_newer_schema_is_refused(tmp_path):
    schema = pa.schema([("question", pa.string())], metadata={"vasari": json.dumps({"schema": 2})})
    pq.write_table(pa.table({"question": ["q"]}, schema=schema), tmp_path / "p.parquet")
    with pytest.raises(DataError, match="has prompt schema 2; this version reads 1"):
        read_prompts(tmp_path / "p.parquet")


@pytest.mark.parametrize(
    ("pool", "message"),
    [
        ([], "there are no prompts to write"),
        ([Prompt(id="a", question="q", answer="1")] * 2, "prompts 0 and 1 have the same id 'a'"),
        (
            [Prompt(id="a", question="q", answer="1", metadata={"x": object()})],
            "prompt 'a' cannot be stored: Object of type",
        ),
        (
            [Prompt(id="a", question="\ud800", answer="1")],
            "prompt 'a' cannot be stored: .*surrogates",
        ),
        (
            [Prompt(id="a", question="q", answer=3)],
            "a prompt cannot be stored: Expected bytes, got a 'int' object",
        ),
        (
            [Prompt(id="a", question="q", answer="1", images=(ImageRef(path="none.png"),))],
            "prompt 'a', image 1: .* is missing",
        ),
    ],
)
def test_prompts_that_cannot_be_stored_are_refused_and_leave_no_file(pool, message, tmp_path):
    with pytest.raises(DataError, match=message):
        write_prompts(tmp_path / "p.parquet", pool)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_keeps_the_file_that_was_there(tmp_path):
    path = tmp_path / "p.parquet"
    write_prompts(path, [Prompt(id="a", question="q", answer="1")])
    with pytest.raises(DataError, match="cannot be stored"):
        write_prompts(path, [Prompt(id="b", question="q", answer="1", metadata={"x": object()})])
    assert [prompt.id for prompt in read_prompts(path)] == ["a"]


def test_a_folder_that_cannot_be_made_is_a_storage_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"p\.parquet: could not be written: "):
        write_prompts(tmp_path / "file" / "p.parquet", [Prompt(id="a", question="q", answer="1")])


def test_sound_images_pass_and_progress_is_told(tmp_path):
    told: list[tuple[int, int]] = []
    pool = [
        Prompt(id=str(i), question="q", answer="1", images=(ImageRef(data=png()),) * i)
        for i in range(3)
    ]
    check_images(pool, progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_damage_behind_the_header_is_found_by_the_full_check(tmp_path):
    (tmp_path / "cut.png").write_bytes(png(size=64)[:-30])
    rows = [
        {"id": f"p{i}", "question": "q", "answer": "1", "images": ["cut.png"]} for i in range(12)
    ]
    pool = read_prompts(lines(tmp_path / "p.jsonl", *rows))
    with pytest.raises(
        ImageError, match=r"12 of 12 images cannot be used: prompt 'p0', image 1: .*truncated"
    ) as caught:
        check_images(pool)
    assert len(str(caught.value).splitlines()) == 1
    assert str(caught.value).endswith("; and 2 more")


@pytest.mark.slow
def test_a_real_data_set_is_read_in_its_own_layout():
    if "VASARI_DATA" not in os.environ:
        pytest.skip("VASARI_DATA is not set")
    path = Path(os.environ["VASARI_DATA"]) / "mathvision" / "testmini.jsonl"
    if not path.exists():
        pytest.skip("no MathVision questions")
    pool = read_prompts(path)
    check_images(pool)
    assert (len(pool), {len(prompt.images) for prompt in pool}) == (304, {1})
