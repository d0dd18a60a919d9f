"""Spreadsheets: cells, names, what is missing, and files that are made to exhaust memory."""

from __future__ import annotations

import datetime
import sys
import zipfile
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

openpyxl = pytest.importorskip("openpyxl")

from vasari.core.errors import DataError, MissingExtraError  # noqa: E402
from vasari.data import spreadsheet  # noqa: E402
from vasari.data.spreadsheet import read_spreadsheet  # noqa: E402

SHEET = "xl/worksheets/sheet1.xml"
START = '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
END = "</sheetData></worksheet>"


def write(path, *rows):
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.save(path)
    return path


def rewritten(path, part, content, *, stated=None):
    """Replaces a part of a workbook, and what the archive states as its size."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts[part] = content.encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    if stated is not None:
        raw, size = path.read_bytes(), len(content).to_bytes(4, "little")
        path.write_bytes(raw.replace(size, stated.to_bytes(4, "little")))
    return path


def values(path):
    return [row.values if row.values is not None else row.problem for row in read_spreadsheet(path)]


def test_cells_keep_their_types_and_blank_ones_are_none(tmp_path):
    path = write(tmp_path / "a.xlsx", ("a", "b", "c"), (1, 1.5, True), ("007", None, " x\n"))
    assert values(path) == [
        {"a": 1, "b": 1.5, "c": True},
        {"a": "007", "b": None, "c": " x\n"},
    ]


def test_a_text_that_looks_like_a_formula_is_a_text(tmp_path):
    path = write(tmp_path / "a.xlsx", ("a", "b"), ("=5", "=A1+1"), ("#N/A", "-1"))
    assert values(path) == [{"a": "=5", "b": "=A1+1"}, {"a": "#N/A", "b": "-1"}]


def test_dates_are_texts_as_in_a_csv(tmp_path):
    day, noon = datetime.date(2026, 1, 2), datetime.datetime(2026, 1, 2, 12, 30)
    path = write(tmp_path / "a.xlsx", ("a", "b"), (day, noon))
    assert values(path) == [{"a": "2026-01-02", "b": "2026-01-02 12:30:00"}]


def test_control_characters_are_read_as_they_were_written(tmp_path):
    writer = pytest.importorskip("xlsxwriter")
    with writer.Workbook(tmp_path / "a.xlsx") as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, ["a", "b"])
        sheet.write_row(1, 0, ["one\r\ntwo", "\x0crac{1}{2}"])
    assert values(tmp_path / "a.xlsx") == [{"a": "one\r\ntwo", "b": "\x0crac{1}{2}"}]


def test_empty_rows_and_columns_without_a_name(tmp_path):
    path = write(tmp_path / "a.xlsx", (), ("a", None, "b"), (), (1, 2, 3), (4, None, None, 5))
    assert values(path) == [{"a": 1, "": 2, "b": 3}, "a cell has no column name"]


def test_two_columns_of_one_name_are_refused(tmp_path):
    path = write(tmp_path / "a.xlsx", ("a", "b", "a"), (1, 2, 3))
    with pytest.raises(DataError, match="two columns are called 'a'"):
        values(path)


def test_too_many_columns_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(spreadsheet, "MAX_COLUMNS", 2)
    with pytest.raises(DataError, match="more than 2 columns"):
        values(write(tmp_path / "a.xlsx", ("a", "b", "c"), (1, 2, 3)))


def test_the_first_sheet_is_read(tmp_path):
    book = openpyxl.Workbook()
    book.active.append(("a",))
    book.active.append((1,))
    book.create_sheet("other").append(("b",))
    book.save(tmp_path / "a.xlsx")
    assert values(tmp_path / "a.xlsx") == [{"a": 1}]


def test_a_wrong_statement_of_the_sheets_size_is_not_believed(tmp_path):
    path = write(tmp_path / "a.xlsx", ("a",), (1,))
    stated = START.replace("<sheetData>", '<dimension ref="A1:A1"/><sheetData>')
    cells = "<row><c><v>1</v></c></row>" * 3
    assert len(values(rewritten(path, SHEET, stated + cells + END))) == 2


def test_openpyxl_is_asked_for_by_the_name_of_its_extra(tmp_path, monkeypatch):
    path = write(tmp_path / "a.xlsx", ("a",))
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(MissingExtraError, match=r"a\.xlsx: .*pip install 'vasari\[evaluate\]'"):
        values(path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"a,b\n1,2\n", b"\xd0\xcf\x11\xe0" * 200])
def test_what_is_no_workbook_is_refused(tmp_path, content):
    (tmp_path / "a.xlsx").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.xlsx: cannot be read as a spreadsheet"):
        values(tmp_path / "a.xlsx")


def test_an_archive_without_a_workbook_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.xlsx", "w") as archive:
        archive.writestr("a.txt", "x")
    with pytest.raises(DataError, match=r"a\.xlsx: cannot be read as a spreadsheet"):
        values(tmp_path / "a.xlsx")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match="there is no such file"):
        values(tmp_path / "a.xlsx")


BOMBS = {
    "unpacks to more than": (SHEET, START + " " * 3_000_000 + END),
    "more than 1,000 elements": (SHEET, START + "<row>" + "<c/>" * 2_000 + "</row>" + END),
    "more than 5,000 characters": (
        SHEET, START + "<row><c t='str'><v>" + "x" * 9_000 + "</v></c></row>" + END
    ),
    "more than 100 rows": (SHEET, START + "<row/>" * 200 + END),
    "a row's number is above 100": (SHEET, START + '<row r="99999999999"/>' + END),
    "a tag has more than 9,000 bytes": (SHEET, START + "<!--" + "x" * 1_500_000 + "-->" + END),
    "declares a document type": (
        SHEET, '<!DOCTYPE a [<!ENTITY b "x"><!ENTITY c "&b;&b;">]>' + START + END
    ),
}  # fmt: skip


@pytest.mark.parametrize("message", sorted(BOMBS))
def test_a_workbook_beyond_a_limit_is_refused_before_it_is_parsed(tmp_path, monkeypatch, message):
    monkeypatch.setattr(spreadsheet, "MAX_UNPACKED_BYTES", 2_000_000)
    monkeypatch.setattr(spreadsheet, "MAX_ROW_ELEMENTS", 1_000)
    monkeypatch.setattr(spreadsheet, "MAX_ROW_CHARS", 20_000 if "char" not in message else 5_000)
    monkeypatch.setattr(spreadsheet, "MAX_ROWS", 100)
    monkeypatch.setattr(spreadsheet, "MAX_TOKEN_BYTES", 9_000)
    path = write(tmp_path / "a.xlsx", ("a",), (1,))
    with pytest.raises(DataError, match=message):
        values(rewritten(path, *BOMBS[message]))


def test_an_archive_that_understates_its_size_is_refused(tmp_path):
    path = write(tmp_path / "a.xlsx", ("a",), (1,))
    content = START + "<row/>" * 200_000 + END
    rewritten(path, SHEET, content, stated=5_000)
    assert path.stat().st_size < 50_000
    with pytest.raises(DataError, match="cannot be read as a spreadsheet"):
        values(path)


def test_a_sheet_of_extreme_corners_takes_little_memory(tmp_path):
    import tracemalloc

    path = write(tmp_path / "a.xlsx", ("a",), (1,))
    corner = '<row r="1"><c r="A1" t="str"><v>a</v></c></row><row r="100000"><c r="XFD100000"><v>1</v></c></row>'
    rewritten(path, SHEET, START + corner + END)
    tracemalloc.start()
    assert values(path) == ["a cell has no column name"]
    assert tracemalloc.get_traced_memory()[1] < 20 * 2**20
    tracemalloc.stop()


@given(st.lists(st.tuples(st.integers(0, 6_000), st.integers(0, 8), st.binary(max_size=4)), min_size=1, max_size=4))  # fmt: skip
def test_a_file_damaged_anywhere_gives_rows_or_one_kind_of_error(tmp_path_factory, edits):
    path = tmp_path_factory.getbasetemp() / "damaged.xlsx"
    if not hasattr(write, "sound"):
        write.sound = write(path, ("a", "b"), (1, "x"), (2, "y")).read_bytes()
    content = write.sound
    for start, removed, put in edits:
        place = start % len(content)
        content = content[:place] + put + content[place + removed :]
    path.write_bytes(content)
    with suppress(DataError):
        assert all((row.values is None) == bool(row.problem) for row in read_spreadsheet(path))
