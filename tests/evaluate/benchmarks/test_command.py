"""`vasari evaluate` on benchmarks and `vasari compare`, from the command line against a real server
on 127.0.0.1."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import yaml

pytest.importorskip("aiohttp")

from vasari.cli.main import main

RIGHT = {
    "What is 2 + 3?": "5",
    "Which?": "B",
    "Which one?": "C",
    "How many?": "12",
    "How far?": "1.2",
    "Which sign?": "B",
}


def solve(body, text_of):
    """Right answers for MathVision and MathVista; for MathVerse the number of the problem where the
    question has it."""
    text = text_of(body)
    if text.startswith("Problem "):
        return f"So \\boxed{{{text.split()[1].rstrip(':')}}}"
    return next(
        (f"So \\boxed{{{said}}}" for start, said in RIGHT.items() if text.startswith(start)),
        "\\boxed{no}",
    )


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs `vasari` and returns what it printed."""

    def call(*words, code=0):
        monkeypatch.setattr(sys, "argv", ["vasari", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            main()
        said = capsys.readouterr()
        assert (stop.value.code or 0) == code, said.out + said.err
        assert "Traceback" not in said.out + said.err
        return said.out + said.err

    return call


@pytest.fixture
def solver(scripted_server):
    scripted_server.script = lambda body: solve(body, scripted_server.text_of)
    return scripted_server


def scores_of(folder):
    return json.loads((folder / "scores.json").read_text())


def test_a_server_is_evaluated_from_recipe_to_table(run, solver, write_recipe, tmp_path):
    said = run("evaluate", write_recipe(solver.url), "--out", tmp_path / "out")
    scores = scores_of(tmp_path / "out")
    means = {
        name: one["protocols"]["vasari"]["accuracy"]["mean"] for name, one in scores["sets"].items()
    }
    # Of MathVerse the version that has its question in the image is answered "no": four of five.
    assert means == {"mathvision": 1.0, "mathvista": 1.0, "mathverse": 0.8}
    assert scores["is_complete"]
    assert len(solver.bodies) == 26
    assert "mathverse" in said
    assert "undecided" in said  # by MathVerse's official scorer, which is an LLM
    assert "| small |" in (tmp_path / "out/table.md").read_text()
    assert {"table.tex", "table.html", "verdicts.jsonl", "verdicts.official.jsonl"} <= {
        path.name for path in (tmp_path / "out").iterdir()
    }


def test_no_reference_answer_is_in_any_request(run, scripted_server, write_recipe, data, tmp_path):
    scripted_server.script = lambda body: "\\boxed{0}"
    path = data / "mathvision/test.jsonl"
    rows = [
        json.loads(line) | {"answer": f"reference-{n}", "options": []}
        for n, line in enumerate(path.read_text().splitlines())
    ]
    path.write_text(
        "".join(json.dumps(row | {"solution": "reference-solution"}) + "\n" for row in rows)
    )
    for prompt in ("paper", "official", "bare"):
        recipe = write_recipe(
            scripted_server.url,
            sets={"mathvision": {"folder": "data/mathvision"}},
            prompt=prompt,
            blind="blank",
        )
        run("evaluate", recipe, "--out", tmp_path / prompt)
        assert "reference-1" in (tmp_path / prompt / "outputs.jsonl").read_text()
    assert len(scripted_server.bodies) == 24
    assert "reference" not in json.dumps(scripted_server.bodies)


def test_a_second_run_needs_resume_and_then_buys_nothing(run, solver, write_recipe, tmp_path):
    recipe = write_recipe(solver.url)
    run("evaluate", recipe, "--out", tmp_path / "out")
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").glob("*.json*")}
    said = run("evaluate", recipe, "--out", tmp_path / "out", code=1)
    assert "holds outputs already; go on with --resume" in said
    run("evaluate", recipe, "--out", tmp_path / "out", "--resume")
    assert len(solver.bodies) == 26
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").glob("*.json*")} == before


def test_a_dry_run_asks_nothing_and_leaves_nothing_behind(run, solver, write_recipe, tmp_path):
    recipe = write_recipe(solver.url, endpoint={"prices": {"small": {"input": "1", "output": "2"}}})
    said = run("evaluate", recipe, "--out", tmp_path / "out", "--dry-run")
    assert "mathvision, shown: 4 requests to send, 0 answered already" in said
    assert "mathverse, shown: 20 requests to send" in said
    assert "money" in said
    assert solver.bodies == []
    assert not (tmp_path / "out").exists()


def test_a_refused_prompt_is_unanswered_and_no_wrong_answer(
    run, scripted_server, write_recipe, tmp_path
):
    def script(body):
        return (
            400
            if "How many?" in scripted_server.text_of(body)
            else solve(body, scripted_server.text_of)
        )

    scripted_server.script = script
    recipe = write_recipe(scripted_server.url, sets={"mathvision": {"folder": "data/mathvision"}})
    said = run("evaluate", recipe, "--out", tmp_path / "out")
    found = scores_of(tmp_path / "out")["sets"]["mathvision"]["protocols"]["vasari"]
    assert (
        found["counts"]["correct"],
        found["counts"]["unanswered"],
        found["counts"]["wrong"],
    ) == (3, 1, 0)
    assert "1 rollouts got no answer" in said
    (failure,) = map(json.loads, (tmp_path / "out/failures.jsonl").read_text().splitlines())
    assert (failure["id"], failure["reason"]) == ("mathvision/4", "refused")


def test_a_budget_that_ends_scores_what_came_and_says_how_to_go_on(
    run, solver, write_recipe, tmp_path
):
    # An image may cost 1,000 tokens, so a request is reserved at more than 1; it is billed at 40 +
    # 2 tokens, 0.042.
    costly = {
        "prices": {"small": {"input": "1000", "output": "1000"}},
        "budget": "1.6",
        "start_concurrency": 1,
        "max_concurrency": 1,
    }
    recipe = write_recipe(
        solver.url, endpoint=costly, sets={"mathverse": {"folder": "data/mathverse"}}
    )
    said = run("evaluate", recipe, "--out", tmp_path / "out", code=1)
    assert "the budget of 1.6 has" in said
    assert "go on with the same command and --resume" in said
    scores = scores_of(tmp_path / "out")
    bought = len(solver.bodies)
    assert not scores["is_complete"]
    assert 0 < scores["sets"]["mathverse"]["num_prompts"] == bought < 20
    run("evaluate", recipe, "--out", tmp_path / "out", "--resume", "--set", "endpoint.budget=100")
    assert len(solver.bodies) == 20
    assert scores_of(tmp_path / "out")["is_complete"]


def test_models_are_compared_in_one_table_and_pair_by_pair(
    run, scripted_server, write_recipe, tmp_path
):
    recipe = write_recipe(scripted_server.url)
    scripted_server.script = lambda body: "\\boxed{1}"
    run("evaluate", recipe, "--out", tmp_path / "a", "--set", "label=weak | model")
    scripted_server.script = lambda body: solve(body, scripted_server.text_of)
    run("evaluate", recipe, "--out", tmp_path / "b", "--set", "label=strong")
    said = run(
        "compare",
        tmp_path / "a",
        tmp_path / "b",
        "--protocol",
        "vasari",
        "--out",
        tmp_path / "both",
    )
    assert "| strong |" in (tmp_path / "both/table.md").read_text()
    assert "strong minus weak | model, by vasari, paired by prompt" in said
    assert "weak \\| model" in said  # in the table
    assert "+1.000" in said
    assert {"mathvision", "mathvista", "mathverse"} <= set(said.split())
    said = run("compare", tmp_path / "a", code=1)
    assert "compare needs at least two folders" in said
    assert "holds no results" in run("compare", tmp_path / "a", tmp_path, code=1)


def test_a_judge_is_asked_about_what_the_rules_leave_undecided(
    run, scripted_server, write_recipe, tmp_path
):
    def script(body):
        if body["model"] == "judge":
            return "[Correct]"
        return (
            "\\boxed{a baker's handful}"
            if "How many?" in scripted_server.text_of(body)
            else solve(body, scripted_server.text_of)
        )

    scripted_server.script = script
    judge = {"model": "judge", "format": "xverify", "endpoint": {"base_url": scripted_server.url}}
    (tmp_path / "judge.yaml").write_text(yaml.safe_dump(judge))
    recipe = write_recipe(
        scripted_server.url,
        sets={"mathvision": {"folder": "data/mathvision"}},
        protocols=["vasari"],
    )
    found = []
    for name, words in (("rules", ()), ("judged", ("--set", "judge=judge.yaml"))):
        run("evaluate", recipe, "--out", tmp_path / name, *words)
        found.append(scores_of(tmp_path / name)["sets"]["mathvision"]["protocols"]["vasari"])
    assert [one["counts"]["correct"] for one in found] == [3, 4]
    assert found[1]["decided_by"]["judge"] == 1
    assert [body["model"] for body in scripted_server.bodies].count("judge") == 1


def test_a_name_in_brackets_is_printed_as_it_stands(run, scripted_server, write_recipe, tmp_path):
    recipe = write_recipe(scripted_server.url, sets={"mathvision": {"folder": "data/mathvision"}})
    content = yaml.safe_load(recipe.read_text())
    recipe.write_text(yaml.safe_dump(content | {"label": "[/red] [bold]x"}))
    assert "[/red] [bold]x: accuracy" in run("evaluate", recipe, "--out", tmp_path / "[a]")
    assert "[/red] [bold]x minus [/red] [bold]x" in run(
        "compare", tmp_path / "[a]", tmp_path / "[a]"
    )


WRONG = [
    (
        {"model": {"path": "x"}},
        (
            "give one of `model` (a folder of weights), `endpoint` (a server) and `policy` (your"
            " own code)"
        ),
    ),
    ({"prompts": {}}, "`benchmarks` and `prompts` are two recipes"),
    (
        {"endpoint": {"model": "m", "base_url": "http://h/v1", "modell": 1}},
        "endpoint: unknown key 'modell'",
    ),
    (
        {"benchmarks": {"sets": {"mathvisoin": {"folder": "x"}}}},
        "there is no benchmark 'mathvisoin'",
    ),
    ({"benchmarks": {"sets": {"mathvision": {"folder": "nowhere"}}}}, "there is no such folder"),
    (
        {"benchmarks": {"sets": {"mathvision": {"foldr": "x"}}}},
        "unknown key 'benchmarks.sets.mathvision.foldr'",
    ),
    ({"judge": "nowhere.yaml"}, "nowhere.yaml"),
]


@pytest.mark.parametrize(("changes", "said"), WRONG)
def test_a_wrong_recipe_is_one_line_that_says_what_is_wrong(
    run, write_recipe, tmp_path, changes, said
):
    path = write_recipe("http://127.0.0.1:9/v1")
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | changes))
    told = run("evaluate", path, "--out", tmp_path / "out", code=1)
    assert said in " ".join(told.split())


