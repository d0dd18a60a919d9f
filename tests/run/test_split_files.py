"""Prompts of files by split: nothing that is tested is taught."""

from __future__ import annotations

import json

import pytest

from vasari.core.errors import ConfigError
from vasari.run.prompts import split_files
from vasari.run.recipe import FilePrompts


def write(path, numbers):
    rows = [
        {"id": f"q{n}", "question": f"{n} + 2?", "answer": str(n + 2), "solution": "Add."}
        for n in numbers
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_the_cold_start_is_not_taught_what_is_held_out(tmp_path):
    write(tmp_path / "rl.jsonl", range(20))
    write(tmp_path / "sft.jsonl", range(30))
    files = FilePrompts(train="rl.jsonl", cold_start="sft.jsonl", held_out_share=0.2)

    splits = split_files(files, seed=0, folder=tmp_path)

    ids = {name: {prompt.id for prompt in prompts} for name, prompts in splits.items()}
    assert len(ids["test"]) == len(ids["validation"]) == 4
    assert not ids["cold_start"] & (ids["test"] | ids["validation"])
    assert len(ids["cold_start"]) == 30 - 8


def test_a_cold_start_of_which_nothing_is_left_is_refused(tmp_path):
    write(tmp_path / "rl.jsonl", range(4))
    files = FilePrompts(train="rl.jsonl", cold_start="sft.jsonl", held_out_share=0.25)
    write(tmp_path / "sft.jsonl", range(4))
    held_out = split_files(files, seed=0, folder=tmp_path)["test"]
    write(tmp_path / "sft.jsonl", [int(held_out[0].id[1:])])
    with pytest.raises(ConfigError, match=r"every prompt of it is held out of rl\.jsonl"):
        split_files(files, seed=0, folder=tmp_path)
