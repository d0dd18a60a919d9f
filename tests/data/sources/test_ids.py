"""No two rows share an id, and none is lost because another one has it."""

from __future__ import annotations

import pytest

from vasari.data.sources import BadRow, read_source


def rows(start: int, count: int = 3, **more: str) -> list[dict]:
    return [
        {"question": f"{start} + {n}?", "answer": str(start + n)} | {k: str(n) for k in more}
        for n in range(count)
    ]


def test_the_name_that_a_source_was_given_begins_its_ids(plant):
    folder = plant({"train.jsonl": rows(1)})
    first, second = (list(read_source("jsonl", folder, called=n)) for n in ("first", "second"))
    assert [p.id for p in first] == [f"first/train.jsonl#{n}" for n in (1, 2, 3)]
    assert not {p.id for p in first} & {p.id for p in second}
    assert {p.metadata["source"] for p in second} == {"second"}


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_files_that_each_count_from_0_lose_no_row(suffix, plant):
    folder = plant({f"train-a.{suffix}": rows(1, id="n"), f"train-b.{suffix}": rows(100, id="n")})
    found = list(read_source(suffix, folder))
    assert not [row for row in found if isinstance(row, BadRow)]
    assert [p.id for p in found] == [
        *(f"{suffix}/{n}" for n in range(3)),
        *(f"{suffix}/{n}@train-b.{suffix}#{n + 1}" for n in range(3)),
    ]
    assert [p.metadata["native_id"] for p in found] == ["0", "1", "2"] * 2


def test_a_row_that_stands_twice_costs_its_second_place(plant):
    folder = plant({"train-a.jsonl": rows(1, id="n"), "train-b.jsonl": rows(1, id="n")})
    found = list(read_source("jsonl", folder))
    assert [type(row).__name__ for row in found] == ["Prompt"] * 3 + ["BadRow"] * 3
    assert found[3].reason == "the id '0' was already used, by the same row"


def test_rows_of_one_id_in_one_file_are_all_kept(plant):
    asked = ("a?", "b?", "a?", "b?", "c?")
    rows = [{"id": "x", "question": q, "answer": "1"} for q in asked]
    found = list(read_source("jsonl", plant({"train.jsonl": rows})))
    ids = ["jsonl/x", "jsonl/x@train.jsonl#2", None, None, "jsonl/x@train.jsonl#5"]
    assert [getattr(row, "id", None) for row in found] == ids


def test_an_id_that_looks_like_one_of_ours_is_no_second_of_it(plant):
    rows = [{"id": i, "question": f"{i}{n}?", "answer": "1"} for n, i in enumerate("xx")]
    rows.append({"id": "x@train.jsonl#2", "question": "other?", "answer": "1"})
    found = list(read_source("jsonl", plant({"train.jsonl": rows})))
    ids = [row.id for row in found]
    assert len(set(ids)) == 3
    assert ids[2] == "jsonl/x@train.jsonl#2@train.jsonl#3"
