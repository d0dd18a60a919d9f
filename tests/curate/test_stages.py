"""The tuple of stages: every stage stands in it once, and what was done before stays done."""

import hashlib
import json
import pickle
from pathlib import Path
from typing import get_args

import pytest
import yaml

from vasari.curate.own_stage import OwnStage, Place
from vasari.curate.recipe import load_curation
from vasari.curate.run.job import dry_run
from vasari.curate.run.models import Models
from vasari.curate.run.pipeline import Run
from vasari.curate.run.stage_type import Given
from vasari.curate.run.stages import LOCAL, STAGES, stages_of

SERVER = {"base_url": "http://127.0.0.1:9/v1"}
RECIPE = {
    "name": "full",
    "preset": ["paper-sft", "paper-rl"],
    "sources": [{"source": "jsonl", "folder": "quiz", "domain": "math"}],
    "models": {
        "grader": {"model": "g", "temperature": 1.0, "endpoint": SERVER},
        "teacher": {"model": "t", "max_tokens": 100, "endpoint": SERVER},
        "rewriter": {"model": "r", "extra": {"a": 1}, "endpoint": SERVER},
    },
    "validity": {"model": "grader", "settings": {"num_blind": 2}},
    "judge": {"endpoint": SERVER, "model": "j", "format": "xverify", "num_replies": 1},
}


@pytest.fixture
def recipe(tmp_path):
    (tmp_path / "quiz").mkdir()
    (tmp_path / "quiz" / "train.jsonl").write_text('{"id": "a", "question": "?", "answer": "1"}\n')

    def write(**changes):
        path = tmp_path / "recipe.yaml"
        path.write_text(yaml.safe_dump(RECIPE | changes))
        return load_curation(path)

    return write


def test_names_are_unique_in_each_set_and_places_are_those_that_a_recipe_may_name():
    assert len({(stage.branch, stage.name) for stage in STAGES}) == len(STAGES)
    assert tuple(stage.place for stage in STAGES if stage.place) == get_args(Place)
    assert LOCAL == ("read", "check", "near_duplicates", "decontaminate")


def test_every_stage_finds_its_settings_at_its_key(recipe):
    # Without benchmarks there is nothing to compare with, and everything else is there.
    assert [stage.name for stage in stages_of(recipe())] == [
        stage.name for stage in STAGES if stage.name != "decontaminate"
    ]
    bare = recipe(preset=[], validity=None, judge=None, sft={})
    assert [stage.name for stage in stages_of(bare)] == [
        "read",
        "check",
        "near_duplicates",
        "select",
    ]


def test_a_recipe_names_the_models_of_all_stages_that_ask_one(recipe):
    assert recipe().asked() == {
        "validity": "grader",
        "grade": "grader",
        "sft.annotate": "teacher",
        "rl.rephrase": "rewriter",
        "rl.categorise": "rewriter",
    }


def test_stages_of_ones_own_follow_the_place_that_they_name(recipe, own_module):
    code = "".join(f"def s{n}(prompts): return list(prompts)\n" for n in range(7))
    module = own_module(code)
    own = [{"name": f"{module}:s{n}", "after": place} for n, place in enumerate(get_args(Place))]
    found = [(stage.branch, stage.name) for stage in stages_of(recipe(stages=own))]
    behind = {name: found[found.index((branch, name)) - 1] for branch, name in found[1:]}
    assert behind["s0"] == ("both", "read")
    assert behind["s3"] == ("both", "s2")  # after near_duplicates, since there are no benchmarks
    assert behind["s4"] == ("both", "grade")
    assert behind["s5"] == ("sft", "annotate")
    assert behind["s6"] == ("rl", "categorise")
    assert behind["balance"] == ("rl", "s6")
    assert OwnStage(name=f"{module}:s0").title == "s0"


# Digests of what each stage's folder is known by, as the version before this tuple wrote them: a
# run that it left must not ask a model again. `sft select`, which asks none, has since got the
# bounds of sources' solutions.
WRITTEN_BEFORE = json.loads((Path(__file__).parent / "stage_settings.json").read_text())


def test_a_run_of_an_earlier_version_goes_on(recipe, tmp_path):
    with Models(recipe(), base=tmp_path, root=tmp_path / "out") as models:
        run = Run(recipe=recipe(), base=tmp_path, root=tmp_path / "out", models=models)
        found = {
            f"{one.stage.branch} {one.stage.name}": hashlib.sha256(
                json.dumps(one.settings, sort_keys=True).encode()
            ).hexdigest()
            for one in run.plan
            if one.stage.name != "read"
        }
    assert found == WRITTEN_BEFORE


def test_what_a_stage_is_given_goes_to_another_process(recipe, own_module, tmp_path):
    began = []

    class Sent:
        """Engine that gets its work as another process would."""

        def run(self, make, numbers):
            work = pickle.loads(pickle.dumps(make))()  # noqa: S301
            began.append(len(numbers))
            for number in numbers:
                work(number)
                yield number

    module = own_module("def kept(prompts): return list(prompts)\n")
    leaks = {"benchmarks": [{"source": "jsonl", "folder": "quiz", "split": "train"}]}
    spread = recipe(stages=[{"name": f"{module}:kept", "after": "read"}], decontaminate=leaks)
    dry_run(spread, base=tmp_path, root=tmp_path / "out", engine=Sent())
    assert len(began) == sum(stage.spread for stage in stages_of(spread)) == 3


def test_another_process_is_given_absolute_paths_and_no_models(recipe, tmp_path):
    leaks = {"benchmarks": [{"source": "jsonl", "folder": "quiz", "split": "train"}]}
    chosen = recipe(decontaminate=leaks)
    with Models(chosen, base=tmp_path, root=tmp_path / "out") as models:
        given = Given(recipe=chosen, base=tmp_path, models=models).for_workers()
    assert given.models is None
    assert [one.folder for one in given.recipe.decontaminate.benchmarks] == [str(tmp_path / "quiz")]
