"""Column "frozen vision": nothing that reads images is trained, adapters included."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from checks.grpo import grpo_run, merged_weights
from checks.lab import Lab
from checks.lora import LORA
from checks.sft import run_sft
from vasari.model.transformers_policy import load_model

_NOT_TEXT = ("visual", "vision", "multi_modal_projector", "connector", "audio", "image_newline")
"""Parts of names of weights that no text goes through, in any family."""


def is_text(name: str) -> bool:
    return not any(part in name for part in _NOT_TEXT)


def check(lab: Lab) -> None:
    for way, settings in {"weights": {}, "adapters": {"lora": LORA}}.items():
        frozen: dict[str, Any] = {"freeze_vision": True, **settings}
        sft, grpo = lab.fresh("frozen-sft"), lab.fresh("frozen-grpo")
        run_sft(lab, sft, **frozen)
        _check_weights(lab, sft / "model", f"sft, {way}")
        look = _Look()
        grpo_run(lab, grpo, **frozen, steps=2, validate_every=2).train(
            lab.held_out, callbacks=[look]
        )
        wrong = [name for name in look.trained if not is_text(name)]
        assert not wrong, f"{way}: frozen, but trainable: {wrong[:3]}"
        assert look.trained, f"{way}: nothing is trained"
        wrong = [name for name in look.adapters if not is_text(name)]
        assert not wrong, f"{way}: adapters of frozen modules: {wrong[:3]}"
        _check_weights(lab, grpo / "last", f"train, {way}")


class _Look(TrainerCallback):  # type: ignore[misc]
    """Notes which weights are trained."""

    def on_train_begin(
        self, args: Any, state: Any, control: Any, model: Any = None, **_: Any
    ) -> None:
        named = dict(model.named_parameters())
        self.trained = [name for name, weight in named.items() if weight.requires_grad]
        self.adapters = [name for name in named if "lora_" in name]


def _check_weights(lab: Lab, saved: Path, what: str) -> None:
    before = lab.plain.open(dtype=torch.float32).state_dict()
    after = merged_weights(load_model(str(saved), dtype="float32"))
    moved = {name for name, weight in before.items() if not torch.equal(after[name], weight)}
    wrong = sorted(name for name in moved if not is_text(name))
    assert not wrong, f"{what}: {wrong[:3]} moved"
    assert moved, f"{what}: nothing moved"
