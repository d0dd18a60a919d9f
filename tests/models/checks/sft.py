"""Column "sft": labels, loss and one step of supervised training, against a calculation by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from checks.answers import answer_ids
from checks.lab import Lab, assert_close
from checks.plain import Plain
from vasari.model.processor import load_processor
from vasari.model.transformers_policy import load_model
from vasari.records import Prompt
from vasari.train.settings import SftSettings
from vasari.train.sft import _collator, train_supervised
from vasari.train.weights import load_weights

RATE = 1e-6


def small_sft(**changes: Any) -> SftSettings:
    """Settings of a training of two passes over eight prompts, four a step."""
    trl = {
        "learning_rate": 1e-3,
        "warmup_steps": 0,
        "lr_scheduler_type": "constant",
        "dataloader_num_workers": 0,
    }
    settings = {"epochs": 1, "batch_prompts": 4, "micro_batch": 2, "validate_every": 1}
    return SftSettings(**(settings | changes | {"trl": trl | changes.get("trl", {})}))


def run_sft(
    lab: Lab,
    out: Path,
    *,
    prompts: list[Prompt] | None = None,
    start: Path | None = None,
    **changes: Any,
) -> Any:
    """Train the family's stand-in, and return what `train_supervised` does."""
    path = str(start or lab.folder)
    resume = changes.pop("resume", False)
    settings = small_sft(**changes)
    return train_supervised(
        load_weights(path, settings, seed=0),
        load_processor(path),
        train=lab.pool[:8] if prompts is None else prompts,
        validation=lab.held_out,
        settings=settings,
        system=lab.plain.system,
        out=out,
        seed=0,
        resume=resume,
    )


def check(lab: Lab) -> None:
    prompts = lab.pool[:4]
    batch = collated(lab, prompts)
    _check_labels(lab, batch, prompts)
    by_hand = lab.plain.loss(prompts, [answer_ids(lab.plain, prompt) for prompt in prompts])
    with torch.no_grad():
        loss = load_model(str(lab.folder), dtype="float32").eval()(**batch).loss
    assert_close(loss, by_hand, "loss of a batch")
    _check_step(lab, prompts, by_hand)


def collated(lab: Lab, prompts: list[Prompt]) -> dict[str, Any]:
    """The batch that supervised training makes of these prompts."""
    collator = _collator(
        load_model(str(lab.folder)),
        load_processor(str(lab.folder)),
        prompts,
        SftSettings(),
        system=lab.plain.system,
        seed=0,
    )
    return collator([{"index": place} for place in range(len(prompts))])


def _check_labels(lab: Lab, batch: dict[str, Any], prompts: list[Prompt]) -> None:
    stops = json.loads((lab.folder / "generation_config.json").read_text())["eos_token_id"]
    decode = lab.plain.tokenizer.decode
    for row, prompt in enumerate(prompts):
        shown = batch["attention_mask"][row].bool()
        ids, labels = (batch[name][row][shown].tolist() for name in ("input_ids", "labels"))
        asked, answer = lab.plain.prompt_ids(prompt), answer_ids(lab.plain, prompt)
        assert answer[-1] in (stops if isinstance(stops, list) else [stops])
        learned = [token for token in labels if token != -100]
        assert learned == answer, f"{prompt.id}: learns {decode(learned)!r}, not {decode(answer)!r}"
        assert ids[: len(asked) + len(answer)] == asked + answer, (
            f"{prompt.id}: reads {decode(ids)!r}, not {decode(asked + answer)!r}"
        )
        assert labels[len(asked) :][: len(answer)] == answer, f"{prompt.id}: labels are shifted"
        assert set(batch["labels"][row][~shown].tolist()) <= {-100}, f"{prompt.id}: learns padding"


def _check_step(lab: Lab, prompts: list[Prompt], loss: torch.Tensor) -> None:
    """One step: what it logs, and weights that move by the rate wherever there is a gradient."""
    out = lab.fresh("sft-step")
    run_sft(lab, out, prompts=prompts, micro_batch=4, trl={"learning_rate": RATE})
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    logged = {name: value for row in rows for name, value in row.items()}
    assert_close(torch.tensor(logged["loss"]), loss, "the logged loss", by=1e-3)
    trained = Plain(out / "model", system=lab.plain.system)
    answers = [answer_ids(lab.plain, prompt) for prompt in lab.held_out]
    held_out = trained.loss(lab.held_out, answers)
    assert_close(torch.tensor(logged["eval_loss"]), held_out, "the validation loss", by=1e-3)
    lab.plain.model.zero_grad()
    loss.backward()
    pulled = []
    after = trained.model.state_dict()
    for name, weight in lab.plain.model.named_parameters():
        moved = after[name] != weight
        pull = torch.zeros_like(weight) if weight.grad is None else weight.grad
        pulled.append(moved[pull.abs() > 1e-6])
    share = torch.cat(pulled).float().mean().item()
    assert share > 0.95, f"a step of {RATE} moves {share:.1%} of the weights that it should"
