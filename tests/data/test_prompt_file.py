"""Prompts to files and back."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vasari.core.errors import ConfigError, DataError
from vasari.data.prompt_file import read_prompts, write_prompts
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


texts = st.text(st.characters(codec="utf-8"), max_size=20)
said = texts.filter(str.strip)
refs = st.integers(0, 255).map(lambda shade: ImageRef(data=png(shade)))
facts = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | texts,
    lambda inner: st.lists(inner, max_size=3),
)
prompts = st.builds(
    Prompt,
    id=said,
    question=said,
    answer=said,
    images=st.lists(refs, max_size=3).map(tuple),
    choices=st.none() | st.lists(texts, min_size=1, max_size=4).map(tuple),
    kind=st.sampled_from([None, "number", "choice", "text", "set", "expression"]),
    category=texts,
    difficulty=texts,
    solution=st.none() | said,
    metadata=st.dictionaries(texts, facts, max_size=3),
)


@given(st.lists(prompts, min_size=1, max_size=5, unique_by=lambda prompt: prompt.id))
@settings(max_examples=60, deadline=None)
def test_what_is_written_is_read_back_equal(tmp_path_factory, pool):
    path = tmp_path_factory.mktemp("law") / "p.parquet"
    write_prompts(path, pool)
    assert read_prompts(path) == pool


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | texts,
        lambda v: st.lists(v) | st.dictionaries(texts, v),
    ),
    st.data(),
)
@settings(max_examples=150, deadline=None)
def test_any_json_value_in_any_column_gives_prompts_or_a_data_error_with_its_line(
    tmp_path_factory, value, data
):
    names = (
        "id",
        "question",
        "answer",
        "images",
        "image",
        "choices",
        "kind",
        "category",
        "level",
        "solution",
        "metadata",
        "other",
    )
    row = {"question": "q", "answer": "a"} | {data.draw(st.sampled_from(names)): value}
    path = lines(tmp_path_factory.mktemp("law") / "p.jsonl", row)
    try:
        num_read, message = len(read_prompts(path)), ""
    except DataError as error:
        num_read, message = 0, str(error)
    assert num_read == 1 or message.startswith(f"{path}:1: ")


@pytest.mark.parametrize(
    "row",
    [
        {
            "id": "7",
            "question": "q",
            "answer": "3",
            "image": "a.png",
            "choices": ["x"],
            "category": "c",
            "difficulty": "1",
        },
        {
            "question_id": 7,
            "problem": "q",
            "answer": 3,
            "image": {"path": "a.png"},
            "options": ["x"],
            "subject": "c",
            "level": 1,
        },
        {
            "pid": "7",
            "prompt": "q",
            "answer": 3.0,
            "images": ["a.png"],
            "options": ["x"],
            "family": "c",
            "level": "1",
        },
        {
            "id": None,
            "pid": "7",
            "query": "q",
            "answer": "3",
            "images": [{"bytes": None, "path": "a.png"}],
            "image": None,
        }
        | {"choices": [], "options": ["x"], "category": "", "subject": "c", "level": 1.0},
    ],
)
def test_usual_column_names_are_understood(row, tmp_path):
    (tmp_path / "a.png").write_bytes(png())
    image = ImageRef(path=str((tmp_path / "a.png").resolve()))
    expected = Prompt(
        id="7",
        question="q",
        answer="3",
        images=(image,),
        choices=("x",),
        category="c",
        difficulty="1",
    )
    assert read_prompts(lines(tmp_path / "p.jsonl", row)) == [expected]


def test_other_plain_columns_and_the_metadata_are_columns_of_the_prompt(tmp_path):
    row = {
        "id": "a",
        "question": "q",
        "answer": "1",
        "source": "S",
        "year": 2020,
        "deep": {"x": 1},
        "metadata": {"k": "v"},
    }
    assert read_prompts(lines(tmp_path / "p.jsonl", row))[0].columns == {
        "source": "S",
        "year": 2020,
        "k": "v",
    }


def test_image_bytes_of_a_foreign_parquet_file_are_read(tmp_path):
    table = pa.table({"problem": ["q"], "answer": [12], "image": [png(3)]})
    pq.write_table(table, tmp_path / "p.parquet")
    prompt = read_prompts(tmp_path / "p.parquet")[0]
    assert (prompt.answer, prompt.images) == ("12", (ImageRef(data=png(3)),))


@pytest.mark.parametrize("name", ["p.jsonl", "p.json-lines", "p.jsonl.gz"])
def test_json_lines_are_read_packed_or_not_with_blank_lines_and_a_byte_order_mark(name, tmp_path):
    raw = (
        b'\xef\xbb\xbf{"id": "a", "question": "q", "answer": "1"}\r\n\r\n{"id": "b", "question":'
        b' "\xc3\xa9", "answer": "2"}\n'
    )
    (tmp_path / name).write_bytes(gzip.compress(raw) if name.endswith("gz") else raw)
    assert [(p.id, p.question) for p in read_prompts(tmp_path / name)] == [
        ("a", "q"),
        ("b", "\xe9"),
    ]


def test_limit_reads_no_further(tmp_path):
    path = lines(tmp_path / "p.jsonl", {"id": "a", "question": "q", "answer": "1"}, "not json")
    assert [prompt.id for prompt in read_prompts(path, limit=1)] == ["a"]
    with pytest.raises(ConfigError, match="limit must be at least 1, got 0"):
        read_prompts(path, limit=0)


def test_a_missing_id_is_made_from_content_and_not_from_the_place_of_the_file(tmp_path):
    found = []
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.png").write_bytes(png(3))
        found.append(
            read_prompts(
                lines(
                    tmp_path / folder / "p.jsonl",
                    {"question": "q", "answer": "1", "image": "a.png"},
                )
            )[0].id
        )
    table = pa.table({"question": ["q"], "answer": ["1"], "image": [png(3)]})
    pq.write_table(table, tmp_path / "p.parquet")
    assert {*found, read_prompts(tmp_path / "p.parquet")[0].id} == {found[0]}


def test_content_ids_tell_questions_answers_and_images_apart(tmp_path):
    for shade in (1, 2):
        (tmp_path / f"{shade}.png").write_bytes(png(shade))
    rows = [
        {"question": q, "answer": a, "image": i}
        for q, a in (("q1", "1"), ("q", "11"), ("q", "1"))
        for i in ("1.png", "2.png")
    ]
    assert len({prompt.id for prompt in read_prompts(lines(tmp_path / "p.jsonl", *rows))}) == 6


PACKED = gzip.compress(
    b"\n".join(b'{"question": "%d", "answer": "%d"}' % (n, n * n) for n in range(999))
)
GOOD = {"id": "a", "question": "q", "answer": "1"}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{", r":2: not valid JSON: Expecting"),
        ("[" * 200_000, r":2: not valid JSON: "),
        ("[1]", r":2: expected a JSON object, got list"),
        ('{"question": "q", "answer": "\\ud800"}', r":2: 'answer' is not valid UTF-8"),
        ({"id": "b", "question": "q"}, r":2: prompt 'b' has no 'answer'"),
        ({"id": "b", "question": "q", "answer": " "}, r":2: prompt 'b' has no 'answer'"),
        ('{"id": "b", "question": "q", "answer": NaN}', r":2: prompt 'b' has no 'answer'"),
        (
            {"answer": "1"},
            r":2: the prompt has no 'question' \(columns read: question, problem, prompt, query\)",
        ),
        ({"question": "q", "answer": True}, r":2: 'answer' must be text or a number, got bool"),
        (
            {"prompt": [{"role": "user"}], "answer": "1"},
            r":2: 'question' must be text or a number, got list",
        ),
        (
            {"id": "a", "question": "r", "answer": "2"},
            r":2: the id 'a' was already used at .*p\.jsonl:1",
        ),
        (
            {"question": "q", "answer": "1", "choices": "x|y"},
            r":2: 'choices' must be a list of texts, got str",
        ),
        (
            {"question": "q", "answer": "1", "choices": ["x", None]},
            r":2: 'choices' holds an empty option",
        ),
        (
            {"question": "q", "answer": "1", "kind": "essay"},
            r":2: 'kind' must be one of .*got 'essay'",
        ),
        ({"question": "q", "answer": "1", "metadata": "{"}, r":2: 'metadata' is not valid JSON"),
        (
            {"question": "q", "answer": "1", "metadata": [1]},
            r":2: 'metadata' must be an object, got list",
        ),
        (
            {"question": "q", "answer": "1", "image": 7},
            r":2: image 1: expected a path, bytes.*got int",
        ),
        (
            {"question": "q", "answer": "1", "images": [{}]},
            r":2: image 1: expected a path, bytes.*an object with no keys",
        ),
        (
            {"question": "q", "answer": "1", "image": "data:image/png;base64,AA"},
            r":2: image 1: base64 images are not read",
        ),
        (
            {"id": "b", "question": "q", "answer": "1", "images": ["a.png", "no.png"]},
            r":2: prompt 'b': image 2: .*no\.png' is missing",
        ),
        (
            {"question": "q", "answer": "1", "image": "note.txt"},
            r":2: image 1: .*note\.txt' is not an image",
        ),
        (
            {"question": "q", "answer": "1", "image": "../out.png"},
            r":2: image 1: the path '\.\./out\.png' leaves the folder",
        ),
        (
            {"question": "q", "answer": "1", "image": "/etc/passwd"},
            r":2: image 1: the path '/etc/passwd' is absolute",
        ),
    ],
)
def test_a_wrong_row_is_refused_with_its_line(row, message, tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    for path, data in (
        (folder / "a.png", png()),
        (tmp_path / "out.png", png()),
        (folder / "note.txt", b"hello"),
    ):
        path.write_bytes(data)
    with pytest.raises(DataError, match=r"p\.jsonl" + message):
        read_prompts(lines(folder / "p.jsonl", GOOD, row))


def test_a_wrong_row_of_a_parquet_file_is_refused_with_its_number(tmp_path):
    pq.write_table(
        pa.table({"id": ["a", "b"], "question": ["q", "q"], "answer": ["1", None]}),
        tmp_path / "p.parquet",
    )
    with pytest.raises(DataError, match=r"p\.parquet: row 2: prompt 'b' has no 'answer'"):
        read_prompts(tmp_path / "p.parquet")


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("p.jsonl", b"", "the file holds no prompts"),
        ("p.jsonl", b"\n \n", "the file holds no prompts"),
        ("p.jsonl", b"\xff\xfe{}", "p.jsonl:1: not valid JSON"),
        ("p.parquet", b"", "cannot be read as Parquet"),
        ("p.parquet", b"PAR1 and then nothing", "cannot be read as Parquet"),
        ("p.jsonl.gz", b"not gzip", "cannot be read any further: Not a gzipped file"),
        ("p.jsonl.gz", PACKED[:-200], "cannot be read any further: Compressed file ended"),
        (
            "p.jsonl.gz",
            PACKED[:500] + bytes(9) + PACKED[509:],
            r"(cannot be read any further: Error -3|not valid JSON)",
        ),
        ("p.csv", b"a,b", "the suffix must be one of .parquet, .jsonl"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(name, data, message, tmp_path):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match=message):
        read_prompts(tmp_path / name)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(DataError, match="there is no such file"):
        read_prompts(tmp_path / "p.jsonl")
