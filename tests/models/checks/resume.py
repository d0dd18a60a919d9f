"""Column "resume": a training that is cut off after a checkpoint and resumed ends as if it were not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from transformers import Trainer, TrainerCallback

from checks.grpo import grpo_run
from checks.lab import Lab
from checks.sft import run_sft
from vasari.train.group_file import read_groups

CUT_AT = 3
"""Steps, with a checkpoint at 2, after which the first training is cut off."""


def check(lab: Lab) -> None:
    whole, cut = lab.fresh("whole"), lab.fresh("cut")
    grpo_run(lab, whole).train(lab.held_out)
    try:
        grpo_run(lab, cut).train(lab.held_out, callbacks=[_Cut()])
    except _CutOffError:
        grpo_run(lab, cut).train(lab.held_out, resume=True)
    columns = ["prompt_id", "purpose", "texts", "rewards"]
    first, again = (read_groups(out / "groups", columns).to_pylist() for out in (whole, cut))
    assert first == again, "prompts or rollouts of the resumed training are others"
    assert_same_weights(whole / "last", cut / "last")
    whole, cut = lab.fresh("sft-whole"), lab.fresh("sft-cut")
    run_sft(lab, whole, epochs=2)
    with _cut_off():
        run_sft(lab, cut, epochs=2)
    run_sft(lab, cut, epochs=2, resume=True)
    assert_same_weights(whole / "model", cut / "model")


def assert_same_weights(first: Path, second: Path, *, by: float = 1e-6) -> None:
    """Two folders hold the same weights under the same names."""
    (one, other) = (saved_weights(folder) for folder in (first, second))
    assert one.keys() == other.keys(), sorted(one.keys() ^ other.keys())
    for name, weight in one.items():
        # Limits of clipped layers are infinite.
        same = weight == other[name]
        apart = (weight - other[name]).abs()[~same].max().item() if not same.all() else 0.0
        assert apart <= by, f"{first.parent.name}/{first.name}: {name} is {apart:.2e} apart"


def saved_weights(folder: Path) -> dict[str, torch.Tensor]:
    """All tensors of a model's or an adapter's safetensors files."""
    files = sorted(folder.glob("*.safetensors"))
    assert files, f"{folder.name} has no weights"
    return {name: weight for file in files for name, weight in load_file(file).items()}


class _CutOffError(Exception):
    """Stands for a machine that is switched off."""


class _Cut(TrainerCallback):  # type: ignore[misc]
    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == CUT_AT:
            raise _CutOffError


@contextmanager
def _cut_off() -> Iterator[None]:
    """Cut off any training at the step `CUT_AT`."""
    stock = Trainer.create_optimizer_and_scheduler

    def create(trainer: Any, *args: Any, **kwargs: Any) -> Any:
        trainer.add_callback(_Cut())
        return stock(trainer, *args, **kwargs)

    Trainer.create_optimizer_and_scheduler = create
    try:
        yield
    except _CutOffError:
        pass
    finally:
        Trainer.create_optimizer_and_scheduler = stock
