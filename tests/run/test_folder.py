"""A run's folder goes on under the recipe it was begun with, and refuses another."""

import contextlib
import json
import shutil
import sys
from pathlib import Path

import pytest

from vasari.core.errors import StateError
from vasari.report import write_report, write_summary
from vasari.run.folder import open_run
from vasari.run.recipe import load_recipe

QUICKSTART = Path(__file__).parents[2] / "recipes" / "quickstart.yaml"
OLD_RUN = Path(__file__).parents[1] / "golden" / "run_0_1_0"


@pytest.fixture
def begun(tmp_path):
    """The folder of a run of the quickstart's recipe."""
    open_run(load_recipe(QUICKSTART, []), tmp_path)
    return tmp_path


def change(folder: Path, edit) -> None:
    settings = json.loads((folder / "settings.json").read_text())
    edit(settings["recipe"])
    (folder / "settings.json").write_text(json.dumps(settings))


def test_a_run_begun_before_a_setting_existed_goes_on(begun):
    change(begun, lambda recipe: recipe["grpo"].pop("screening"))
    assert open_run(load_recipe(QUICKSTART, []), begun).root == begun


def test_a_setting_that_existed_and_differs_is_named(begun):
    change(begun, lambda recipe: recipe["grpo"]["trl"].update(temperature=0.5))
    with pytest.raises(StateError, match=r"grpo\.trl\.temperature is 1\.0, was 0\.5"):
        open_run(load_recipe(QUICKSTART, []), begun)


def test_a_setting_that_no_longer_exists_is_refused(begun):
    change(begun, lambda recipe: recipe.update(alchemy={"gold": 1}))
    with pytest.raises(StateError, match="alchemy"):
        open_run(load_recipe(QUICKSTART, []), begun)


def test_another_sampler_trains_in_the_same_folder(begun):
    assert open_run(load_recipe(QUICKSTART, ["sampler.name=vas"]), begun).root == begun


@pytest.fixture
def old_run(tmp_path):
    """A copy of a run that 0.1.0 wrote."""
    return shutil.copytree(OLD_RUN, tmp_path / "run")


REWARDS_OF_TODAY = "grpo.rewards=[{name: accuracy}, {name: format, weight: 0.5}]"


def of_today(folder: Path) -> Path:
    """The recipe of the old run without the keys of 0.1.0."""
    text = (folder / "recipe.yaml").read_text()
    assert "  format_reward: 0.5\n" in text
    (folder / "recipe.yaml").write_text(text.replace("  format_reward: 0.5\n", ""))
    return folder / "recipe.yaml"


def test_a_run_of_0_1_0_goes_on_with_its_own_recipe(old_run):
    assert open_run(load_recipe(old_run / "recipe.yaml", []), old_run).root == old_run


def test_a_run_of_0_1_0_goes_on_with_its_recipe_under_todays_keys(old_run):
    open_run(load_recipe(of_today(old_run), [REWARDS_OF_TODAY]), old_run)
    stored = json.loads((old_run / "settings.json").read_text())["recipe"]["grpo"]
    assert [(term["name"], term["weight"]) for term in stored["rewards"]] == [
        ("accuracy", 1.0),
        ("format", 0.5),
    ]
    assert not {"accuracy_reward", "format_reward"} & set(stored)


def test_another_weight_than_the_old_run_had_is_refused(old_run):
    with pytest.raises(
        StateError, match=r"holds a run of another recipe \(grpo\.rewards is .*'weight': 0\.5"
    ):
        open_run(load_recipe(of_today(old_run), []), old_run)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"recipe": 3}', "\x00"])
def test_settings_that_cannot_be_read_are_named(tmp_path, text):
    (tmp_path / "settings.json").write_text(text)
    with pytest.raises(
        StateError, match=r"settings\.json: .*choose another --out, or put back a copy"
    ):
        open_run(load_recipe(QUICKSTART, []), tmp_path)


STRANGE = """
from pathlib import Path
Path("it_ran").touch()
def make(**settings):
    raise ValueError("it was called")
"""


def name_a_reward(recipe):
    for key in ("accuracy_reward", "format_reward"):
        recipe["grpo"].pop(key)
    recipe["grpo"]["rewards"] = [{"name": "strange:make", "settings": {}, "weight": 1.0}]


