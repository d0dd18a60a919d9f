"""`vasari rescore` on spreadsheets."""

from __future__ import annotations

import json
import sys

import pandas as pd
import pytest

from vasari.cli.main import main


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs `vasari rescore` and returns what it printed and its exit code."""

    def call(*words, code=0):
        monkeypatch.setattr(sys, "argv", ["vasari", "rescore", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            main()
        said = capsys.readouterr()
        assert (stop.value.code or 0) == code, said.err
        return said.out + said.err

    return call


def verdicts(folder, name="verdicts.jsonl"):
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]


def test_vlmevalkits_workbook_is_rescored_like_its_tsv(run, tmp_path):
    pytest.importorskip("openpyxl")
    frame = pd.DataFrame(
        {
            "index": [0, 1, 2],
            "question": ["?"] * 3,
            "A": ["4", "5", "6"],
            "B": ["7", None, "8"],
            "answer": ["B", "A", "B"],
            "prediction": ["\\boxed{7}", None, "Failed to obtain answer via API."],
        }
    )
    frame.to_excel(tmp_path / "M_LogicVista.xlsx", index=False)
    frame.to_csv(tmp_path / "M_LogicVista.tsv", sep="\t", index=False)
    for name in ("M_LogicVista.xlsx", "M_LogicVista.tsv"):
        said = run(tmp_path / name, "--out", tmp_path / name.replace(".", "_"))
        assert "0.333" in said
    assert verdicts(tmp_path / "M_LogicVista_xlsx") == verdicts(tmp_path / "M_LogicVista_tsv")


def test_a_workbook_without_openpyxl_is_an_error_of_one_line(run, tmp_path, monkeypatch):
    (tmp_path / "a.xlsx").write_bytes(b"PK")
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    said = run(tmp_path / "a.xlsx", "--out", tmp_path / "out", code=1)
    assert "reading a spreadsheet needs openpyxl: pip install 'vasari[evaluate]'" in said
    assert "Traceback" not in said
