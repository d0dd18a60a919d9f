"""The first lines of a run's page say what the run shows, and no more."""

from __future__ import annotations

import json
import re
import shutil

import pytest

from vasari.report import write_report, write_summary


@pytest.fixture
def run(finished_run, tmp_path):
    return shutil.copytree(finished_run, tmp_path / "run")


def change(path, edit):
    content = json.loads(path.read_text()) if path.exists() else {}
    edit(content)
    path.write_text(json.dumps(content))


def head(run):
    page = write_report(run).read_text()
    return " ".join(re.sub(r"<[^>]*>", " ", page.partition("<nav")[0].partition("<h1>")[2]).split())


def test_a_run_whose_best_step_is_0_compares_nothing_with_itself(run):
    change(run / "stages" / "rl-vas.json", lambda stage: stage.update(best_step=0))
    said = head(run)
    assert "No step of GRPO, VAS was better on the validation prompts than its start" in said
    assert "→" not in said
    assert "points" not in said


def test_without_a_cold_start_the_base_is_what_is_compared(run):
    for path in (run / "evaluation").glob("cold_start*"):
        path.unlink()
    shutil.rmtree(run / "cold_start")
    change(run / "settings.json", lambda settings: settings["recipe"].update(sft=None))
    gain = write_summary(run)["difference"]["final_minus_base"]
    assert f"{100 * gain['mean']:+.1f}".replace("-", "\u2212") + " points" in head(run)
    page = write_report(run).read_text()
    assert "the log of a cold start" not in page
    assert "an evaluation of the cold start" not in page


def test_a_cold_start_that_the_recipe_has_and_the_folder_lacks_is_missing(run):
    shutil.rmtree(run / "cold_start")
    change(run / "settings.json", lambda settings: settings["recipe"].update(sft={}))
    assert "the log of a cold start" in write_report(run).read_text()


def test_few_test_prompts_are_said_to_be_few(run):
    assert "16 test prompts are few" in head(run)


def test_many_test_prompts_are_not(run):
    def more(content):
        for one in content["sets"]["test"].values():
            if isinstance(one, dict) and "accuracy" in one:
                one["accuracy"]["n"] = 100

    for path in (run / "evaluation").glob("*.json"):
        change(path, more)
    assert "are few" not in head(run)


def test_a_shrunk_run_is_said_to_be_a_trial(run):
    assert "A trial" not in head(run)
    change(
        run / "settings.json", lambda settings: settings["recipe"].update(shrunk_from="a/<b>model")
    )
    said = head(run)
    assert "A trial by" in said
    assert "a/&lt;b&gt;model" in said


def test_first_and_last_command_are_shown(run):
    def resumed(settings):
        settings |= {"command": "vasari sft r.yaml", "versions": {"trl": "1.16.0"}}
        settings["last"] = {"command": "vasari evaluate r.yaml", "versions": {"trl": "1.16.1"}}

    change(run / "settings.json", resumed)
    page = write_report(run).read_text()
    assert "vasari sft r.yaml" in page
    assert "vasari evaluate r.yaml" in page
    assert "1.16.1" in page
