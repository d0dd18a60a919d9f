"""Delimited texts: quoting, stray quotes, and what cannot be told apart."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vasari.data import delimited
from vasari.data.delimited import read_records

HEAD = "index\tanswer\tprediction\n"


def cells(text, delimiter="\t"):
    lines = iter(io.StringIO(text, newline=""))
    return [
        record.cells if record.cells is not None else record.problem
        for record in read_records(lines, delimiter)
    ]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ('3\t5\t"yes', ("3", "5", '"yes')),
        ('3\t5\tyes"', ("3", "5", 'yes"')),
        ('3\t"5\tyes', ("3", '"5', "yes")),
        ('3\t5\t"yes" he said', ("3", "5", '"yes" he said')),
        ('3\t5\t"a" and "b', ("3", "5", '"a" and "b')),
        ('3\t5\t"', ("3", "5", '"')),
        ('3\t5\t"""', ("3", "5", '"""')),
        ('"3\t5\tyes', ('"3', "5", "yes")),
        ('3\t5\t6" wide', ("3", "5", '6" wide')),
        ('3\t5\t"quoted"', ("3", "5", "quoted")),
        ('3\t5\t"a ""b"" c"', ("3", "5", 'a "b" c')),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_quote_in_a_tsv_costs_neither_its_row_nor_others(row, expected, end):
    text = (HEAD + "1\t5\ta\n" + row + "\n4\t5\td\n5\t5\te").replace("\n", end)
    rows = [("1", "5", "a"), expected, ("4", "5", "d"), ("5", "5", "e")]
    assert cells(text) == [("index", "answer", "prediction"), *rows]


def test_a_quote_that_another_row_closes_joins_no_rows():
    text = HEAD + '1\t5\t"yes\n2\t5\tb\n3\t5\tsix"\n4\t5\td\n'
    rows = [("1", "5", '"yes'), ("2", "5", "b"), ("3", "5", 'six"'), ("4", "5", "d")]
    assert cells(text)[1:] == rows


def test_a_misread_quote_in_a_short_row_costs_that_row_alone():
    text = HEAD + '1\t"5\n2\t5\tb\n3\t5\tc"\n4\t5\td\n'
    assert cells(text)[1:] == [("1", '"5'), ("2", "5", "b"), ("3", "5", 'c"'), ("4", "5", "d")]


def test_a_quoted_field_with_delimiters_goes_before_a_short_row_with_a_stray_quote():
    text = HEAD + '1\t"5\nx\ty"\tb\n'
    assert cells(text)[1:] == [("1", "5\nx\ty", "b")]


def test_line_ends_and_delimiters_in_quoted_fields_are_kept():
    text = HEAD + '1\t5\t"It is\n\n5,\tindeed"\n"2"\t"5"\t"b\r\n"\n'
    assert cells(text)[1:] == [("1", "5", "It is\n\n5,\tindeed"), ("2", "5", "b\r\n")]


def test_a_quoted_file_may_hold_a_table_of_as_many_columns():
    text = '"index"\t"answer"\t"prediction"\n"1"\t"5"\t"a\tb\tc\n1\t2\t3"\n'
    assert cells(text)[1:] == [("1", "5", "a\tb\tc\n1\t2\t3")]


plain = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\t\0"), max_size=5)
anything = st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), max_size=5)


@given(st.lists(st.tuples(plain, plain, plain.map("x".__add__)), max_size=6))
def test_no_row_of_an_unquoted_tsv_is_lost(table):
    text = HEAD + "".join("\t".join(row) + "\n" for row in table)
    assert len(cells(text)) == len(table) + 1


@given(st.lists(st.tuples(anything, anything, anything), max_size=6), st.sampled_from("\t,"))
def test_what_is_quoted_throughout_is_read_as_written(table, delimiter):
    file = io.StringIO()
    writer = csv.writer(file, delimiter=delimiter, quoting=csv.QUOTE_ALL)
    writer.writerows([("a", "b", "c"), *table])
    assert cells(file.getvalue(), delimiter) == [("a", "b", "c"), *table]


@given(st.text(st.sampled_from('"\t\n,ab\r'), max_size=60), st.sampled_from("\t,"))
def test_no_text_makes_it_fail(text, delimiter):
    cells(text, delimiter)


def test_an_endless_quoted_field_is_bounded(monkeypatch):
    monkeypatch.setattr(delimited, "MAX_RECORD_CHARS", 100)
    found = cells(HEAD + '1\t"5\n' + "2\t5\tb\n" * 30)
    assert found[1] == "not a row of a table: a record is longer than 100 characters"
    assert found[2:] == [("2", "5", "b")] * 30
