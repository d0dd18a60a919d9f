"""One row costs one row: every reader against every fault that a row can have.

Three rows are written, the middle one with the fault. The others are read; the middle one is a bad
row with a reason, in which a person finds what is wrong.
"""

from __future__ import annotations

import base64
import bz2
import codecs
import functools
import gzip
import io
import json
import lzma
import os
import shutil
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from vasari.core.errors import DataError
from vasari.core.records import Prompt
from vasari.data.prompt_file import read_prompts
from vasari.data.sources import BadRow, read_source

READERS = ("jsonl", "json", "csv", "tsv", "parquet", "sharegpt")


@functools.cache
def picture(size: tuple[int, int] = (8, 8), kind: str = "PNG") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, "red").save(out, kind)
    return out.getvalue()


def row(number: int, **more: Any) -> dict[str, Any]:
    return {"id": f"r{number}", "question": f"{number} + 2?", "answer": str(number + 2)} | more


def described(folder: Path, suffix: str) -> str:
    place = folder.parent / f"{suffix}.yaml"
    fields = {"id": "id", "question": "question", "answer": "answer", "images": "image"}
    place.write_text(
        yaml.safe_dump(
            {
                "name": suffix,
                "title": "t",
                "licence": "MIT",
                "files": {"train": f"train*.{suffix}*"},
            }
            | {"fields": fields, "keep_other_columns": True}
        )
    )
    return str(place)


def conversation(given: Any) -> Any:
    if not isinstance(given, dict):
        return given
    turns = [
        {"from": "human", "value": given.pop("question", None)},
        {"from": "gpt", "value": given.pop("answer", None)},
    ]
    return {"conversations": turns} | given


def write(reader: str, folder: Path, rows: list[Any]) -> None:
    """Write rows as a file of a reader; bytes stand for a whole line or entry, as they are."""
    folder.mkdir(exist_ok=True)

    def line(one: Any) -> bytes:
        one = conversation(dict(one)) if reader == "sharegpt" and isinstance(one, dict) else one
        return one if isinstance(one, bytes) else json.dumps(one).encode()

    if reader in ("jsonl", "sharegpt"):
        (folder / "train.jsonl").write_bytes(b"\n".join(line(one) for one in rows))
    elif reader == "json":
        (folder / "train.json").write_bytes(b"[" + b",\n".join(line(one) for one in rows) + b"]")
    elif reader == "parquet":
        names = dict.fromkeys(name for one in rows for name in one)
        full = [{name: one.get(name) for name in names} for one in rows]
        pq.write_table(pa.Table.from_pylist(full), folder / "train.parquet")
    else:
        (folder / f"train.{reader}").write_bytes(table(rows, "," if reader == "csv" else "\t"))


def table(rows: list[Any], delimiter: str) -> bytes:
    names = list(dict.fromkeys(name for one in rows if isinstance(one, dict) for name in one))
    lines = [delimiter.join(names).encode()]
    for one in rows:
        cells = [] if isinstance(one, bytes) else [str(one.get(name, "")) for name in names]
        quoted = ['"' + cell.replace('"', '""') + '"' for cell in cells]
        text = delimiter.join(quoted).encode("utf-8", "surrogateescape")
        lines.append(one if isinstance(one, bytes) else text)
    return b"\n".join(lines)


def read(reader: str, folder: Path) -> list[Prompt | BadRow]:
    name = reader if reader in ("jsonl", "parquet", "sharegpt") else described(folder, reader)
    return list(read_source(name, folder))


def middle(reader: str, folder: Path) -> BadRow:
    """Return the bad row in the middle, after checking that those around it were read."""
    first, bad, last = read(reader, folder)
    assert (getattr(first, "question", first), getattr(last, "question", last)) == (
        "1 + 2?",
        "3 + 2?",
    )
    assert isinstance(bad, BadRow), bad
    assert bad.reason.isprintable()
    assert len(bad.reason) <= 500
    bad.where.encode()
    return bad


