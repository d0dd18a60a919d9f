"""Prompts of one's own, from a JSONL file, with none, one and several images in one batch."""

import base64
import io
import json
import re
import sys

import pytest
from PIL import Image

from vasari.cli.main import main
from vasari.train.group_file import read_groups

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(write_recipe, digit_prompts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    recipe = write_recipe(
        folder / "recipe", prompts={"files": {"train": "own.jsonl", "held_out_share": 0.2}}
    )
    lines = []
    for number, prompt in enumerate(digit_prompts):
        names = [f"{number}-{place}.png" for place in range(len(prompt.images))]
        for name, image in zip(names, prompt.images, strict=True):
            (folder / "recipe" / name).write_bytes(image.data)
        marks = "<image>" * len(names) if number % 2 else ""
        lines.append(
            {
                "question": f"{marks}How many, {number}?",
                "answer": prompt.answer,
                "images": names,
                "category": "own",
            }
        )
    (folder / "recipe" / "own.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.MonkeyPatch.context() as patch:
        for command in ("train", "evaluate"):
            patch.setattr(
                sys, "argv", ["vasari", command, str(recipe), "--out", str(folder / "run")]
            )
            with pytest.raises(SystemExit) as stop:
                main()
            assert not stop.value.code
    return folder / "run"


def test_a_batch_mixes_prompts_with_none_one_and_two_images(run, digit_prompts):
    from vasari.data.prompt_file import read_prompts

    pool = read_prompts(run / "prompts" / "train.parquet")
    by_batch = {}
    for row in read_groups(run / "rl" / "vas" / "groups").to_pylist():
        if row["purpose"] == "train":
            by_batch.setdefault(row["batch"], set()).add(len(pool[row["prompt_index"]].images))
    assert len(by_batch) == 2
    assert any(len(counts) > 1 and 0 in counts for counts in by_batch.values())


def test_every_prompt_was_scored_before_the_first_batch(run):
    rows = read_groups(run / "rl" / "vas" / "groups").to_pylist()
    assert sum(row["purpose"] == "refresh" and row["batch"] == 0 for row in rows) == 8


def test_the_report_shows_accuracies_and_images(run):
    page = (run / "report.html").read_text()
    shown = re.findall(
        r'<img[^>]*src="data:image/[a-z]+;base64,([A-Za-z0-9+/=]+)"[^>]*alt="Image \d of \d of'
        r" prompt",
        page,
    )
    assert shown
    assert all(
        Image.open(io.BytesIO(base64.b64decode(picture))).size == (56, 56) for picture in shown
    )


def test_the_summary_names_base_and_arm(run):
    accuracy = json.loads((run / "summary.json").read_text())["accuracy"]
    assert accuracy["base"] is not None
    assert list(accuracy["by_arm"]) == ["vas"]
