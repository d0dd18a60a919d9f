"""Folders that a curation must not harm: the hash of the whole tree before and after it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from vasari.core.errors import StateError, StorageError
from vasari.curate.recipe import load_curation
from vasari.curate.run.job import curate, dry_run


@pytest.fixture
def recipe(tmp_path):
    """Writes a recipe without models over six rows, three of them near-duplicates."""
    data = tmp_path / "recipe" / "data"
    data.mkdir(parents=True)
    rows = [
        {"id": f"q{n}", "question": f"What is {n} + {n}?", "answer": str(2 * n), "solution": "Sum."}
        for n in range(6)
    ]
    (data / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def write(**changes):
        content = {
            "name": "small",
            "sources": [{"source": "jsonl", "folder": "data", "domain": "math"}],
            "sft": {},
            "rl": {"parts": [{"name": "all", "target": 4}]},
            "exports": ["trl"],
        } | changes
        path = tmp_path / "recipe" / "recipe.yaml"
        path.write_text(yaml.safe_dump(content))
        return path

    return write


def run(path, out):
    return curate(load_curation(path), base=path.parent, root=out)


def tree(root: Path) -> dict[str, str]:
    """Every entry below a folder: what it is, its content, where a link leads, when it changed."""
    found = {}
    for parent, folders, files in os.walk(root):
        for name in [*folders, *files]:
            path = Path(parent, name)
            if path.is_symlink():
                what = f"link to {os.readlink(path)}"  # noqa: PTH115
            elif path.is_dir():
                what = "folder"
            else:
                what = hashlib.sha256(path.read_bytes()).hexdigest()
            found[path.relative_to(root).as_posix()] = f"{what} {path.lstat().st_mtime_ns}"
    return found


def put(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"mine: {name}")


def git_repository(root):
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    put(root, "README.md", ".gitignore")


def training_run(root):
    put(root, "prompts/train.parquet", "stages/sft.json", "rl/vas/best/model.safetensors")
    (root / "settings.json").write_text(json.dumps({"schema": 1, "recipe": {"name": "x"}}))


def manifest_of_something_else(root):
    (root / "manifest.json").write_text(json.dumps({"name": "a web page", "stages": []}))
    put(root, "sft.parquet")


def links(root):
    put(root.parent / "elsewhere", "00-read/part-00000.parquet")
    (root / "stages").symlink_to(root.parent / "elsewhere")
    (root / "loop").symlink_to(root / "loop")


FOREIGN = {
    "exports": lambda root: put(root, "exports/paper.csv"),
    "stages of his own": lambda root: put(root, "stages/mine/part-00000.parquet"),
    "stages called like ours": lambda root: put(root, "stages/00-read/begun.json"),
    "a set": lambda root: put(root, "rl.parquet"),
    "a card": lambda root: put(root, "README.md"),
    "one hidden file": lambda root: put(root, ".bashrc"),
    "an empty folder": lambda root: (root / "thesis").mkdir(),
    "images": lambda root: put(root, "images/ab/holiday.png"),
    "a lock that says something": lambda root: put(root, ".lock"),
    "a lock and notes": lambda root: (put(root, "notes.txt"), (root / ".lock").touch()),
    "temporary files": lambda root: put(root, ".manifest.json.12.tmp", "report.docx"),
    "a git repository": git_repository,
    "a training run": training_run,
    "a manifest of another kind": manifest_of_something_else,
    "links": links,
}


@pytest.mark.parametrize("what", FOREIGN)
@pytest.mark.parametrize(
    "work", [run, lambda path, out: dry_run(load_curation(path), base=path.parent, root=out)]
)
@pytest.mark.parametrize("through_a_link", [False, True])
def test_a_folder_of_others_is_refused_and_left_byte_for_byte(
    recipe, tmp_path, what, work, through_a_link
):
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    FOREIGN[what](theirs)
    path = recipe()
    before = tree(tmp_path)
    out = theirs
    if through_a_link:
        out = tmp_path.parent / f"{tmp_path.name}-link"
        out.symlink_to(theirs)
    with pytest.raises(StateError, match="choose another --out") as found:
        work(path, out)
    assert "\n" not in str(found.value)
    assert tree(tmp_path) == before


def test_an_empty_folder_is_taken_and_a_file_or_a_circle_is_said_in_a_line(recipe, tmp_path):
    path = recipe()
    (tmp_path / "empty").mkdir()
    assert run(path, tmp_path / "empty").sizes == {"sft": 6, "rl": 4}
    (tmp_path / "file").write_text("mine")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name in ("file", "loop", "file/below"):
        with pytest.raises(StorageError, match="the folder cannot be used"):
            run(path, tmp_path / name)


def test_files_of_others_in_a_curations_folder_stay_through_every_change_of_the_recipe(
    recipe, tmp_path
):
    out = tmp_path / "out"
    run(recipe(), out)
    theirs = ["notes.txt", "exports/paper.csv", "exports/mine/x.json", "exports/trl/notes.txt"]
    theirs += ["stages/mine/part-00000.parquet", "stages/notes.txt", "stages/01-check/notes.txt"]
    theirs += ["stages/02-near_duplicates/notes.txt", "images/holiday.png", ".notes.1.tmp"]
    theirs += ["stages/77-mine/part-00000.parquet", "exports/verl/old.parquet"]
    put(out, *theirs)
    before = {name: (out / name).read_bytes() for name in theirs}
    for changes in (
        {},
        {"seed": 2},
        {"duplicates": None, "exports": ["sharegpt", "easyr1"]},
        {"rl": None},
        {"sft": None, "exports": []},
        {"sources": [{"source": "jsonl", "folder": "data", "limit": 3}]},
        {},
    ):
        run(recipe(**changes), out)
        assert {name: (out / name).read_bytes() for name in theirs} == before
    assert not (out / "exports" / "sharegpt").exists()
    assert (out / "exports" / "trl" / "sft.parquet").exists()


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("rl.parquet", {"rl": None}, {}),
        ("exports/easyr1/rl.parquet", {}, {"exports": ["trl", "easyr1"]}),
    ],
)
def test_a_file_of_others_where_a_curation_would_write_ends_it_before_it_begins(
    recipe, tmp_path, name, before, after
):
    out = tmp_path / "out"
    run(recipe(**before), out)
    put(out, name)
    (out / "stages" / "00-read" / "begun.json").unlink()
    files = tree(out)
    with pytest.raises(StateError, match="move it away, or choose another --out"):
        run(recipe(**after), out)
    assert tree(out) == files
    shutil.rmtree((out / name).parent) if "/" in name else (out / name).unlink()
    run(recipe(**after), out)
    assert (out / name).stat().st_size > 100


@pytest.mark.parametrize("name", ["stages", "images", "exports", "responses", "exports/trl"])
@pytest.mark.parametrize("is_link", [True, False])
def test_a_folder_of_ours_that_is_a_link_or_a_file_is_refused(recipe, tmp_path, name, is_link):
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    path = recipe()
    run(path, out)
    put(elsewhere, "00-read/part-00000.parquet", "sft.parquet", "00-read/begun.json")
    if (out / name).exists():
        shutil.rmtree(out / name)
    if is_link:
        (out / name).symlink_to(elsewhere)
    else:
        (out / name).write_text("mine")
    before = tree(tmp_path)
    with pytest.raises(StateError, match="or choose another --out"):
        run(path, out)
    assert tree(tmp_path) == before


def test_a_folder_of_a_version_without_the_marker_goes_on(recipe, tmp_path):
    out = tmp_path / "out"
    path = recipe()
    run(path, out)
    (out / ".curation.json").unlink()
    before = {name: value for name, value in tree(out).items() if name.startswith("stages/")}
    run(path, out)
    assert {
        name: value for name, value in tree(out).items() if name.startswith("stages/")
    } == before
    # Killed before its end: there is no manifest yet.
    for name in (".curation.json", "manifest.json", "README.md", "dropped.parquet", "funnel.json"):
        (out / name).unlink()
    for name in ("funnel.html", "sft.parquet", "rl.parquet", "dead_letters.jsonl"):
        (out / name).unlink()
    shutil.rmtree(out / "exports")
    assert run(path, out).sizes == {"sft": 6, "rl": 4}


@pytest.mark.parametrize(
    "left", [[".lock"], [".lock", "..curation.json.12.tmp"], [".workers-0123456789abcdef"]]
)
def test_a_run_that_was_killed_at_its_very_start_or_has_workers_goes_on(recipe, tmp_path, left):
    (tmp_path / "begun").mkdir()
    for name in left:
        (tmp_path / "begun" / name).touch()
    assert run(recipe(), tmp_path / "begun").sizes == {"sft": 6, "rl": 4}
    assert not (tmp_path / "begun" / "..curation.json.12.tmp").exists()


def test_what_a_killed_run_was_writing_goes_at_the_next_start(recipe, tmp_path):
    out = tmp_path / "out"
    path = recipe()
    run(path, out)
    left = [".sft.parquet.9.tmp", "stages/01-check/.part-00000.parquet.9.tmp"]
    left += [f"images/ab/.{'ab' * 32}.png.9.tmp", ".workers-9-01ab", ".workers-9-01ab-23cd"]
    kept = [
        ".workers-mine",
        f".workers-{os.getpid()}-01ab",
        ".mine.9.tmp",
        "stages/01-check/.mine.9.tmp",
        "images/ab/.holiday.png.9.tmp",
    ]
    put(out, *left, *kept)
    run(path, out)
    assert not [name for name in left if (out / name).exists()]
    assert all((out / name).exists() for name in kept)
