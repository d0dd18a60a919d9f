"""Rows of stored files, and what damaged and hostile files cost."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import tracemalloc

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vasari.core.errors import DataError
from vasari.data import json_rows, opened
from vasari.data.json_rows import json_document
from vasari.data.rows import SUFFIXES, raise_problems, read_rows


@pytest.fixture
def found(tmp_path):
    """Write a file, and return (number, values or problem) of each of its rows."""

    def read(name: str, content: bytes | str, **options):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return [
            (row.number, row.problem if row.values is None else row.values)
            for row in read_rows(path, **options)
        ]

    return read


A, B = {"a": 1}, {"a": 2}


def parquet(**columns) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("t.jsonl", '{"a": 1}\r\n\n{"a": 2}', [(1, A), (3, B)]),
        ("t.jsonl", '\ufeff{"a": 1}\n', [(1, A)]),
        ("T.JSONL", '{"a": 1}', [(1, A)]),
        ("t.json-lines.gz", gzip.compress(b'{"a": 1}', mtime=0), [(1, A)]),
        ("packed_without_saying.jsonl", gzip.compress(b'{"a": 1}', mtime=0), [(1, A)]),
        ("t.json", ' [{"a": 1}, {"a": 2}]', [(1, A), (2, B)]),
        ("t.json.gz", gzip.compress(b'[{"a": 1}]', mtime=0), [(1, A)]),
        ("t.json", '{"a": 1}', [(1, A)]),
        ("t.json", '{"x": {"a": 1}}', [(1, {"_key": "x", "_value": A} | A)]),
        ("t.json", '{"x": [1]}', [(1, {"_key": "x", "_value": [1]})]),
        ("lines_in_fact.json", '{"a": 1}\n{"a": 2}', [(1, A), (2, B)]),
        ("t.csv", 'a,b\n"1\n2",x\n\n3,\n', [(2, {"a": "1\n2", "b": "x"}), (5, {"a": "3", "b": ""})]),
        ("t.tsv.gz", gzip.compress(b"a\tb\n1\t2\t\n", mtime=0), [(2, {"a": "1", "b": "2"})]),
        ("t.csv", "a,b\rold,mac\r", [(2, {"a": "old", "b": "mac"})]),
        ("t.parquet", parquet(a=[1, 2]), [(1, A), (2, B)]),
        ("t.csv", "", []),
        ("t.jsonl", "", []),
    ],
)  # fmt: skip
def test_rows_come_in_order_with_their_numbers(name, content, expected, found):
    assert found(name, content) == expected


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("t.jsonl", '{"a": \n{"a": 1}', [(1, "not valid JSON: Expecting"), (2, A)]),
        ("t.jsonl", '[1]\nnull\n{"a": 1}',
         [(1, "expected a JSON object, got list"), (2, "expected a JSON object, got null"), (3, A)]),
        ("t.jsonl", b'{"a": "\xe9"}\n{"a": 1}', [(1, "not valid JSON: 'utf-8' codec"), (2, A)]),
        ("t.jsonl", "[" * 100_000 + '\n{"a": 1}', [(1, "not valid JSON: maximum rec"), (2, A)]),
        ("t.jsonl", '{"a": %s}\n{"a": 1}' % ("9" * 5_000), [(1, "not valid JSON: Exceeds"), (2, A)]),
        ("t.jsonl", '{"a": "%s"}\n{"a": 1}' % ("x" * 300_000), [(1, "the line is longer than 200,000 b"), (2, A)]),
        ("t.jsonl.gz", b"no gzip", [(1, "cannot be read any further: Not a gzipped")]),
        ("t.json", '[{"a": 1}, 7, {"a": 2}, {"a"', [(1, A), (2, "expected a JSON object, got int"), (3, B), (3, "not valid JSON")]),
        ("t.json", '[{"a": 1}', [(1, A), (1, "the list does not end")]),
        ("t.json", "[" * 100_000, [(0, "not valid JSON: maximum rec")]),
        ("t.json", '{"a": %s}' % ("9" * 5_000), [(1, "not valid JSON: Exceeds")]),
        ("t.json", "7", [(0, "expected a list or a mapping of rows, found int")]),
        ("t.json", "", [(1, "not valid JSON: Expecting")]),
        ("t.csv", b"a,b\n1,\xe9\n2,3\n", [(2, "not valid UTF-8"), (3, {"a": "2", "b": "3"})]),
        ("t.csv", "a\n%s\n" % ("x" * 300_000), [(2, "not a row of a table: the line is longer")]),
        ("t.parquet", b"PAR1 no", [(0, "cannot be read as Parquet: ")]),
        ("t.parquet", parquet(a=[1])[:-9], [(0, "cannot be read as Parquet: ")]),
    ],
)  # fmt: skip
def test_a_problem_costs_one_row_or_the_rest_of_the_file(
    name, content, expected, found, monkeypatch
):
    monkeypatch.setattr(opened, "MAX_LINE_BYTES", 200_000)
    got = found(name, content)
    assert [number for number, _ in got] == [number for number, _ in expected]
    for (_, value), (_, wanted) in zip(got, expected, strict=True):
        assert value == wanted if isinstance(wanted, dict) else value.startswith(wanted), value


def test_a_table_reports_surplus_and_missing_cells_and_badly_closed_quotes(found):
    table = 'a\tb\n1\n1\t2\t3\n"x"y\t2\t3\n1\t2\n"open\t2\t3\n'
    assert found("t.tsv", table) == [
        (2, "1 cells under 2 column names"),
        (3, "3 cells under 2 column names"),
        (4, "not a row of a table: '\t' expected after '\"'"),
        (5, {"a": "1", "b": "2"}),
        (6, "not a row of a table: unexpected end of data"),
    ]


def test_rows_lie_where_the_caller_says(found):
    text = '{"data": {"rows": [{"a": 1}]}}'
    assert found("t.json", text, rows_at="data.rows") == [(1, A)]
    assert found("t.json", text, rows_at="data.none") == [
        (0, "expected rows at 'data.none', found the keys rows")
    ]


def test_only_the_columns_asked_for_are_read_of_a_parquet_file(found):
    assert found("t.parquet", parquet(a=[1], b=["x"]), columns=["a", "none"]) == [(1, A)]


def test_a_date_that_python_cannot_hold_costs_its_row(found):
    dates = pa.array([0, 2**31 - 1, 1], type=pa.date32())
    (_, first), (_, problem), (_, last) = found("t.parquet", parquet(a=dates))
    assert (first["a"].year, last["a"].day) == (1970, 2)
    assert problem.startswith("the column 'a' cannot be read: ")


@pytest.mark.parametrize("name", ["t.jsonl.gz", "t.csv.gz", "t.json.gz"])
def test_a_small_gzip_file_that_unpacks_to_one_huge_line_does_not_fill_the_memory(
    name, found, monkeypatch
):
    monkeypatch.setattr(opened, "MAX_LINE_BYTES", 2**20)
    monkeypatch.setattr(json_rows, "MAX_DOCUMENT_BYTES", 2**20)
    bomb = gzip.compress(b'"' + bytes(64 * 2**20))
    tracemalloc.start()
    ((_, problem),) = found(name, bomb)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert isinstance(problem, str)
    assert peak < 24 * 2**20


def test_a_gzip_file_that_breaks_off_gives_the_rows_before(tmp_path):
    lines = [json.dumps({"a": number}).encode() for number in range(20_000)]
    path = tmp_path / "t.jsonl.gz"
    path.write_bytes(gzip.compress(b"\n".join(lines))[:-2_000])
    *before, last = read_rows(path)
    assert [row.values for row in before] == [{"a": number} for number in range(len(before))]
    assert len(before) > 1_000
    assert last.where == f"{path}: after row {len(before)}"
    assert "cannot be read any further" in last.problem


def test_the_share_of_the_file_read_grows_to_one(tmp_path):
    (tmp_path / "t.jsonl").write_text('{"a": 1}\n' * 50_000)
    (tmp_path / "t.parquet").write_bytes(parquet(a=list(range(100))))
    for name in ("t.jsonl", "t.parquet"):
        shares = [row.share for row in read_rows(tmp_path / name)]
        assert shares == sorted(shares)
        assert shares[-1] == 1.0


def test_what_is_no_file_of_rows_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.jsonl")
    (tmp_path / "t.txt").write_text("x")
    for name, message in (
        ("none.jsonl", "there is no such file"),
        ("none.parquet", "there is no such file"),
        ("pipe.jsonl", "there is no such file"),
        ("x" * 300 + ".jsonl", "cannot be read: File name too long"),
        ("t.txt", f"the suffix must be one of {SUFFIXES[0]}"),
    ):
        with pytest.raises(DataError, match=message):
            list(read_rows(tmp_path / name))


def test_a_document_larger_than_the_limit_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(json_rows, "MAX_DOCUMENT_BYTES", 10)
    for name, content in (
        ("t.json", b'{"a": 1234}'),
        ("z.json", gzip.compress(b'{"a": 1234}', mtime=0)),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match="more than 10 bytes, the most for a JSON document"):
            json_document(tmp_path / name)


def test_the_first_problem_is_raised_where_rows_must_be_sound(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text('{"a": 1}\n{')
    sound = raise_problems(read_rows(path, shown="shown.jsonl"))
    assert next(sound)[1] == A
    with pytest.raises(DataError, match=r"^shown\.jsonl:2: not valid JSON: Expecting"):
        next(sound)


cells = st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), max_size=6)


@given(
    st.lists(st.tuples(cells, cells), max_size=5), st.sampled_from([("csv", ","), ("tsv", "\t")])
)
def test_a_table_is_read_as_it_was_written(tmp_path_factory, table, kind):
    path = tmp_path_factory.mktemp("law") / f"t.{kind[0]}"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=kind[1]).writerows([("a", "b"), *table])
    expected = [{"a": first, "b": second} for first, second in table]
    assert [row.values for row in read_rows(path)] == expected


SOUND = {
    "t.jsonl": b'{"a": 1}\n{"b": "x"}\n',
    "t.jsonl.gz": gzip.compress(b'{"a": 1}\n' * 50, mtime=0),
    "t.json": b'[{"a": 1, "b": [1, {"c": "\\ud800"}]}, {"a": 2.5e3}]',
    "t.csv": b'a,b\n1,"x\ny"\n"q""",2\n',
    "t.parquet": parquet(a=[1, 2, 3], b=["x", "y", None]),
}


