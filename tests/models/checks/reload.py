"""Column "save and reload": what is saved opens as its source does, wherever it lies."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from transformers.utils import is_torchvision_available

from checks.grpo import grpo_run
from checks.lab import Lab, assert_close, assert_equal_tensors
from checks.plain import Plain
from checks.sft import run_sft
from vasari.model.processor import load_processor

_OF_WEIGHTS = ("config.json", "generation_config.json", "model.safetensors")


def check(lab: Lab) -> None:
    run = lab.fresh("run")
    run_sft(lab, run / "cold_start")
    trainer = _trained(lab, run)
    asked = lab.plain.encode(lab.pool[:4])
    in_memory = lab.plain.open(dtype=torch.float32)
    in_memory.load_state_dict(trainer.model.state_dict())
    expected = [lab.plain.logits(prompt, [], in_memory) for prompt in lab.pool[:4]]
    moved = lab.fresh("moved")
    shutil.move(run, moved)
    # The source is gone, too.
    hidden = lab.folder.rename(lab.folder.with_name("hidden"))
    elsewhere = lab.fresh("elsewhere")
    elsewhere.mkdir()
    try:
        with contextlib.chdir(elsewhere):
            for folder in saved_models(moved):
                _check_opens(lab, folder, hidden, asked)
            last = Plain(moved / "last", system=lab.plain.system)
            for prompt, logits in zip(lab.pool[:4], expected, strict=True):
                assert_close(last.logits(prompt, []), logits, f"last, {prompt.id}", by=1e-6)
    finally:
        hidden.rename(lab.folder)


def _trained(lab: Lab, run: Path) -> object:
    """Train from the cold start, and return the trainer, whose weights are in memory."""
    from vasari.train.trl_trainer import VarianceAwareGRPOTrainer

    seen: list[VarianceAwareGRPOTrainer] = []
    with _made(seen):
        grpo_run(lab, run, start=run / "cold_start" / "model", steps=4).train(lab.held_out)
    return seen[0]


@contextlib.contextmanager
def _made(seen: list[object]) -> Iterator[None]:
    """Collect the trainers that are made."""
    from vasari.train.trl_trainer import VarianceAwareGRPOTrainer

    stock = VarianceAwareGRPOTrainer.train

    def train(trainer: object, *args: object, **kwargs: object) -> object:
        seen.append(trainer)
        return stock(trainer, *args, **kwargs)

    VarianceAwareGRPOTrainer.train = train
    try:
        yield
    finally:
        VarianceAwareGRPOTrainer.train = stock


def saved_models(run: Path) -> list[Path]:
    """Folders of a run that hold a model: cold start, checkpoints, best, last."""
    names = ("cold_start/model", "cold_start/checkpoint-*", "checkpoint-*", "best", "last")
    found = [folder for name in names for folder in sorted(run.glob(name))]
    assert len(found) >= 6, [folder.name for folder in found]
    return found


def _check_opens(lab: Lab, folder: Path, source: Path, asked: Any) -> None:
    saved = Plain(folder, system=lab.plain.system)
    what = f"{folder.parent.name}/{folder.name}"
    published = {file.name for file in source.iterdir()} - set(_OF_WEIGHTS)
    for name in sorted(published):
        assert (folder / name).exists(), f"{what} lacks {name}"
        assert (folder / name).read_bytes() == (source / name).read_bytes(), f"{what}: {name}"
    model, loaded = saved.auto_class.from_pretrained(str(folder), output_loading_info=True)
    assert not any(loaded.values()), f"{what}: {loaded}"
    assert type(model).__name__ == lab.plain.config["architectures"][0], type(model)
    assert model.config.model_type == lab.plain.config["model_type"]
    kept, sampled = (
        Plain(place, system="").open().generation_config.to_diff_dict()
        for place in (folder, source)
    )
    kept.pop("transformers_version", None), sampled.pop("transformers_version", None)
    assert kept == sampled, f"{what}: generation_config.json is {kept}, published is {sampled}"
    for processor in (saved.processor, load_processor(str(folder))):
        found = processor.apply_chat_template(
            [lab.plain.messages(prompt) for prompt in lab.pool[:4]],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            **({"processor_kwargs": {"padding": True}} if lab.has_images else {"padding": True}),
        )
        assert_equal_tensors(found, asked, what)
    if is_torchvision_available() and lab.has_images:
        assert type(saved.processor) is type(lab.plain.processor)
