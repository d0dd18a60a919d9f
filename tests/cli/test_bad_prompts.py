"""Prompts that would end a training late are refused before weights are loaded: there are none."""

import io
import json
import shutil

import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from vasari.cli.main import app

GRPO = {"steps": 2, "prompts_per_batch": 2, "rollouts_per_prompt": 2, "micro_batch": 2}
FAULTS = {
    "shape": ({"image": "thin.png"}, ["prompt 'p1'", "500 x 1"]),
    "token": ({"question": "What is <|image_pad|>?"}, ["prompt 'p1'", "<|image_pad|>"]),
    "length": ({"question": "one two three " * 2000}, ["'p1': ", "the 4,096 that the model"]),
    "marks": ({"question": "<image> and <image>?"}, ["prompt 'p1'", "<image>"]),
}


@pytest.fixture
def recipe(tmp_path, tiny_folder):
    """Writes a recipe over six prompts of which the second is changed, and its model without
    weights."""

    def write(stage, changes):
        folder = tmp_path / "model"
        shutil.copytree(tiny_folder, folder, ignore=shutil.ignore_patterns("*.safetensors"))
        data = io.BytesIO()
        Image.new("RGB", (500, 1)).save(data, "PNG")
        (tmp_path / "thin.png").write_bytes(data.getvalue())
        rows = [
            {"id": f"p{n}", "question": f"{n}+1?", "answer": str(n), "solution": f"{n}"}
            for n in range(6)
        ]
        rows[1] |= changes
        for name in ("train", "validation"):
            part = rows if name == "train" else [row | {"id": f"v{row['id']}"} for row in rows[2:]]
            path = tmp_path / f"{name}.jsonl"
            path.write_text("".join(json.dumps(row) + "\n" for row in part))
        sections = {"sft": {"batch_prompts": 2}} if stage == "sft" else {"grpo": GRPO}
        files = {
            "train": "train.jsonl",
            "validation": "validation.jsonl",
            "test": "validation.jsonl",
        }
        content = {
            "name": "bad",
            "prompts": {"files": files},
            "model": {"path": "model", "system_prompt": "small"},
        }
        (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(content | sections))
        return tmp_path / "recipe.yaml"

    return write


@pytest.mark.parametrize("stage", ["sft", "train"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_one_line_before_anything_is_paid_for(recipe, tmp_path, stage, fault):
    changes, words = FAULTS[fault]
    done = CliRunner().invoke(
        app, [stage, str(recipe(stage, changes)), "--out", str(tmp_path / "run")]
    )
    message = str(done.exception)
    assert all(word in message for word in words), message
    assert "\n" not in message
    assert not (tmp_path / "run" / "rl").exists()


def test_the_plan_lists_every_fault_at_once(recipe, tmp_path):
    path = recipe("sft", FAULTS["token"][0])
    rows = [json.loads(line) for line in (tmp_path / "validation.jsonl").read_text().splitlines()]
    rows[0].pop("solution")
    (tmp_path / "validation.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    shown = CliRunner().invoke(app, ["plan", str(path), "--json"])
    assert shown.exit_code == 1, shown.exception
    assert shown.stdout.startswith("{"), (shown.stdout[:500], shown.exception)
    found = json.loads(shown.stdout)
    said = "\n".join(found["problems"] + found["notes"])
    assert "<|image_pad|>" in said
    assert "validation: 1 of 4 prompts have no 'solution'" in said
