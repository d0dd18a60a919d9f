"""`vasari rescore`: files in every layout, bad rows, several protocols, workers, and a run that is
killed and continued."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vasari.cli.main import main
from vasari.core.errors import DataError
from vasari.evaluate.readers import BadRow, read_outputs

RIGHT = {
    "benchmark": "mathvision",
    "model": "m",
    "id": "1",
    "response": "\\boxed{7}",
    "answer": "7",
    "subject": "algebra",
}
WRONG = {**RIGHT, "id": "2", "response": "\\boxed{8}", "subject": "logic"}
# 0.0033 and 0.0011 are both 0.0 to the official scorer.
ROUNDED = {**RIGHT, "id": "3", "response": "\\boxed{\\frac{1}{300}}", "answer": "\\frac{1}{900}"}


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


def write(path, rows):
    text = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def verdicts(folder, name="verdicts.jsonl"):
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]


def test_verdicts_have_four_keys_and_the_order_of_the_input(run, tmp_path):
    rows = [{**RIGHT, "id": str(i), "response": f"\\boxed{{{i}}}"} for i in (9, 7, 8)]
    run(write(tmp_path / "a.jsonl.gz", rows), "--protocol", "official", "--out", tmp_path / "out")
    assert verdicts(tmp_path / "out") == [
        {"id": "9", "outcome": "incorrect", "decided_by": "value", "extraction": "9"},
        {"id": "7", "outcome": "correct", "decided_by": "exact", "extraction": "7"},
        {"id": "8", "outcome": "incorrect", "decided_by": "value", "extraction": "8"},
    ]


def test_scores_count_by_category_with_wilsons_interval(run, tmp_path):
    run(
        write(tmp_path / "a.jsonl", [RIGHT, WRONG]),
        "--protocol",
        "official",
        "--out",
        tmp_path / "out",
    )
    (scores,) = json.loads((tmp_path / "out/scores.json").read_text())["protocols"]["official"]
    assert (scores["n"], scores["num_correct"], scores["accuracy"]) == (2, 1, 0.5)
    # Wilson with n=2, p=1/2: 1/2 -+ z/2 / sqrt(2 + z^2), z = 1.96: 0.0945 and 0.9055.
    assert (scores["low"], scores["high"]) == (
        pytest.approx(0.0945, abs=1e-4),
        pytest.approx(0.9055, abs=1e-4),
    )
    assert scores["categories"]["subject"]["algebra"]["accuracy"] == 1.0


def test_protocols_side_by_side_list_where_they_differ_and_why(run, tmp_path):
    file = write(tmp_path / "a.jsonl", [RIGHT, ROUNDED])
    said = run(file, "--protocol", "official", "vasari", "--out", tmp_path / "out")
    assert "official and vasari differ on 1 of 2 outputs" in said
    (row,) = verdicts(tmp_path / "out", "disagreements.jsonl")
    assert (row["id"], row["official"]["outcome"], row["vasari"]["outcome"]) == (
        "3",
        "correct",
        "incorrect",
    )
    assert row["reason"] == "official compares values rounded to two decimals"
    assert [
        len(verdicts(tmp_path / "out", name))
        for name in ("verdicts.jsonl", "verdicts.vasari.jsonl")
    ] == [2, 2]


def test_bad_rows_are_named_and_counted_and_kill_nothing(run, tmp_path):
    deep = "[" * 100_000
    rows = [
        RIGHT,
        "{",
        "[1]",
        deep,
        {**RIGHT, "answer": None},
        {"id": 1, "answer": "7", "benchmark": "gsm8k"},
        "",
        WRONG,
    ]
    said = run(
        write(tmp_path / "a.jsonl", rows), "--protocol", "official", "--out", tmp_path / "out"
    )
    bad = verdicts(tmp_path / "out", "bad_rows.jsonl")
    assert [row["line"] for row in bad] == [2, 3, 4, 5, 6]
    assert [row["reason"].partition(": ")[0] for row in bad] == [
        "not valid JSON",
        "expected a JSON object, got list",
        "not valid JSON",
        "no 'answer'",
        "no 'response'",
    ]
    assert "5 rows hold no output" in said
    assert [row["id"] for row in verdicts(tmp_path / "out")] == ["1", "2"]


def test_a_damaged_end_keeps_what_came_before(run, tmp_path):
    whole = gzip.compress(
        "".join(json.dumps({**RIGHT, "id": i}) + "\n" for i in range(2000)).encode()
    )
    (tmp_path / "a.jsonl.gz").write_bytes(whole[: len(whole) * 3 // 4])
    run(tmp_path / "a.jsonl.gz", "--protocol", "official", "--out", tmp_path / "out")
    assert len(verdicts(tmp_path / "out")) > 100
    assert (
        "cannot be read any further" in verdicts(tmp_path / "out", "bad_rows.jsonl")[-1]["reason"]
    )


@given(st.binary(max_size=300))
def test_no_bytes_stop_the_reader(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "noise.jsonl"
    path.write_bytes(content)
    assert all(isinstance(row, BadRow) for row in read_outputs(path, benchmark="gsm8k"))


def test_a_cut_off_run_goes_on_behind_its_last_whole_verdict(run, tmp_path):
    file = write(tmp_path / "a.jsonl", [{**RIGHT, "id": str(i)} for i in range(5)])
    run(file, "--protocol", "official", "--out", tmp_path / "out")
    lines = (tmp_path / "out/verdicts.jsonl").read_text().splitlines(keepends=True)
    # A marked line shows that it was kept and not written again.
    kept = lines[0].replace('"exact"', '"kept"') + lines[1] + lines[2][:10]
    (tmp_path / "out/verdicts.jsonl").write_text(kept)
    run(file, "--protocol", "official", "--out", tmp_path / "out")
    assert [row["decided_by"] for row in verdicts(tmp_path / "out")] == [
        "kept",
        "exact",
        "exact",
        "exact",
        "exact",
    ]


def test_another_rescoring_in_the_folder_is_refused(run, tmp_path):
    file = write(tmp_path / "a.jsonl", [RIGHT])
    run(file, "--protocol", "official", "--out", tmp_path / "out")
    assert "holds another rescoring" in run(
        file, "--protocol", "vasari", "--out", tmp_path / "out", code=1
    )
    write(file, [WRONG])
    assert "holds another rescoring" in run(
        file, "--protocol", "official", "--out", tmp_path / "out", code=1
    )
    run(file, "--protocol", "official", "--out", tmp_path / "out", "--overwrite")
    assert verdicts(tmp_path / "out")[0]["outcome"] == "incorrect"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--protocol", "offical"], "protocol must be one of"), (["--protocol", "official,official"], "each once"),
        (["missing.jsonl"], "cannot be read"), (["a.xlsx"], "a.xlsx: cannot be read as a spreadsheet"),
            (["a.pkl"], "pickles and spreadsheets other than .xlsx are not read"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_refused_in_one_line(run, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "a.jsonl", [RIGHT])
    write(tmp_path / "a.xlsx", [RIGHT])
    write(tmp_path / "a.pkl", [RIGHT])
    assert message in run("a.jsonl", *words, "--out", "out", code=1)


def test_a_file_without_any_output_is_an_error_with_its_first_reason(run, tmp_path):
    file = write(tmp_path / "a.jsonl", [{"id": 1}])
    assert "a.jsonl:1: no 'answer'" in run(file, "--out", tmp_path / "out", code=1)


def test_help_shows_an_example(run):
    assert "vasari rescore outputs.jsonl.gz --protocol official vasari --out" in run(
        "--help"
    ).replace("\n", " ").replace("  ", " ")


def test_lmms_eval_samples_are_read(tmp_path):
    document = {
        "pid": "12",
        "answer": "4",
        "choices": ["4", "5"],
        "question_type": "multi_choice",
        "answer_type": "text",
    }
    row = {
        "doc_id": 0,
        "doc": document,
        "target": "4",
        "resps": [["\\boxed{A}"]],
        "filtered_resps": ["A"],
    }
    (output,) = read_outputs(
        write(tmp_path / "20260101_samples_mathvista_testmini_cot.jsonl", [row])
    )
    assert (output.benchmark, output.id, output.answer, output.response) == (
        "mathvista",
        "12",
        "4",
        "\\boxed{A}",
    )
    assert output.choices == ("4", "5")


def test_vlmevalkit_tables_are_read(tmp_path):
    table = (
        'index\tquestion\tA\tB\tanswer\tprediction\n7\t"two\nlines"\tcat\tdog\tB\t"It is'
        ' ""B""\n\nindeed"\n8\tshort\n'
    )
    (tmp_path / "Model_LogicVista.tsv").write_text(table)
    output, bad = read_outputs(tmp_path / "Model_LogicVista.tsv")
    assert (output.benchmark, output.id, output.choices, output.response) == (
        "logicvista", "7", ("cat", "dog"), 'It is "B"\n\nindeed',
    )  # fmt: skip
    assert (bad.line, bad.reason) == (6, "2 cells under 6 column names")


def test_vlmevalkit_json_is_read_by_rows_and_by_columns(tmp_path):
    row = {
        "index": 3,
        "answer": "12",
        "prediction": "12",
        "question_type": "free_form",
        "answer_type": "integer",
        "choices": "[]",
    }
    by_rows = tmp_path / "M_MathVista_MINI.json"
    by_rows.write_text(json.dumps([row]))
    by_columns = tmp_path / "M2_MathVista_MINI.json"
    by_columns.write_text(json.dumps({name: {"0": value} for name, value in row.items()}))
    for path in (by_rows, by_columns):
        (output,) = read_outputs(path)
        assert (output.benchmark, output.id, output.response, output.choices) == (
            "mathvista",
            "3",
            "12",
            None,
        )


def test_a_file_of_another_name_is_read_as_json_lines(tmp_path):
    for name in ("outputs.txt", "outputs"):
        (output,) = read_outputs(write(tmp_path / name, [RIGHT]))
        assert output.id == "1"


def test_a_parquet_file_of_our_rows_is_read(tmp_path):
    pq.write_table(pa.Table.from_pylist([RIGHT, WRONG]), tmp_path / "a.parquet")
    assert [output.id for output in read_outputs(tmp_path / "a.parquet")] == ["1", "2"]


def test_mathvistas_own_results_are_read(tmp_path):
    results = {
        "5": {
            "response": "x",
            "extraction": "12",
            "answer": "12",
            "answer_type": "integer",
            "precision": 1.0,
        }
    }
    path = tmp_path / "mathvista_output.json"
    path.write_text(json.dumps(results))
    (output,) = read_outputs(path)
    assert (output.id, output.extraction, output.precision) == ("5", "12", 1)


def test_rows_without_a_benchmark_want_its_name(tmp_path):
    path = write(tmp_path / "a.jsonl", [{"id": 1, "response": "7", "answer": "7"}])
    assert next(read_outputs(path)).reason == "no 'benchmark': name it with --benchmark"
    assert next(read_outputs(path, benchmark="GSM8K")).benchmark == "gsm8k"


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"gone\.jsonl: there is no such file"):
        list(read_outputs(tmp_path / "gone.jsonl"))


@pytest.mark.slow
def test_several_workers_write_what_one_writes(run, tmp_path):
    rows = [{**RIGHT, "id": str(i), "response": f"\\boxed{{{i % 9}}}"} for i in range(300)]
    file = write(tmp_path / "a.jsonl", rows)
    for workers in (1, 2):
        run(
            file,
            "--protocol",
            "official,vasari",
            "--workers",
            workers,
            "--out",
            tmp_path / str(workers),
        )
    for name in ("verdicts.jsonl", "verdicts.vasari.jsonl", "scores.json", "disagreements.jsonl"):
        assert (tmp_path / "1" / name).read_text() == (tmp_path / "2" / name).read_text()


@pytest.mark.slow
def test_a_worker_that_dies_costs_no_verdict(tmp_path):
    rows = [{**RIGHT, "id": str(i)} for i in range(20_000)]
    file = write(tmp_path / "a.jsonl", rows)
    words = [
        sys.executable,
        "-m",
        "vasari",
        "rescore",
        str(file),
        "--protocol",
        "official",
        "--workers",
        "2",
    ]
    process = subprocess.Popen(
        [*words, "--out", str(tmp_path / "out")],
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    path = tmp_path / "out/verdicts.jsonl"
    while process.poll() is None and (not path.exists() or path.stat().st_size < 50_000):
        time.sleep(0.01)
    for child in psutil.Process(process.pid).children():
        if "spawn_main" in " ".join(child.cmdline()):
            child.kill()
            break
    assert process.wait() == 0
    assert [row["id"] for row in verdicts(tmp_path / "out")] == [row["id"] for row in rows]
    assert {row["outcome"] for row in verdicts(tmp_path / "out")} == {"correct"}


@pytest.mark.slow
def test_a_killed_run_keeps_its_verdicts_and_ends_like_one_that_was_not_killed(run, tmp_path):
    rows = [{**RIGHT, "id": str(i), "response": f"\\boxed{{{i % 9}}}"} for i in range(20_000)]
    file = write(tmp_path / "a.jsonl", rows)
    words = [
        sys.executable,
        "-m",
        "vasari",
        "rescore",
        str(file),
        "--protocol",
        "official",
        "--out",
        str(tmp_path / "out"),
    ]
    process = subprocess.Popen(
        words, env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.DEVNULL
    )
    path = tmp_path / "out/verdicts.jsonl"
    while process.poll() is None and (not path.exists() or path.stat().st_size < 50_000):
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = path.read_bytes()
    assert 0 < before.count(b"\n") < 20_000
    run(file, "--protocol", "official", "--out", tmp_path / "out")
    after = path.read_bytes()
    whole = before[: before.rindex(b"\n") + 1]
    assert after.startswith(whole)
    assert [row["id"] for row in verdicts(tmp_path / "out")] == [row["id"] for row in rows]