JSON_ONLY = ("jsonl", "json", "sharegpt")
TABLES = ("csv", "tsv")
# Fault -> readers that it can meet, the middle row, and words of the reason.
FAULTS: dict[str, tuple[tuple[str, ...], Any, str]] = {
    "no question": (READERS, {"id": "x", "answer": "1"}, "no question|must be text"),
    "no answer": (READERS, {"id": "x", "question": "1?"}, "no answer|must be text"),
    "null character": (READERS, row(2, question="a\0b"), "null character"),
    "null in the answer": (READERS, row(2, answer="\0"), "null character"),
    "lone surrogate": (JSON_ONLY, row(2, question="\ud800"), "not valid UTF-8"),
    "surrogate as key": (("jsonl", "json"), {"\ud800": 1}, "no question"),
    "half an object": (("jsonl", "sharegpt"), b'{"id": "x", "question": "q', "not valid JSON"),
    "bad escape": (JSON_ONLY, rb'{"question": "\sin x", "answer": "1"}', "not valid JSON"),
    "bad bytes": (("jsonl", "json"), b'{"question": "\xe9?", "answer": "1"}', "UTF-8|utf-8"),
    "deep": (("jsonl", "json"), b'{"question": ' + b"[" * 50_000 + b"]" * 50_000 + b"}", "JSON"),
    "endless number": (JSON_ONLY, b'{"answer": ' + b"9" * 5_000 + b"}", "not valid JSON"),
    "infinity": (JSON_ONLY, b'{"question": "q", "answer": Infinity}', "finite|must be text|no list"),
    "too large a float": (("jsonl", "json"), b'{"question": "q", "answer": 1e999}', "finite"),
    "key twice": (
        ("jsonl", "json"), b'{"question": "q", "answer": "1", "answer": "2"}', "'answer' stands twice",
    ),
    "key twice inside": (
        ("jsonl", "json"),
        b'{"question": "q", "answer": "A", "choices": [{"a": 1, "a": 2}]}', "'a' stands twice",
    ),
    "a list": (JSON_ONLY, [1], "expected a JSON object, got list"),
    "null": (JSON_ONLY, None, "expected a JSON object, got null"),
    "dict as text": (("jsonl", "json"), row(2, question={"text": "q"}), "text or a number, got dict"),
    "truth value": (("jsonl", "json"), row(2, answer=True), "text or a number, got bool"),
    "several answers": (("jsonl", "json"), row(2, answer=["4", "5"]), "a list of 2"),
    "two boxes": (READERS, row(2, answer="\\boxed{1} \\boxed{2}"), "2 boxes that differ"),
    "open box": (READERS, row(2, answer="\\boxed{1"), "not closed"),
    "too many cells": (TABLES, b"x,1?,2,3\tx\t1?\t2\t3", "cells under"),
    "too few cells": (TABLES, b"x", "1 cells under"),
    "text behind a quote": (TABLES, b'x,"1"?,2,3\tx\t"1"?\t2\t3', "not a row|cells under"),
    "bad byte in a cell": (TABLES, row(2, question="caf\udce9"), "not valid UTF-8"),
    "missing picture": (READERS, row(2, image="none.png"), "missing"),
    "empty picture": (READERS, row(2, image="empty.png"), "is empty"),
    "no picture": (READERS, row(2, image="text.png"), "not an image"),
    "cut picture": (READERS, row(2, image="cut.png"), "truncated|not an image"),
    "huge picture": (READERS, row(2, image="huge.png"), "pixels"),
    "folder as picture": (READERS, row(2, image="folder.png"), "not a regular file"),
    "pipe as picture": (READERS, row(2, image="pipe.png"), "not a regular file"),
    "address as picture": (READERS, row(2, image="https://x.org/1.png"), "nothing is fetched"),
    "circle as picture": (READERS, row(2, image="circle.png"), "circle"),
    "picture outside": (READERS, row(2, image="../out.png"), "leaves the folder"),
    "long name": (READERS, row(2, image="x" * 5_000), "cannot read"),
    "data address": (READERS, row(2, image="data:image/png;base64,###"), "base64"),
    "number as picture": (("jsonl", "json"), row(2, image=7), "expected a path"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("reader", "fault"), [(reader, fault) for fault in FAULTS for reader in FAULTS[fault][0]]
)
def test_a_fault_costs_its_row(reader, fault, tmp_path):
    _, bad, words = FAULTS[fault]
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.png").write_text("no picture")
    (folder / "cut.png").write_bytes(picture()[:20])
    (folder / "huge.png").write_bytes(picture((5000, 4000)))
    (folder / "folder.png").mkdir()
    os.mkfifo(folder / "pipe.png")
    (folder / "circle.png").symlink_to(folder / "circle.png")
    if reader == "tsv" and isinstance(bad, bytes) and b"\t" in bad:
        bad = bad.partition(b"\t")[2]
    elif reader == "csv" and isinstance(bad, bytes):
        bad = bad.partition(b"\t")[0]
    write(reader, folder, [row(1), bad, row(3)])
    assert any(word in middle(reader, folder).reason for word in words.split("|"))


def test_a_bad_byte_in_a_text_of_parquet_costs_its_row(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    questions = [b"1 + 2?", b"caf\xe9", b"3 + 2?"]
    column = pa.Array.from_buffers(
        pa.string(), 3, [None, *pa.array(questions, type=pa.binary()).buffers()[1:]]
    )
    pq.write_table(
        pa.table({"question": column, "answer": ["3", "4", "5"]}), folder / "train.parquet"
    )
    assert middle("parquet", folder).reason == "the column 'question' is not valid UTF-8"


def test_bytes_that_are_no_picture_in_parquet_cost_their_row(tmp_path):
    images = [{"bytes": data, "path": None} for data in (picture(), picture()[:9], picture())]
    rows = [row(n, image=image) for n, image in zip((1, 2, 3), images, strict=True)]
    write("parquet", tmp_path / "data", rows)
    assert "not an image" in middle("parquet", tmp_path / "data").reason


@pytest.mark.parametrize("reader", ["csv", "tsv"])
def test_a_cell_longer_than_the_library_reads_is_read(reader, tmp_path):
    write(reader, tmp_path / "data", [row(1), row(2, solution="x" * 300_000), row(3)])
    found = read(reader, tmp_path / "data")
    assert [type(one) for one in found] == [Prompt] * 3
    assert len(found[1].columns["solution"]) == 300_000


def test_an_open_quote_swallows_no_other_row(tmp_path):
    write("csv", tmp_path / "data", [row(1), b'x,"never, closed,2', row(3)])
    assert "not a row of a table" in middle("csv", tmp_path / "data").reason


def test_a_row_group_that_is_damaged_costs_itself(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    path = folder / "train.parquet"
    rows = [row(n, question=f"{n} + 2? {'x' * 50}") for n in range(40)]
    pq.write_table(
        pa.Table.from_pylist(rows), path, row_group_size=10, compression="none",
        write_page_checksum=True, use_dictionary=False,
    )  # fmt: skip
    data = path.read_bytes()
    place = data.index(b"15 + 2?")
    path.write_bytes(data[:place] + b"\0" + data[place + 1 :])
    found = read("parquet", folder)
    (bad,) = (one for one in found if isinstance(one, BadRow))
    assert (bad.where, len(found)) == ("train.parquet: rows 11 to 20", 31)
    assert "cannot be read as Parquet" in bad.reason


def _zipped(data: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("t", data)
    return out.getvalue()


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "zstd": lambda data: b"\x28\xb5\x2f\xfd" + zlib.compress(data),
    "xz": lzma.compress,
    "bzip2": bz2.compress,
    "git lfs pull": lambda data: b"version https://git-lfs.github.com/spec/v1\noid sha256:12\n",
    "Parquet": lambda data: b"PAR1" + data,
    "zip": _zipped,
}


@pytest.mark.parametrize("reader", ["jsonl", "json", "csv", "tsv", "sharegpt"])
@pytest.mark.parametrize("kind", sorted(PACKERS))
def test_a_file_of_another_kind_says_what_it_is(reader, kind, tmp_path):
    folder = tmp_path / "data"
    write(reader, folder, [row(1)])
    (path,) = folder.iterdir()
    path.write_bytes(PACKERS[kind](path.read_bytes()))
    (bad,) = read(reader, folder)
    assert kind in bad.reason


@pytest.mark.parametrize("reader", ["jsonl", "json", "csv", "tsv", "sharegpt"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_other_encodings_and_line_ends_are_read(reader, encoding, ends, tmp_path):
    folder = tmp_path / "data"
    write(reader, folder, [row(1, question="1 + 2 ≟ 3?"), row(2)])
    (path,) = folder.iterdir()
    path.write_bytes(path.read_text().replace("\n", ends).encode(encoding))
    first, second = read(reader, folder)
    assert (first.question, second.question, second.answer) == ("1 + 2 ≟ 3?", "2 + 2?", "4")


@pytest.mark.parametrize("reader", ["jsonl", "json", "csv"])
def test_utf_16_with_a_bad_unit_costs_its_row(reader, tmp_path):
    folder = tmp_path / "data"
    write(reader, folder, [row(1), row(2, question="@"), row(3)])
    (path,) = folder.iterdir()
    data = path.read_text().encode("utf-16-le").replace("@".encode("utf-16-le"), b"\x00\xd8")
    path.write_bytes(codecs.BOM_UTF16_LE + data)
    assert middle(reader, folder)


@pytest.mark.parametrize("reader", ["jsonl", "json", "csv", "tsv", "sharegpt"])
def test_a_gzip_file_that_is_cut_gives_the_rows_before(reader, tmp_path):
    folder = tmp_path / "data"
    # Texts that do not pack, so that a cut leaves most of them.
    noise = [base64.b64encode(os.urandom(300)).decode() for _ in range(400)]
    write(reader, folder, [row(n, question=text) for n, text in enumerate(noise)])
    (path,) = folder.iterdir()
    packed = gzip.compress(path.read_bytes())
    path.unlink()
    (folder / f"{path.name}.gz").write_bytes(packed[: len(packed) // 2])
    *good, bad = read(reader, folder)
    assert all(isinstance(one, Prompt) for one in good)
    assert 150 < len(good) < 250
    assert "cannot be read any further" in bad.reason


@pytest.mark.parametrize("reader", READERS)
def test_what_is_no_file_in_a_folder_is_told_and_the_rest_read(reader, tmp_path):
    folder = tmp_path / "data"
    write(reader, folder, [row(1)])
    (path,) = folder.iterdir()
    suffix = path.suffix
    os.mkfifo(folder / f"train-pipe{suffix}")
    (folder / f"train-circle{suffix}").symlink_to(folder / f"train-circle{suffix}")
    (folder / f"train-nowhere{suffix}").symlink_to(folder / "none")
    shutil.copy(path, tmp_path / path.name)
    (folder / f"train-outside{suffix}").symlink_to(tmp_path / path.name)
    (folder / f"train-folder{suffix}").mkdir()
    found = read(reader, folder)
    assert [one.question for one in found if isinstance(one, Prompt)] == ["1 + 2?"]
    assert {one.where: one.reason[:24] for one in found if isinstance(one, BadRow)} == {
        f"train-circle{suffix}": "it cannot be reached: Sy",
        f"train-nowhere{suffix}": "it is a link that leads ",
        f"train-outside{suffix}": "it is a link that leaves",
        f"train-pipe{suffix}": "it is not a regular file",
    }


LOST: list[tuple[tuple[str, ...], dict[str, Any], dict[str, Any]]] = [
    (READERS, {"question": "\frac{1}{2}?"}, {"question": r"\frac{1}{2}?"}),
    (READERS, {"question": "a \rightarrow b?"}, {"question": r"a \rightarrow b?"}),
    (READERS, {"question": "\vec{a} at \beta and \theta"}, {"question": r"\vec{a} at \beta and \theta"}),
    (READERS, {"answer": "\boxed{1}"}, {"answer": "1"}),
    (READERS, {"answer": "\frac{36}{13}"}, {"answer": r"\frac{36}{13}"}),
    (READERS, {"answer": "\textbf{A}"}, {"answer": r"\textbf{A}"}),
    # The other readers are told of no columns of options and solutions.
    (("jsonl", "parquet"), {"answer": "A", "choices": ["3 \times 4", "5"]}, {"choices": (r"3 \times 4", "5")}),
    (("jsonl", "parquet"), {"solution": "So \boxed{1}."}, {"solution": r"So \boxed{1}."}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("reader", "written", "meant"),
    [(reader, written, meant) for readers, written, meant in LOST for reader in readers],
)
def test_latex_that_lost_its_backslash_to_an_escape_gets_it_back(reader, written, meant, tmp_path):
    write(reader, tmp_path / "data", [row(1), row(2, **written), row(3)])
    found = read(reader, tmp_path / "data")[1]
    assert {name: getattr(found, name) for name in meant} == meant


@pytest.mark.parametrize(
    "text", ["a title\vText", "c\bcd", "one\f\frack", "a\f\nb", "a\ttext", "a\tan", "old\rangle", "x\nu", "\x85", "\f", "5\b", "\\frac{1}{2}"]
)  # fmt: skip
def test_a_page_break_a_tab_and_a_line_end_are_no_lost_backslashes(text, tmp_path):
    write("jsonl", tmp_path / "data", [row(1), row(2, question=f"q {text}"), row(3)])
    found = [one.question for one in read("jsonl", tmp_path / "data")]
    assert found == ["1 + 2?", f"q {text}".strip(), "3 + 2?"]


def test_a_name_that_is_no_utf8_costs_nothing(tmp_path):
    folder = tmp_path / "data"
    write("jsonl", folder, [{"question": "1?", "answer": "1"}])
    (folder / "train.jsonl").rename(os.fsdecode(os.fsencode(folder) + b"/train-\xff.jsonl"))
    (prompt,) = read("jsonl", folder)
    assert prompt.id.encode() == rb"jsonl/train-\xff.jsonl#1"


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_a_prompt_file_refuses_the_fault_with_its_place(fault, tmp_path):
    readers, bad, _ = FAULTS[fault]
    if "jsonl" not in readers:
        return
    (tmp_path / "huge.png").write_bytes(picture((5000, 4000)))
    (tmp_path / "circle.png").symlink_to(tmp_path / "circle.png")
    write("jsonl", tmp_path, [row(1), bad, row(3)])
    with pytest.raises(DataError) as error:
        read_prompts(tmp_path / "train.jsonl")
    assert str(error.value).startswith(f"{tmp_path}/train.jsonl:2: ")
    assert "\n" not in str(error.value)
