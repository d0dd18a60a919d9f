"""What a file says in columns of its own never stands for what Vasari knows of a prompt."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from vasari.core.records import COLUMNS, Prompt
from vasari.data.prompt_file import read_prompts, write_prompts
from vasari.data.sources import read_source
from vasari.model.chat import target_text

OURS = [
    "source",
    "native_id",
    "split",
    "domain",
    "tier",
    "image_names",
    "native_answer",
    "columns",
    "final",
    "facts",
    "reads",
    "scene",
    "style",
    "slips",
    "imperfection",
    "rl_part",
    "grade",
    "source_difficulty",
    "source_category",
    "annotation",
    "validity",
    "contested",
    "rephrased",
]
"""Keys of a prompt's metadata that some step of Vasari sets or reads."""

PROVENANCE = {"source", "native_id", "split", "licence", "domain", "category", "tier"}

ROW = {"id": "1", "question": "2 + 3?", "answer": "5", "solution": "2 + 3 = 5."}
FOREIGN = {name: f"of the file: {name}" for name in OURS}


def _source(reader: str, row: dict, folder: Path) -> list[Prompt]:
    folder.mkdir()
    described = {"name": reader, "title": "t", "licence": "none stated", "keep_other_columns": True}
    described["fields"] = {"id": "id", "question": "question", "answer": "answer"}
    described["fields"]["solution"] = "solution"
    if reader == "parquet":
        pq.write_table(pa.Table.from_pylist([row]), folder / "train.parquet")
        return list(read_source("parquet", folder))
    if reader == "jsonl":
        (folder / "train.jsonl").write_text(json.dumps(row))
        return list(read_source("jsonl", folder))
    if reader == "json":
        (folder / "train.json").write_text(json.dumps([row]))
    else:
        texts = [v if isinstance(v, str) else json.dumps(v) for v in row.values()]
        cells = ['"' + text.replace('"', '""') + '"' for text in texts]
        (folder / "train.csv").write_text(",".join(row) + "\n" + ",".join(cells) + "\n")
    described["files"] = {"train": f"train.{reader}"}
    place = folder.parent / f"{reader}.yaml"
    place.write_text(yaml.safe_dump(described))
    return list(read_source(str(place), folder))


@pytest.mark.parametrize("reader", ["jsonl", "json", "csv", "parquet"])
@pytest.mark.parametrize("where", ["columns", "metadata"])
def test_no_column_of_a_source_stands_for_ours(reader, where, tmp_path):
    more = FOREIGN if where == "columns" else {"metadata": FOREIGN}
    (prompt,) = _source(reader, ROW | more, tmp_path / "data")
    assert set(prompt.metadata) == PROVENANCE | {COLUMNS}
    assert prompt.metadata["source"] == reader
    assert prompt.columns == FOREIGN
    assert target_text(prompt).endswith("<answer>\\boxed{5}</answer>")


def test_a_column_that_a_description_names_as_ours_stays_the_files(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.json").write_text(json.dumps([ROW | {"f": "7"}]))
    (tmp_path / "mine.yaml").write_text(
        "name: mine\ntitle: t\nlicence: MIT\nfiles: {train: train.json}\n"
        "fields: {id: id, question: question, answer: answer, solution: solution,"
        " metadata: {final: f}}\n"
    )
    (prompt,) = read_source(str(tmp_path / "mine.yaml"), tmp_path / "data")
    assert (prompt.columns, "final" in prompt.metadata) == ({"final": "7"}, False)


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
@pytest.mark.parametrize("where", ["columns", "metadata"])
def test_no_column_of_a_prompt_file_stands_for_ours(suffix, where, tmp_path):
    row = ROW | (FOREIGN if where == "columns" else {"metadata": json.dumps(FOREIGN)})
    path = tmp_path / f"p.{suffix}"
    if suffix == "jsonl":
        path.write_text(json.dumps(row))
    else:
        pq.write_table(pa.Table.from_pylist([row]), path)
    (prompt,) = read_prompts(path)
    assert dict(prompt.metadata) == {COLUMNS: FOREIGN}
    assert target_text(prompt).endswith("<answer>\\boxed{5}</answer>")


def test_a_file_of_ours_keeps_ours_apart_when_it_is_read_again_and_again(tmp_path):
    ours = {"final": "6", "source": "s", "licence": "MIT", COLUMNS: {"final": "7", "year": 1}}
    first = Prompt(id="1", question="2 + 3?", answer="5", solution="So 6.", metadata=ours)
    (tmp_path / "own").mkdir()
    path = tmp_path / "own" / "train.parquet"
    write_prompts(path, [first])
    (again,) = read_prompts(path)
    assert again == first
    (source,) = read_source("parquet", tmp_path / "own")
    assert source.columns == {"final": "7", "year": 1, "source": "s", "licence": "MIT"}
    assert (source.metadata["licence"], source.metadata["source"]) == ("MIT", "parquet")


def test_columns_that_somebody_added_to_a_file_of_ours_are_the_files(tmp_path):
    path = tmp_path / "train.parquet"
    write_prompts(path, [Prompt(id="1", question="q", answer="5", metadata={"source": "s"})])
    table = pq.read_table(path)
    pq.write_table(table.append_column("final", pa.array(["7"])), path)
    (prompt,) = read_prompts(path)
    assert dict(prompt.metadata) == {"source": "s", COLUMNS: {"final": "7"}}


def test_a_file_of_an_earlier_version_is_read_as_it_was_written(tmp_path):
    flat = {"final": "6", "facts": [["a?", "b"]], "reads": "r", "year": 2020}
    path = tmp_path / "train.parquet"
    write_prompts(path, [Prompt(id="1", question="q", answer="5", metadata=flat)])
    assert dict(read_prompts(path)[0].metadata) == flat


def test_a_row_states_its_licence_where_the_description_does_not(tmp_path):
    for name in ("licence", "license"):
        (prompt,) = _source("jsonl", ROW | {name: "CC0"}, tmp_path / name)
        assert prompt.metadata["licence"] == "CC0"
    (prompt,) = _source("jsonl", ROW | {"metadata": {"license": "CC0"}}, tmp_path / "nested")
    assert prompt.metadata["licence"] == "CC0"


def test_what_json_cannot_hold_of_a_foreign_metadata_is_left_out(tmp_path):
    path = tmp_path / "p.parquet"
    facts = {"raw": b"\x00\xff", "year": 2020, "score": float("nan")}
    pq.write_table(pa.Table.from_pylist([ROW | {"metadata": facts}]), path)
    (prompt,) = read_prompts(path)
    assert prompt.columns == {"year": 2020}
    write_prompts(tmp_path / "again.parquet", [prompt])
