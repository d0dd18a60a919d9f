"""`vasari evaluate --model` evaluates any checkpoint by its path, beside the run's own models."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from vasari.core.errors import StateError
from vasari.model.transformers_policy import load_model
from vasari.run.commands import evaluate_path
from vasari.train.adapters import add_adapter
from vasari.train.settings import LoraSettings

RECIPE = Path(__file__).parents[2] / "recipes" / "quickstart_tiny.yaml"
SMALL = (
    "prompts.tasks.num_cold_start=0",
    "prompts.tasks.num_train=8",
    "prompts.tasks.num_validation=2",
    "prompts.tasks.num_test=4",
    "prompts.tasks.num_held_out_style=0",
    "grpo.prompts_per_batch=8",
    "evaluate.num_rollouts=2",
    "evaluate.max_tokens=8",
)


@pytest.fixture
def evaluate(tmp_path):
    def run(model):
        return evaluate_path(RECIPE, tmp_path / "run", SMALL, model=str(model))

    return run


@pytest.mark.slow
def test_whole_weights_and_an_adapter_alone_are_evaluated(evaluate, tiny_folder, tmp_path):
    whole = tmp_path / "checkpoint-2"
    shutil.copytree(tiny_folder, whole)
    # An adapter that was not trained yet changes nothing.
    model = add_adapter(load_model(str(tiny_folder)), LoraSettings(rank=2), frozen=(), seed=0)
    model.peft_config["default"].base_model_name_or_path = str(tiny_folder)
    model.save_pretrained(tmp_path / "adapter")
    found, adapted = evaluate(whole), evaluate(tmp_path / "adapter")
    assert found["sets"]["test"]["num_prompts"] == 4
    assert found["sets"] == adapted["sets"]
    kept = sorted((tmp_path / "run" / "evaluation" / "others").glob("*.json"))
    assert [json.loads(path.read_text())["model"] for path in kept] == [
        f"{tmp_path.name}-adapter",
        f"{tmp_path.name}-checkpoint-2",
    ]


def test_a_path_without_a_model_is_named(evaluate, tmp_path):
    with pytest.raises(StateError, match=r"nowhere'?: there is no folder"):
        evaluate(tmp_path / "nowhere")
