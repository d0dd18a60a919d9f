"""Column "mixed pool": batches of prompts with no, one and several images, in any order."""

from __future__ import annotations

from typing import Any

import torch

from checks.answers import answer_ids
from checks.double import EXACT, doubled, in_double
from checks.grpo import assert_rows_are_plain, grpo_run, recorded_calls
from checks.lab import Lab, assert_close
from checks.sft import collated
from vasari.model.transformers_policy import load_model
from vasari.records import Prompt


def check(lab: Lab) -> None:
    texts, pairs = lab.pool[::4], lab.pool[3::4]
    _check_batches(lab, by=2 * lab.close)
    with in_double():
        _check_batches(doubled(lab), by=EXACT)
    # Batches in which no prompt has an image, and such in which a micro-batch has none.
    for pool in (texts, [*texts, *pairs]) if lab.has_images else ():
        _check_training(lab, pool)


def _check_batches(lab: Lab, *, by: float) -> None:
    texts, small, large, pairs = (lab.pool[place::4] for place in range(4))
    batches = [
        texts[:2],
        [small[0], large[0]],
        [pairs[0], texts[0], large[1]],
        [texts[1], pairs[1], small[1], pairs[0]],
        [pairs[1]],
    ]
    model = load_model(str(lab.folder), dtype="float32").eval()
    for prompts in batches if lab.has_images else [texts[:2], texts]:
        _check_batch(lab, model, prompts, by=by)


def _check_batch(lab: Lab, model: Any, prompts: list[Prompt], *, by: float) -> None:
    """Each row of a batch of supervised training has the logits of its prompt alone."""
    batch = collated(lab, prompts)
    with torch.no_grad():
        logits = model(**batch).logits
    for row, prompt in enumerate(prompts):
        answer = answer_ids(lab.plain, prompt)
        learned = (batch["labels"][row] != -100).nonzero()[:, 0]
        found = logits[row, learned - 1]
        with torch.no_grad():
            expected = lab.plain.logits(prompt, answer)
        images = [len(one.images) for one in prompts]
        assert_close(found, expected, f"{prompt.id} in a batch with {images} images", by=by)


def _check_training(lab: Lab, pool: list[Prompt]) -> None:
    with recorded_calls() as calls:
        grpo_run(
            lab,
            lab.fresh("mixed"),
            prompts=pool,
            sampler="uniform",
            prompts_per_batch=2,
            rollouts_per_prompt=2,
            updates_per_batch=1,
            micro_batch=2,
            steps=3,
            validate_every=3,
            save_every=3,
            gate={"name": "all"},
        ).train([])
    assert assert_rows_are_plain(lab, calls) >= 3 * 4