def test_a_dry_run_of_a_training_recipe_is_refused(run, tmp_path):
    path = tmp_path / "train.yaml"
    path.write_text("name: x\nprompts: {}\n")
    assert "--dry-run forecasts evaluations on `benchmarks`" in run(
        "evaluate", path, "--dry-run", code=1
    )


def test_the_help_of_both_commands_has_an_example(run):
    assert "recipes/benchmarks.yaml" in run("evaluate", "--help")
    assert "vasari compare" in run("compare", "--help")


def start(recipe, out, *words):
    command = [sys.executable, "-m", "vasari", "evaluate", str(recipe), "--out", str(out), *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


@pytest.mark.slow
def test_a_killed_evaluation_goes_on_and_ends_as_one_that_was_not(
    solver, write_recipe, data, tmp_path
):
    rows = [json.loads(line) for line in (data / "mathvision/test.jsonl").read_text().splitlines()]
    many = [
        row | {"id": str(n), "question": f"{row['question']} ({n})"}
        for n in range(400)
        for row in rows[n % 4 : n % 4 + 1]
    ]
    (data / "mathvision/test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in many))
    solver.seconds = 0.02
    recipe = write_recipe(
        solver.url,
        sets={"mathvision": {"folder": "data/mathvision"}},
        num_rollouts=2,
        temperature=1.0,
    )
    path = tmp_path / "killed/outputs.jsonl"
    for lines in (150, 450):
        process = start(recipe, tmp_path / "killed", *(["--resume"] if path.exists() else []))
        deadline = time.monotonic() + 300
        while process.poll() is None and (
            not path.exists() or path.read_bytes().count(b"\n") < lines
        ):
            assert time.monotonic() < deadline, "the evaluation writes nothing"
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert start(recipe, tmp_path / "killed", "--resume").wait() == 0
    asked = len(solver.bodies)
    assert start(recipe, tmp_path / "whole").wait() == 0
    for name in ("outputs.jsonl", "verdicts.jsonl", "scores.json", "by_prompt.jsonl", "table.html"):
        assert (tmp_path / "killed" / name).read_bytes() == (
            tmp_path / "whole" / name
        ).read_bytes(), name
    assert 800 <= asked <= 800 + 2 * 64  # what was in flight at each kill


@pytest.mark.slow
def test_the_papers_protocol_is_the_first_of_three_by_default(run, solver, write_recipe, tmp_path):
    path = write_recipe(solver.url)
    recipe = yaml.safe_load(path.read_text())
    del recipe["benchmarks"]["protocols"]
    path.write_text(yaml.safe_dump(recipe))
    run("evaluate", path, "--out", tmp_path / "out")
    scores = scores_of(tmp_path / "out")
    assert scores["protocols"] == ["paper", "official", "vasari"]
    assert scores["sets"]["mathvision"]["protocols"]["paper"]["accuracy"]["mean"] == 1.0
    assert "by protocol paper" in (tmp_path / "out/table.tex").read_text()


@pytest.mark.slow
def test_a_folder_of_weights_is_evaluated_in_this_process(run, tiny_folder, write_recipe, tmp_path):
    path = write_recipe(
        "http://127.0.0.1:9/v1",
        blind="blank",
        max_tokens=8,
        num_rollouts=2,
        temperature=1.0,
        batch_rollouts=6,
    )
    recipe = yaml.safe_load(path.read_text())
    del recipe["endpoint"]
    path.write_text(yaml.safe_dump(recipe | {"model": {"path": str(tiny_folder)}, "label": "tiny"}))
    run("evaluate", path, "--out", tmp_path / "out")
    outputs = (tmp_path / "out/outputs.jsonl").read_bytes()
    lines = outputs.splitlines(keepends=True)
    assert len(lines) == 52
    (tmp_path / "out/outputs.jsonl").write_bytes(b"".join(lines[:17]) + lines[17][:30])
    run("evaluate", path, "--out", tmp_path / "out", "--resume")
    assert (tmp_path / "out/outputs.jsonl").read_bytes() == outputs
    assert scores_of(tmp_path / "out")["sets"]["mathverse"]["blind"]["num_prompts"] == 20
