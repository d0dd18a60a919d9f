"""What bad rows, damaged files and hostile files of a data set cost."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from vasari.core.errors import DataError
from vasari.data.sources import BadRow, read_source
from vasari.records import Prompt

HEAD = "name: a\ntitle: t\nlicence: l"


QUIZ = {"question": "Q?", "answer": "1"}


def bomb() -> bytes:
    out = io.BytesIO()
    Image.new("1", (5000, 5000)).save(out, "PNG")
    return out.getvalue()


def good(found):
    return [item for item in found if isinstance(item, Prompt)]


def bad(found):
    return [item for item in found if isinstance(item, BadRow)]


def test_each_bad_row_costs_one_row_and_is_reported_with_its_place(plant, tmp_path):
    (tmp_path / "secret.png").write_bytes(b"x")
    lines = [
        json.dumps(QUIZ | {"id": "a"}).encode(),
        b'{"question": "caf\xe9", "answer": "1"}',
        b"{broken",
        b"[1, 2]",
        json.dumps(QUIZ | {"image": "../secret.png"}).encode(),
        json.dumps(QUIZ | {"image": "/etc/hostname"}).encode(),
        json.dumps(QUIZ | {"image": "bomb.png"}).encode(),
        json.dumps(QUIZ | {"image": "data:image/png;base64,AAAA"}).encode(),
        json.dumps(QUIZ | {"image": "missing.png"}).encode(),
        json.dumps(QUIZ | {"question": "<image> and <image>", "image": "ok.png"}).encode(),
        json.dumps(QUIZ | {"choices": ["2", "3"]}).encode(),
        json.dumps(QUIZ | {"question": ["no text"]}).encode(),
        json.dumps(QUIZ | {"question": "\ud800"}).encode(),
        json.dumps(QUIZ | {"id": "a"}).encode(),
        json.dumps(QUIZ | {"id": "b", "image": "ok.png"}).encode(),
    ]
    folder = plant({"train.jsonl": b"\n".join(lines), "ok.png": "PICTURE", "bomb.png": bomb()})
    found = list(read_source("jsonl", folder))
    assert [p.id for p in good(found)] == ["jsonl/a", "jsonl/b"]
    expected = [
        "not valid JSON", "not valid JSON", "expected a JSON object, got list", "leaves the folder", "is absolute", "5000 x 5000",
        "base64", "missing", "marks 2 images, the row has 1", "none of the 2 options", "must be text or a number, got list",
        "not valid UTF-8", "already used",
    ]  # fmt: skip
    assert [row.where for row in bad(found)] == [f"train.jsonl:{n}" for n in range(2, 15)]
    assert all(text in row.reason for text, row in zip(expected, bad(found), strict=True)), [
        row.reason for row in bad(found)
    ]


def test_a_link_out_of_the_folder_is_not_followed(plant, tmp_path):
    outside = tmp_path / "outside.jsonl"
    outside.write_text(json.dumps(QUIZ))
    folder = plant({"readme": "r"})
    (folder / "train.jsonl").symlink_to(outside)
    with pytest.raises(DataError, match=r"not the shape of JSON lines"):
        read_source("jsonl", folder)


def test_a_file_that_breaks_off_costs_the_rest_of_that_file(plant):
    whole = gzip.compress(
        "".join(
            json.dumps(QUIZ | {"id": n, "text": "x" * 50}) + "\n" for n in range(2_000)
        ).encode()
    )
    folder = plant(
        {
            "train_a.jsonl.gz": whole[: len(whole) // 2],
            "train_b.jsonl.gz": gzip.compress(json.dumps(QUIZ | {"id": "z"}).encode()),
        }
    )
    found = list(read_source("jsonl", folder))
    assert good(found)[-1].id == "jsonl/z"
    assert "cannot be read any further" in bad(found)[-1].reason


def test_a_corrupted_parquet_file_costs_itself(plant):
    folder = plant(
        {
            "train-0.parquet": b"PAR1 nothing of the kind PAR1",
            "train-1.parquet": [QUIZ | {"id": "k"}],
        }
    )
    found = list(read_source("parquet", folder))
    assert ([p.id for p in good(found)], [row.where for row in bad(found)]) == (
        ["parquet/k"],
        ["train-0.parquet: after row 0"],
    )


def test_a_json_list_that_breaks_off_gives_the_rows_before(plant):
    text = json.dumps([{"imgname": "2.png", "query": f"q{n}", "label": n} for n in range(5)])
    folder = plant({"train/train_human.json": text[:-20], "train/png/2.png": "PICTURE"})
    found = list(read_source("chartqa", folder))
    assert ([p.question for p in good(found)], [row.where for row in bad(found)]) == (
        ["q0", "q1", "q2", "q3"],
        ["train/train_human.json: after row 4"],
    )


@pytest.mark.parametrize(
    ("name", "text"), [("t.csv", 'q,a\n"1,5?",2,\n'), ("t.tsv", "q\ta\n1,5?\t2\n")]
)
def test_a_description_reads_tables(name, text, plant, tmp_path):
    own = tmp_path / "own.yaml"
    own.write_text(
        f"{HEAD}\nfiles: {{train: {name}}}\nkeep_other_columns: true\nfields: {{question: q,"
        " answer: a}"
    )
    (prompt,) = read_source(str(own), plant({name: text}))
    assert (prompt.question, prompt.answer, prompt.metadata["native_id"]) == (
        "1,5?",
        "2",
        f"{name}#1",
    )


def test_a_table_with_a_byte_that_is_no_utf8_costs_that_row(plant, tmp_path):
    own = tmp_path / "own.yaml"
    own.write_text(f"{HEAD}\nfiles: {{train: t.csv}}\nfields: {{question: q, answer: a}}")
    first, second = read_source(str(own), plant({"t.csv": b"q,a\ncaf\xe9,1\nok,2\n"}))
    assert isinstance(first, BadRow)
    assert (first.where, second.question) == ("t.csv:2", "ok")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["bytes", "path", "a"]) | st.text(max_size=3), inner, max_size=3
        )
    ),
    max_leaves=6,
)
rows = st.dictionaries(
    st.sampled_from(
        [
            "id",
            "question",
            "answer",
            "images",
            "choices",
            "kind",
            "category",
            "conversations",
            "split",
        ]
    ),
    json_values,
)


@pytest.mark.parametrize("name", ["jsonl", "sharegpt"])
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(rows, min_size=1, max_size=4))
def test_every_row_is_a_prompt_or_a_bad_row(name, tmp_path_factory, rows):
    folder: Path = tmp_path_factory.mktemp("fuzz")
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert len(list(read_source(name, folder))) == len(rows)
