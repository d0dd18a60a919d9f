"""Result files as other tools write them: one table in every format, by pandas."""

from __future__ import annotations

import csv
import json

import pandas as pd


def vlmevalkit_json(frame, path):
    """VLMEvalKit's own writer: NaN stands in the document as such."""
    path.write_text(json.dumps(frame.to_dict("records"), indent=4, ensure_ascii=False))


def json_lines_with_nan(frame, path):
    lines = [json.dumps(row, ensure_ascii=False) for row in frame.to_dict("records")]
    path.write_text("\n".join(lines))


def xlsx_of_vlmevalkit(frame, path):
    options = {"options": {"strings_to_formulas": False}}
    with pd.ExcelWriter(path, engine="xlsxwriter", engine_kwargs=options) as writer:
        frame.to_excel(writer, index=False)


def split_json(frame, path):
    frame.to_json(path, orient="split")


WRITERS = {
    "minimal.tsv": lambda frame, path: frame.to_csv(path, sep="\t", index=False),
    "quoted.tsv": lambda frame, path: frame.to_csv(
        path, sep="\t", index=False, quoting=csv.QUOTE_ALL
    ),
    "bom.tsv": lambda frame, path: frame.to_csv(
        path, sep="\t", index=False, encoding="utf-8-sig", lineterminator="\r\n"
    ),
    "utf16.tsv": lambda frame, path: frame.to_csv(path, sep="\t", index=False, encoding="utf-16"),
    "packed.tsv.gz": lambda frame, path: frame.to_csv(path, sep="\t", index=False),
    "indexed.tsv": lambda frame, path: frame.to_csv(path, sep="\t"),
    "minimal.csv": lambda frame, path: frame.to_csv(path, index=False),
    "quoted.csv": lambda frame, path: frame.to_csv(path, index=False, quoting=csv.QUOTE_ALL),
    "crlf.csv": lambda frame, path: frame.to_csv(path, index=False, lineterminator="\r\n"),
    "records.json": lambda frame, path: frame.to_json(path, orient="records"),
    "columns.json": lambda frame, path: frame.to_json(path),
    "index.json": lambda frame, path: frame.to_json(path, orient="index"),
    "split.json": split_json,
    "table.json": lambda frame, path: frame.to_json(path, orient="table", index=False),
    "lists.json": lambda frame, path: path.write_text(json.dumps(frame.to_dict("list"))),
    "vlmevalkit.json": vlmevalkit_json,
    "records.jsonl": lambda frame, path: frame.to_json(path, orient="records", lines=True),
    "nan.jsonl": json_lines_with_nan,
    "packed.jsonl.gz": lambda frame, path: frame.to_json(path, orient="records", lines=True),
    "xlsxwriter.xlsx": xlsx_of_vlmevalkit,
    "openpyxl.xlsx": lambda frame, path: frame.to_excel(path, index=False, engine="openpyxl"),
    "indexed.xlsx": lambda frame, path: frame.to_excel(path, engine="openpyxl"),
    "table.parquet": lambda frame, path: frame.to_parquet(path, index=False),
}
"""Every format by a file name: writes a frame to a path."""


def needed_package(name):
    """The package that reading the file needs beyond the usual ones; None for most."""
    return "openpyxl" if name.endswith(".xlsx") else None
