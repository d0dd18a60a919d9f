"""What a curation does with requests that are refused, and what its exit code and files say."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest
import yaml
from aiohttp import web

from vasari.cli.main import main
from vasari.data.prompt_file import read_prompts

NUM_ROWS = 18


@pytest.fixture
def vasari(monkeypatch, capsys):
    """Runs `vasari curate` and returns its exit code, and what it printed and complained of."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["vasari", "curate", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main()
        said = capsys.readouterr()
        return int(stop.value.code or 0), said.out + said.err

    return run


@pytest.fixture
def refuse():
    """Has a server refuse with a status and a message."""

    def refuse(server, status, message="no"):
        async def answer(request, body):
            return web.json_response({"error": {"message": message}}, status=status)

        server.answer_refusal = answer
        server.plan = lambda body, attempt: "refusal"

    return refuse


@pytest.fixture
def graded(write_recipe):
    """Writes a recipe that grades and keeps every prompt that has a verdict."""

    def write(server, **endpoint):
        keep = ["easy", "medium", "hard"]
        path = write_recipe(
            server,
            grade={"model": "all", "num_rollouts": 4, "keep": keep},
            sft=None,
            rl={"parts": [{"name": "m", "target": NUM_ROWS}]},
        )
        content = yaml.safe_load(path.read_text())
        content["models"]["all"]["endpoint"] |= {"start_concurrency": 4} | endpoint
        path.write_text(yaml.safe_dump(content))
        return path

    return write


def manifest(out: Path):
    return json.loads((out / "manifest.json").read_text())