@given(
    st.sampled_from(sorted(SOUND)),
    st.lists(
        st.tuples(st.integers(0, 2_000), st.integers(0, 8), st.binary(max_size=4)), max_size=5
    ),
)
def test_a_file_damaged_anywhere_gives_rows_and_problems_and_no_other_error(
    tmp_path_factory, name, edits
):
    content = SOUND[name]
    for start, removed, put in edits:
        place = start % (len(content) + 1)
        content = content[:place] + put + content[place + removed :]
    path = tmp_path_factory.mktemp("law") / name
    path.write_bytes(content)
    for row in read_rows(path):
        assert (row.values is None) == bool(row.problem)


@pytest.mark.parametrize(
    ("content", "sound", "num_problems"),
    [
        ("[}", [], 2),  # nor does the list end
        ("[}]", [], 1),
        ('[{"a": 1}, }', [{"a": 1}], 2),
        ('[{"a": 1}}, {"a": 2}]', [{"a": 1}, {"a": 2}], 1),
        ("[,}]", [], 1),
        ('[{"a": 1}]}', [{"a": 1}], 1),
    ],
)
def test_a_bracket_of_a_json_list_that_opened_nowhere_costs_itself(
    tmp_path, content, sound, num_problems
):
    path = tmp_path / "t.json"
    path.write_text(content)
    rows = list(read_rows(path))
    assert [row.values for row in rows if not row.problem] == sound
    assert sum(bool(row.problem) for row in rows) == num_problems


@pytest.mark.parametrize("rest", ['\n[{"a": 2}]', " and more"])
def test_what_follows_a_json_list_is_a_problem_and_not_dropped(tmp_path, rest):
    path = tmp_path / "t.json"
    path.write_text(f'[{{"a": 1}}]{rest}')
    first, last = read_rows(path)
    assert first.values == {"a": 1}
    assert "text after the end of the list" in last.problem


def test_an_endless_number_in_a_json_list_is_a_problem(tmp_path):
    path = tmp_path / "t.json"
    path.write_text(f'[{{"a": {"9" * 5000}}}]')
    assert [row.values for row in read_rows(path)] == [None]
