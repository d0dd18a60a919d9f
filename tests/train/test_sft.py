"""The cold start, on the random tiny model."""

import dataclasses
import shutil

import pytest
import torch
from safetensors.torch import load_file

from vasari.core.errors import ConfigError, DataError, StateError
from vasari.model.processor import load_processor
from vasari.model.transformers_policy import load_model
from vasari.records import ImageRef
from vasari.train.callbacks import read_log
from vasari.train.checkpoints import complete_checkpoints
from vasari.train.settings import SftSettings
from vasari.train.sft import train_supervised

SETTINGS = {
    "epochs": 4,
    "batch_prompts": 6,
    "micro_batch": 6,
    "validate_every": 2,
    "trl": {"dataloader_num_workers": 0, "learning_rate": 1e-3},
}


@pytest.fixture(scope="module")
def train(tiny_folder, digit_prompts):
    def run(out, *, validation=digit_prompts[:4], resume=False, **changes):
        return train_supervised(
            load_model(str(tiny_folder), dtype="float32"),
            load_processor(str(tiny_folder)),
            train=digit_prompts,
            validation=validation,
            settings=SftSettings(**(SETTINGS | changes)),
            system="Think, then answer.",
            out=out,
            seed=0,
            resume=resume,
        )

    return run


def weights(folder):
    return load_file(folder / "model.safetensors")


def equal_weights(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_there_must_be_prompts_to_learn_from_and_to_validate_on(
    tiny_model, tiny_processor, digit_prompts, tmp_path
):
    with pytest.raises(
        ConfigError, match=r"needs prompts to learn from \(12\) and to validate on \(0\)"
    ):
        train_supervised(
            tiny_model,
            tiny_processor,
            train=digit_prompts,
            validation=[],
            settings=SftSettings(),
            system="",
            out=tmp_path,
            seed=0,
        )


def test_a_prompt_without_a_solution_ends_the_command_before_anything_is_trained(
    train, digit_prompts, tmp_path
):
    silent = [dataclasses.replace(digit_prompts[0], id="silent", solution=None)]
    with pytest.raises(DataError, match="prompt 'silent' has no 'solution' to learn from"):
        train(tmp_path, validation=silent)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"images": (ImageRef(path="/nowhere/a.png"),)}, "the file '/nowhere/a.png' is missing"),
        (
            {"solution": "See <|image_pad|>."},
            r"the answer holds '<\|image_pad\|>', a special token",
        ),
        ({"question": "See <|image_pad|>."}, "cannot be encoded for this model"),
        ({"solution": "1 + 1 = 2. " * 2000}, "tokens with its answer, and the model reads 4096"),
    ],
    ids=["image", "answer", "question", "length"],
)
def test_a_prompt_that_cannot_be_learned_from_is_named_in_one_line(
    train, digit_prompts, tmp_path, change, reason
):
    bad = dataclasses.replace(digit_prompts[0], id="bad", **change)
    with pytest.raises(DataError, match=f"prompt 'bad'.*{reason}") as caught:
        train(tmp_path, validation=[bad])
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_the_weights_with_the_best_validation_loss_are_kept(train, digit_prompts, tmp_path):
    # Nothing that is taught is asked for, so that the validation loss rises and the best weights
    # are not the last.
    other = [
        dataclasses.replace(
            digit_prompts[0], id="other", solution="Which 578 north of gray 96 " * 6
        )
    ]
    facts = train(tmp_path, validation=other, trl=SETTINGS["trl"] | {"learning_rate": 0.05})
    losses = {
        row["step"]: row["eval_loss"]
        for row in read_log(tmp_path / "metrics.jsonl")
        if "eval_loss" in row
    }
    best = min(losses, key=losses.get)
    assert best < max(losses)
    assert facts["validation_loss"] == losses[best]
    assert equal_weights(weights(tmp_path / "model"), weights(tmp_path / f"checkpoint-{best}"))


@pytest.mark.slow
def test_a_resumed_cold_start_ends_with_the_same_weights(train, tmp_path):
    train(tmp_path / "whole")
    shutil.copytree(tmp_path / "whole", tmp_path / "cut")
    shutil.rmtree(tmp_path / "cut" / "model")
    shutil.rmtree(tmp_path / "cut" / "checkpoint-8")
    train(tmp_path / "cut", resume=True)
    assert equal_weights(weights(tmp_path / "cut" / "model"), weights(tmp_path / "whole" / "model"))


@pytest.mark.slow
def test_a_moved_run_goes_on_and_finds_its_best_weights(train, digit_prompts, tmp_path):
    # The best weights are those of the first checkpoint.
    other = [dataclasses.replace(digit_prompts[0], id="other", solution="Which 578 north " * 9)]
    changes = {"validation": other, "trl": SETTINGS["trl"] | {"learning_rate": 0.05}}
    changes |= {"validate_every": 4, "patience": 9}
    train(tmp_path / "whole", **changes)
    shutil.copytree(tmp_path / "whole", tmp_path / "cut")
    shutil.rmtree(tmp_path / "whole")
    shutil.rmtree(tmp_path / "cut" / "model")
    shutil.rmtree(tmp_path / "cut" / "checkpoint-8")
    train(tmp_path / "cut", resume=True, **changes)
    first = weights(tmp_path / "cut" / "checkpoint-4")
    assert equal_weights(weights(tmp_path / "cut" / "model"), first)


@pytest.mark.slow
def test_a_resumed_run_is_as_impatient_as_it_was(train, digit_prompts, tmp_path):
    other = [dataclasses.replace(digit_prompts[0], id="other", solution="Which 578 north " * 9)]
    changes = {"validation": other, "epochs": 12, "patience": 3}
    changes |= {"trl": SETTINGS["trl"] | {"learning_rate": 0.05}}
    steps = train(tmp_path, **changes)["steps"]
    assert steps < 24
    (last,) = [path for path in tmp_path.glob("checkpoint-*") if path.name != "checkpoint-2"]
    assert last.name == f"checkpoint-{steps:g}"
    shutil.rmtree(tmp_path / "model")
    assert train(tmp_path, resume=True, **changes)["steps"] == steps


@pytest.mark.slow
@pytest.mark.parametrize("rate", [1e30, 1e38], ids=["gradient", "weight"])
def test_weights_that_are_no_numbers_end_the_training_in_one_line(train, tmp_path, rate):
    changes = {"trl": SETTINGS["trl"] | {"learning_rate": rate, "warmup_steps": 0}}
    with pytest.raises(StateError, match="is infinite or no number") as caught:
        train(tmp_path, validate_every=1, **changes)
    assert "\n" not in str(caught.value)
    for path in complete_checkpoints(tmp_path):
        assert all(bool(value.isfinite().all()) for value in weights(path).values())
    assert not (tmp_path / "model").exists()
