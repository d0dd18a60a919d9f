"""Whatever a user gets wrong is one clear error, exit code 1, no traceback, and nothing lost."""

from __future__ import annotations

import hashlib
import json
import resource
import shutil
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from vasari.cli.main import main
from vasari.data.prompt_file import read_prompts, write_prompts
from vasari.data.tasks.pool import PoolSettings, make_pool

MINIMAL = {
    "name": "bad",
    "prompts": {"files": {"train": "pool.jsonl"}},
    "model": {"path": "vasari:tiny-base", "system_prompt": "small"},
    "grpo": {"steps": 2, "prompts_per_batch": 2, "rollouts_per_prompt": 2, "micro_batch": 2},
}


@pytest.fixture
def refused(monkeypatch, capsys) -> Callable[..., str]:
    """Runs a command that must fail, and returns what the error says."""

    def run(*words: str | Path) -> str:
        monkeypatch.setattr(sys, "argv", ["vasari", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main()
        said = capsys.readouterr()
        assert stop.value.code == 1
        assert "Traceback" not in said.err + said.out
        before, mark, message = said.err.partition("error: ")
        assert mark, said.err
        assert "error" not in before.lower()
        return message.rstrip("\n")

    return run


@pytest.fixture
def recipe(tmp_path) -> Callable[..., Path]:
    """Writes a recipe, whole sections replaced by the given ones."""

    def write(text: str | None = None, **sections: object) -> Path:
        path = tmp_path / "recipe.yaml"
        path.write_text(text if text is not None else yaml.safe_dump(MINIMAL | sections))
        return path

    return write


def contents(folder: Path) -> dict[str, str]:
    """Digest of each file below a folder, less the record of the last command."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "settings.json"]
    return {
        str(path.relative_to(folder)): hashlib.blake2b(path.read_bytes()).hexdigest()
        for path in files
    }


# The recipe.


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"grpo": MINIMAL["grpo"] | {"stepz": 3}}, ["unknown key 'grpo.stepz'"]),
        ({"trainer": {}}, ["unknown key 'trainer'"]),
        (
            {"grpo": MINIMAL["grpo"] | {"trl": {"learning_rate": -1}}},
            ["grpo.trl.learning_rate", "greater than 0", "got -1"],
        ),
        (
            {"grpo": MINIMAL["grpo"] | {"rollouts_per_prompt": 1}},
            ["grpo.rollouts_per_prompt", "got 1"],
        ),
        ({"grpo": MINIMAL["grpo"] | {"steps": "many"}}, ["grpo.steps", "got 'many'"]),
        (
            {"grpo": MINIMAL["grpo"] | {"steps": 3}},
            ["steps must be a multiple of updates_per_batch (2), got 3"],
        ),
        ({"sampler": {"name": "magic"}}, ["sampler must be one of", "got 'magic'"]),
        (
            {"sampler": {"name": "vas", "settings": {"mix_ratio": 2}}},
            ["mix_ratio must be at least 0 and at most 1, got 2"],
        ),
        (
            {"sampler": {"name": "uniform", "others": {"vas": {"mix_ratio": 2}}}},
            ["mix_ratio must be at least 0", "got 2"],
        ),
        (
            {"sampler": {"name": "uniform", "others": {"magic": {}}}},
            ["sampler must be one of", "got 'magic'"],
        ),
        ({"prompts": {}}, ["give either `tasks`", "or `files`"]),
        (
            {"prompts": {"tasks": {"families": ["unicorns"]}}},
            ["task must be one of bars,", "got 'unicorns'"],
        ),
        ({"model": {}}, ["give either `path`", "or `new`"]),
    ],
)
def test_a_wrong_recipe_names_its_key(refused, recipe, tmp_path, sections, words):
    message = refused("train", recipe(**sections), "--out", tmp_path / "run")
    assert "\n" not in message
    assert all(word in message for word in [str(tmp_path / "recipe.yaml"), *words]), message
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: [1, 2\nprompts: {", "is not YAML"),
        ("\x00\x01", "is not YAML"),
        ("- a\n- b\n", "expected keys and values at the top, got list"),
        ("", "expected keys and values at the top, got NoneType"),
        ("!!python/object/apply:os.system ['true']", "is not YAML"),
    ],
    ids=["cut off", "bytes", "list", "empty", "code"],
)
def test_a_file_that_is_no_recipe_is_refused(refused, recipe, tmp_path, text, words):
    message = refused("train", recipe(text), "--out", tmp_path / "run")
    assert words in message
    assert "\n" not in message
    assert not (tmp_path / "run").exists()


def test_a_recipe_that_is_not_there_is_refused(refused, tmp_path):
    assert (
        refused("train", tmp_path / "nothing.yaml")
        == f"recipe {tmp_path}/nothing.yaml: No such file or directory; `vasari recipe` lists those"
        " that ship, and writes one here"
    )


def test_a_folder_is_no_recipe(refused, tmp_path):
    assert refused("train", tmp_path) == f"recipe {tmp_path}: Is a directory"


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("grpo.steps", "--set takes key=value, e.g. grpo.steps=50; got 'grpo.steps'"),
        ("=3", "--set takes key=value"),
        ("grpo.stepz=3", "unknown key 'grpo.stepz'"),
        ("name.first=3", "'name' holds a value, not settings"),
        ("grpo.steps=[1", "the value is not YAML"),
    ],
)
def test_a_wrong_override_is_refused(refused, recipe, tmp_path, override, words):
    message = refused("train", recipe(), "--out", tmp_path / "run", "--set", override)
    assert words in message
    assert "\n" not in message


def test_a_report_of_no_run_is_refused(refused, tmp_path):
    assert "holds no run (no settings.json)" in refused("report", tmp_path / "nowhere")


# Prompts.


def png_header(width: int, height: int) -> bytes:
    """A PNG of that size by its header, with a few bytes for pixels."""
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"\0" * 64)),
        (b"IEND", b""),
    ]
    packed = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def rows(num=6, **changes):
    """Prompts as rows; the second is changed."""
    rows = [{"id": f"p{n}", "question": f"{n}+1?", "answer": str(n + 1)} for n in range(num)]
    rows[1] |= changes
    return rows


@pytest.fixture
def pool(tmp_path) -> Callable[[list[dict[str, object]]], None]:
    def write(rows: list[dict[str, object]]) -> None:
        (tmp_path / "pool.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    return write


@pytest.fixture(scope="module")
def picture() -> bytes:
    (prompt,) = make_pool(
        PoolSettings(families=("bars",), num_prompts=1, image_size=56), split="train", seed=0
    )
    return prompt.images[0].data


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"image": "lost.png"}, ["pool.jsonl:2: prompt 'p1'", "the file 'lost.png' is missing"]),
        ({"image": "../outside.png"}, ["pool.jsonl:2: prompt 'p1'", "leaves the folder"]),
        ({"image": "bomb.png"}, ["pool.jsonl:2: prompt 'p1'", "bomb.png", "pixels"]),
        ({"image": "text.png"}, ["pool.jsonl:2: prompt 'p1'", "is not an image"]),
        (
            {"image": "cut.png"},
            ["1 of 1 images cannot be used", "prompt 'p1'", "is truncated or damaged"],
        ),
        ({"answer": ""}, ["pool.jsonl:2: prompt 'p1' has no 'answer'"]),
        ({"id": "p0"}, ["pool.jsonl:2: the id 'p0' was already used at", "pool.jsonl:1"]),
        ({"kind": "riddle"}, ["pool.jsonl:2: prompt 'p1': 'kind' must be one of", "got 'riddle'"]),
    ],
    ids=["missing", "outside", "bomb", "no image", "truncated", "no answer", "same id", "kind"],
)
def test_a_wrong_prompt_names_its_line(refused, recipe, pool, picture, tmp_path, changes, words):
    (tmp_path / "bomb.png").write_bytes(png_header(30_000, 30_000))
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "cut.png").write_bytes(picture[: len(picture) // 2])
    pool(rows(**changes))
    message = refused("train", recipe(), "--out", tmp_path / "run")
    assert all(word in message for word in words), message
    assert not (tmp_path / "run" / "prompts" / "train.parquet").exists()


def test_a_line_that_is_no_json_is_named(refused, recipe, tmp_path):
    (tmp_path / "pool.jsonl").write_text('{"question": "1+1?", "answer": "2"}\n{"question": \n')
    assert "pool.jsonl:2: not valid JSON" in refused("train", recipe(), "--out", tmp_path / "run")


def test_prompt_files_that_are_not_there_are_named(refused, recipe, tmp_path):
    assert "pool.jsonl: there is no such file" in refused(
        "train", recipe(), "--out", tmp_path / "run"
    )


def test_too_few_prompts_to_hold_any_out_are_refused(refused, recipe, pool, tmp_path):
    pool(rows(2))
    assert "2 prompts are too few to hold out 1 for each of" in refused(
        "train", recipe(), "--out", tmp_path / "run"
    )


# The model and the run's folder.


def test_a_pool_smaller_than_a_batch_is_refused(refused, recipe, pool, tmp_path):
    pool(rows(6))
    words = ["train", recipe(), "--out", tmp_path / "run", "--set", "grpo.prompts_per_batch=5"]
    assert "the pool has 4 prompts and a batch draws 5; lower grpo.prompts_per_batch" in refused(
        *words
    )


def test_training_before_its_cold_start_is_refused(refused, recipe, pool, tmp_path):
    pool(rows())
    message = refused("train", recipe(sft={}), "--out", tmp_path / "run")
    assert "no cold start yet; run `vasari sft` with the same recipe and --out first" in message


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("/nowhere/model", "model.path '/nowhere/model': there is no folder /nowhere/model"),
        ("vasari:huge", "model 'vasari:huge' does not ship with vasari"),
    ],
)
def test_a_model_that_is_not_there_is_refused(refused, recipe, pool, tmp_path, model, words):
    pool(rows())
    assert words in refused("train", recipe(model={"path": model}), "--out", tmp_path / "run")


def test_a_folder_that_holds_no_model_is_refused(refused, recipe, pool, tmp_path):
    pool(rows())
    (tmp_path / "empty").mkdir()
    message = refused(
        "train", recipe(model={"path": str(tmp_path / "empty")}), "--out", tmp_path / "run"
    )
    assert "can be loaded from it" in message
    assert "\n" not in message


def test_an_unknown_sampler_on_the_command_line_is_refused(refused, recipe, pool, tmp_path):
    pool(rows())
    assert "sampler must be one of" in refused(
        "train", recipe(), "--out", tmp_path / "run", "--sampler", "magic"
    )


def test_the_quickstart_refuses_an_unknown_sampler_before_it_has_cost_anything(refused, tmp_path):
    assert "sampler must be one of" in refused(
        "quickstart", "--out", tmp_path / "run", "--sampler", "magic"
    )
    assert not (tmp_path / "run").exists()


def test_evaluating_a_run_without_a_model_is_refused(refused, write_recipe, tmp_path):
    path = write_recipe(tmp_path / "recipe", model={"path": None, "new": {}}, sft={})
    assert "holds no model to evaluate" in refused("evaluate", path, "--out", tmp_path / "run")


@pytest.fixture(scope="module")
def trained(write_recipe, tmp_path_factory) -> tuple[Path, Path]:
    """A recipe and the folder of its run, which ended well."""
    folder = tmp_path_factory.mktemp("trained")
    recipe = write_recipe(folder / "recipe")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["vasari", "train", str(recipe), "--out", str(folder / "run")])
        with pytest.raises(SystemExit, match="0"):
            main()
    return recipe, folder / "run"


@pytest.fixture
def run(trained, tmp_path) -> tuple[Path, Path]:
    """The recipe, and a copy of the run of its own."""
    recipe, folder = trained
    shutil.copytree(folder, tmp_path / "run")
    return recipe, tmp_path / "run"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            ["--set", "grpo.trl.learning_rate=0.5", "--resume"],
            "holds a run of another recipe (grpo.trl.learning_rate is 0.5, was 0.003)",
        ),
        (["--set", "seed=9", "--resume"], "holds a run of another recipe (seed is 9, was 0)"),
        ([], "exists; pass --resume to keep it"),
    ],
)
def test_another_recipe_leaves_a_run_as_it_was(refused, run, options, words):
    recipe, folder = run
    before = contents(folder)
    assert words in refused("train", recipe, "--out", folder, *options)
    assert contents(folder) == before


@pytest.mark.slow
def test_a_checkpoint_of_another_pool_is_refused_and_kept(refused, run):
    recipe, folder = run
    (folder / "stages" / "rl-vas.json").unlink()
    prompts = read_prompts(folder / "prompts" / "train.parquet")
    write_prompts(folder / "prompts" / "train.parquet", prompts[:-1])
    checkpoints = contents(folder / "rl" / "vas" / "checkpoint-4")
    assert "pool" in refused("train", recipe, "--out", folder, "--resume")
    assert contents(folder / "rl" / "vas" / "checkpoint-4") == checkpoints


@pytest.mark.slow
def test_a_disk_that_fills_up_is_one_line(refused, write_recipe, tmp_path):
    recipe = write_recipe(tmp_path / "recipe")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (250_000, limits[1]))
    try:
        message = refused("train", recipe, "--out", tmp_path / "run")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "the disk refused the checkpoint" in message
    assert "no checkpoint was complete yet. Free some space and resume." in message


def test_uniform_prompts_are_not_compared_with_themselves(refused, tmp_path):
    message = refused("quickstart", "--out", tmp_path / "run", "--compare", "--sampler", "uniform")
    assert "--compare" in message
    assert "uniform" in message
    assert not (tmp_path / "run").exists()
