"""Columns "LoRA" and "LoRA on LoRA": adapters are seeded, continued and merged exactly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from checks.answers import answer_ids
from checks.double import EXACT, doubled, doubled_folder, in_double
from checks.grpo import assert_rows_are_plain, grpo_run, merged_weights, recorded_calls
from checks.lab import Lab, assert_close
from checks.resume import assert_same_weights, saved_weights
from checks.sft import run_sft
from vasari.model.transformers_policy import load_model

LORA = {"rank": 4, "alpha": 8}
WAY: dict[str, Any] = {"lora": LORA, "steps": 2, "validate_every": 2}


def check(lab: Lab) -> None:
    first, again = lab.fresh("lora"), lab.fresh("lora-again")
    for out in (first, again):
        run_sft(lab, out, lora=LORA)
    assert_same_weights(first / "model", again / "model", by=0.0)
    _check_adapters_learn(lab, first / "model")
    with recorded_calls() as calls:
        grpo_run(lab, lab.fresh("grpo-lora"), **WAY).train(lab.held_out)
    assert_rows_are_plain(lab, calls)
    saved = doubled_folder(first / "model", lab.fresh("double-lora"))
    with in_double():
        _check_adapters_are_merged(doubled(lab), saved)


def check_on_lora(lab: Lab) -> None:
    cold = lab.fresh("cold-lora")
    run_sft(lab, cold, lora=LORA)
    out = lab.fresh("lora-on-lora")
    with recorded_calls() as calls:
        grpo_run(lab, out, start=cold / "model", **WAY).train(lab.held_out)
    start = merged_weights(load_model(str(cold / "model"), dtype="float32"))
    published = lab.plain.open(dtype=torch.float32).state_dict()
    first = calls[0].weights
    for name, weight in start.items():
        assert_close(first[name], weight, f"step 0, {name}, of the cold start", by=1e-5)
    assert any(not torch.equal(weight, published[name]) for name, weight in start.items())
    assert_rows_are_plain(lab, calls)
    reference = [call for call in calls if _is_near(call.weights, start)]
    assert len(reference) > 1, "KL is not to the cold start"
    last = merged_weights(load_model(str(out / "last"), dtype="float32"))
    assert not _is_near(last, start), "nothing was learned after the cold start"
    assert not _is_near(last, published), "the cold start is thrown away"
    _check_in_double(lab, cold / "model")


def _check_in_double(lab: Lab, cold: Path) -> None:
    """Log-probabilities of a short training from adapters, free of rounding."""
    cold = doubled_folder(cold, lab.fresh("double-cold"))
    with in_double():
        lab = doubled(lab)
        with recorded_calls() as calls:
            grpo_run(lab, lab.fresh("lora"), start=cold, **WAY).train([])
        assert_rows_are_plain(lab, calls, by=EXACT)


def _check_adapters_learn(lab: Lab, saved: Path) -> None:
    """Adapters open, and do something."""
    model = load_model(str(saved), dtype="float32").eval()
    assert hasattr(model, "peft_config"), "no adapters are opened"
    apart = 0.0
    for prompt in lab.pool[:4]:
        answer = answer_ids(lab.plain, prompt)
        with torch.no_grad():
            adapted, published = (lab.plain.logits(prompt, answer, one) for one in (model, None))
        apart = max(apart, (adapted - published).abs().max().item())
    assert apart > 1e-3, "the adapters do nothing"
    assert any("lora_B" in name and w.any() for name, w in saved_weights(saved).items())


def _check_adapters_are_merged(lab: Lab, saved: Path) -> None:
    """Adapters give the logits of the weights that they are merged into."""
    model = load_model(str(saved), dtype="float32").eval()
    lab.plain.put(merged_weights(model))
    for prompt in lab.pool[:4]:
        answer = answer_ids(lab.plain, prompt)
        with torch.no_grad():
            adapted, merged = (lab.plain.logits(prompt, answer, one) for one in (model, None))
        assert_close(adapted, merged, f"{prompt.id}: adapters and merged weights", by=EXACT)


def _is_near(weights: dict[str, torch.Tensor], others: dict[str, torch.Tensor]) -> bool:
    return all(torch.allclose(weights[name], others[name], atol=1e-5) for name in others)