def letters(out: Path):
    return [json.loads(line) for line in (out / "dead_letters.jsonl").read_text().splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("status", [400, 402, 403, 404])
def test_a_wall_of_one_refusal_stops_the_run_and_the_same_command_goes_on(
    teach, data, known, graded, refuse, vasari, tmp_path, status
):
    server = teach(known(data), wrong=0.5)
    path = graded(server)
    refuse(server, status, "says the server")

    code, said = vasari(path, "--out", tmp_path / "out")
    asked = len(server.bodies)
    server.plan = lambda body, attempt: "good"
    mended, told = vasari(path, "--out", tmp_path / "out")

    assert (code, mended) == (1, 0), told
    assert 10 <= asked <= 10 + 4
    error = next(line for line in said.splitlines() if line.startswith("error: "))
    assert f"refused: {status}: says the server; " in error
    assert "check" in error or "top it up" in error
    assert manifest(tmp_path / "out")["sets"]["rl"]["prompts"] == NUM_ROWS
    assert letters(tmp_path / "out") == []


@pytest.mark.slow
def test_when_every_request_failed_the_exit_code_says_that_nothing_was_written(
    teach, data, known, graded, refuse, vasari, tmp_path
):
    server = teach(known(data), wrong=0.5)
    path = graded(server, max_refusals_in_a_row=10_000, max_failures_in_a_row=10_000)
    refuse(server, 402, "Insufficient credits")

    code, said = vasari(path, "--out", tmp_path / "out")
    again, _ = vasari(path, "--out", tmp_path / "out")
    asked = len(server.bodies)
    server.plan = lambda body, attempt: "good"
    kept, _ = vasari(path, "--out", tmp_path / "out")
    unchanged = len(server.bodies)
    retried, _ = vasari(path, "--out", tmp_path / "out", "--retry-failed")

    assert (code, again, kept, retried) == (4, 4, 4, 0)
    assert "402: Insufficient credits" in said
    assert "read back: 0" not in said
    assert "top it up; --retry-failed asks again" in said
    assert asked == unchanged == 4 * NUM_ROWS
    assert not (tmp_path / "out" / "rl.parquet").exists() or retried == 0
    assert len(read_prompts(tmp_path / "out" / "rl.parquet")) == NUM_ROWS


@pytest.mark.slow
def test_a_corrected_address_asks_again_and_buys_no_answer_twice(
    teach, data, known, graded, vasari, tmp_path
):
    server = teach(known(data), wrong=0.5)
    path = graded(server, base_url=server.url + "/chat", max_refusals_in_a_row=10_000)
    wrong, _ = vasari(path, "--out", tmp_path / "out")
    graded(server)
    right, _ = vasari(path, "--out", tmp_path / "out")
    asked = len(server.bodies)
    graded(server, base_url=server.url.replace("127.0.0.1", "localhost"))
    moved, _ = vasari(path, "--out", tmp_path / "out")

    assert (wrong, right, moved) == (1, 0, 0)
    assert manifest(tmp_path / "out")["sets"]["rl"]["prompts"] == NUM_ROWS
    assert len(server.bodies) == asked


@pytest.mark.slow
def test_dead_letters_are_those_of_the_run_and_stay_with_the_spending(
    teach, data, known, graded, vasari, tmp_path
):
    server = teach(known(data), wrong=0.5)
    path = graded(server, prices={"teacher": {"input": 1, "output": 1}})
    content = yaml.safe_load(path.read_text()) | {"responses": "answers"}
    path.write_text(yaml.safe_dump(content))
    dead = {"mark number 4 ", "mark number 11 "}

    async def bad(request, body):
        return web.json_response({"error": {"message": "image too large"}}, status=413)

    server.answer_bad = bad
    server.plan = lambda body, attempt: "bad" if any(one in str(body) for one in dead) else "good"
    code, said = vasari(path, "--out", tmp_path / "out")
    found = letters(tmp_path / "out"), manifest(tmp_path / "out")
    repeated, _ = vasari(path, "--out", tmp_path / "out")
    same = letters(tmp_path / "out"), manifest(tmp_path / "out")

    assert (code, repeated) == (3, 3)
    assert same == found
    assert Counter(row["id"].rpartition("/")[2].rpartition(":")[2] for row in found[0]) == {
        "q4": 4,
        "q11": 4,
    }
    first = found[0][0]
    assert (first["stage"], first["asked"], first["reason"]) == ("grade", "all", "refused")
    assert "8 requests got no answer, 8 of them refused: 413: image too large" in said
    spent = found[1]["spending"]["all"]
    answered = len(server.bodies) - 8
    assert spent["requests"] == answered
    tokens = spent["input_tokens"] + spent["output_tokens"]
    assert Decimal(spent["money"]) == Decimal(tokens) / 10**6 > 0
    assert found[1]["dead_letters"] == 8

    # Another run on the same answers, of other questions, has none of these letters.
    lines = (data / "train.jsonl").read_text().splitlines()
    rows = [line for line in lines if not any(one in line for one in dead)]
    (data / "train.jsonl").write_text("\n".join(rows) + "\n")
    other, _ = vasari(path, "--out", tmp_path / "other")
    assert other == 0
    assert letters(tmp_path / "other") == []


@pytest.mark.slow
def test_retry_failed_reaches_the_finished_shards_of_a_run_that_was_stopped(
    teach, data, known, graded, refuse, vasari, tmp_path
):
    server = teach(known(data), wrong=0.5)
    path = graded(server, max_concurrency=2, max_refusals_in_a_row=6)
    refuse(server, 403, "not yours")
    # The first shard of seven has two bad rows; within the second the wall begins.
    server.plan = lambda body, attempt: (
        "refusal"
        if len(server.bodies) > 30 or "mark number 2 " in str(body) or "number 5 " in str(body)
        else "good"
    )
    stopped, _ = vasari(path, "--out", tmp_path / "out")
    server.plan = lambda body, attempt: "good"
    code, _ = vasari(path, "--out", tmp_path / "out", "--retry-failed")

    assert (stopped, code) == (1, 0)
    assert letters(tmp_path / "out") == []
    assert manifest(tmp_path / "out")["sets"]["rl"]["prompts"] == NUM_ROWS


@pytest.mark.slow
def test_two_commands_at_once_on_one_store_send_no_request_twice(
    teach, data, known, write_recipe, tmp_path
):
    server = teach(known(data), spread=True)
    answer = server.teacher.answer

    def by_request(body):
        server.teacher._asked.clear()
        server.teacher.seed = body.get("seed", 0)
        return answer(body)

    server.teacher.answer = by_request
    server.seconds = 0.05
    path = write_recipe(server, responses="answers")
    content = yaml.safe_load(path.read_text())
    content["grade"]["seed"] = 1  # rollouts of one prompt are different requests
    content["sft"]["annotate"]["settings"]["seed"] = 2
    content["rl"]["categorise"]["settings"] = {"seed": 3}
    path.write_text(yaml.safe_dump(content))
    command = [sys.executable, "-m", "vasari", "curate", str(path), "--out"]
    runs = [
        subprocess.Popen(
            [*command, str(tmp_path / name)],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for name in ("first", "second")
    ]
    for one in runs:
        said, _ = one.communicate(timeout=600)
        assert one.returncode == 0, said.decode()[-2000:]

    told = [json.dumps(body, sort_keys=True) for body in server.bodies]
    assert len(told) == len(set(told)) > NUM_ROWS
    for name in ("sft.parquet", "rl.parquet", "dropped.parquet", "funnel.json"):
        first, second = ((tmp_path / run / name).read_bytes() for run in ("first", "second"))
        assert first == second, name
    spent = [manifest(tmp_path / run)["spending"]["all"] for run in ("first", "second")]
    assert max(one["requests"] for one in spent) == len(told)