NAMING = {
    "a sampler": lambda recipe: recipe.update(
        sampler={"name": "strange:make", "settings": {}, "others": {}}
    ),
    "another sampler": lambda recipe: recipe["sampler"]["others"].update({"strange:make": {}}),
    "an inner sampler": lambda recipe: recipe.update(
        sampler={"name": "skip", "settings": {"inner": "strange:make"}}
    ),
    "a gate": lambda recipe: recipe["grpo"].update(
        gate={"name": "strange:make", "settings": {}}, screening={}
    ),
    "a gate by its bare name": lambda recipe: recipe["grpo"].update(
        gate="strange:make", screening={}
    ),
    "a reward": name_a_reward,
    "a reward beside old ones": lambda recipe: recipe["grpo"].update(
        rewards=[{"name": "strange:make"}]
    ),
    "a task": lambda recipe: recipe.update(prompts={"tasks": {"families": ["strange:make"]}}),
}


@pytest.fixture
def strange(old_run, monkeypatch):
    """A folder with a module that leaves a file when it is imported, from which a command may
    import."""
    (old_run.parent / "strange.py").write_text(STRANGE)
    monkeypatch.chdir(old_run.parent)
    monkeypatch.syspath_prepend(str(old_run.parent))
    monkeypatch.delenv("VASARI_PLUGINS", raising=False)
    yield old_run
    sys.modules.pop("strange", None)


def open_with(folder: Path) -> None:
    """Open the folder by the recipe beside it, whatever becomes of that."""
    with contextlib.suppress(StateError):
        open_run(load_recipe(folder / "recipe.yaml", []), folder)


@pytest.mark.parametrize("edit", NAMING.values(), ids=NAMING)
def test_the_settings_of_a_strangers_run_run_no_code(strange, edit):
    change(strange, edit)
    open_with(strange)
    write_summary(strange)
    write_report(strange)
    assert not Path("it_ran").exists()


def test_code_that_was_allowed_is_found_by_the_settings_of_a_run(strange, monkeypatch):
    monkeypatch.setenv("VASARI_PLUGINS", "strange")
    change(strange, NAMING["a sampler"])
    open_with(strange)
    assert Path("it_ran").exists()


def test_first_and_last_commands_are_kept(tmp_path, monkeypatch):
    recipe = load_recipe(QUICKSTART, [])
    kept = []
    for words in (["vasari", "sft"], ["vasari", "train"], ["vasari", "evaluate"]):
        monkeypatch.setattr(sys, "argv", words)
        open_run(recipe, tmp_path)
        kept.append(json.loads((tmp_path / "settings.json").read_text()))
    first, _, third = kept
    assert (third["command"], third["last"]["command"]) == ("vasari sft", "vasari evaluate")
    assert {key: third[key] for key in ("started", "versions", "machine")} == {
        key: first[key] for key in ("started", "versions", "machine")
    }
    assert "last" not in first


def test_only_the_main_process_writes_the_settings(tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    open_run(load_recipe(QUICKSTART, []), tmp_path)
    assert not (tmp_path / "settings.json").exists()


@pytest.mark.parametrize(
    ("words", "processes", "command"),
    [
        (
            ["/x/site-packages/vasari/__main__.py", "sft", "my recipe.yaml", "--set", "a={b: 1}"],
            {},
            "vasari sft 'my recipe.yaml' --set 'a={b: 1}'",
        ),
        (["/x/bin/vasari", "train", "r.yaml"], {}, "vasari train r.yaml"),
        (
            ["/x/vasari/__main__.py", "train", "r.yaml"],
            {"WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "8"},
            "torchrun --nproc_per_node 8 -m vasari train r.yaml",
        ),
        (
            ["/x/vasari/__main__.py", "train", "r.yaml"],
            {"WORLD_SIZE": "32", "LOCAL_WORLD_SIZE": "8"},
            "torchrun --nnodes 4 --nproc_per_node 8 -m vasari train r.yaml",
        ),
    ],
    ids=["module", "script", "torchrun", "nodes"],
)
def test_the_command_is_kept_as_it_can_be_given_again(
    tmp_path, monkeypatch, words, processes, command
):
    monkeypatch.setattr(sys, "argv", words)
    for key, value in processes.items():
        monkeypatch.setenv(key, value)
    open_run(load_recipe(QUICKSTART, []), tmp_path)
    assert json.loads((tmp_path / "settings.json").read_text())["command"] == command


def test_the_page_of_an_old_run_shows_a_command_that_can_be_given_again(old_run):
    write_report(old_run)
    page = (old_run / "report.html").read_text()
    assert "vasari evaluate recipe.yaml" in page
    assert "__main__.py" not in page
