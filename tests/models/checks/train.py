"""Column "train": log-probabilities of whole GRPO trainings, and the distribution they sample."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import torch

from checks.double import EXACT, doubled, in_double
from checks.grpo import (
    TEMPERATURE,
    Shape,
    answers_of,
    assert_rows_are_plain,
    grpo_run,
    recorded_calls,
    recorded_logits,
    recorded_sampling,
    suppressed_tokens,
)
from checks.lab import Lab, assert_close

WAYS: dict[str, dict[str, Any]] = {
    "refused groups and dropped rollouts": {"gate": {"name": "mixed"}, "trl": {"beta": 0.0}},
    "screened groups, KL and recomputed activations": {
        "gate": {"name": "two_stage"},
        "screening": {"rollouts": 2},
        "steps": 2,
        "validate_every": 2,
        "trl": {"beta": 0.05, "gradient_checkpointing": True},
    },
}


def check(lab: Lab) -> None:
    for way, settings in WAYS.items():
        with recorded_calls() as calls, recorded_sampling() as sampling:
            grpo_run(lab, lab.fresh("train"), **settings).train(lab.held_out)
        few = sum(len(call.input_ids) < 4 for call in calls)
        assert few or "dropped" not in way, "no rollout was dropped"
        assert_rows_are_plain(lab, calls)
        _check_distribution(sampling, way)
        suppressed = set(suppressed_tokens(lab, sampling))
        drawn = suppressed & set(answers_of(calls))
        names = lab.plain.tokenizer.convert_ids_to_tokens(sorted(drawn))
        assert not drawn, f"{way}: a rollout has {names}, behind which there is no image"
    for way, settings in WAYS.items():
        _check_in_double(lab, way, settings)
    with in_double():
        _check_draws(doubled(lab))


def _check_in_double(lab: Lab, way: str, settings: dict[str, Any]) -> None:
    """Log-probabilities of the same trainings, free of rounding."""
    with in_double():
        lab = doubled(lab)
        with recorded_calls() as calls:
            grpo_run(lab, lab.fresh("train"), **settings).train([])
        assert assert_rows_are_plain(lab, calls, by=EXACT), way


def _check_distribution(sampling: Sequence[Shape], way: str) -> None:
    """Rollouts that train, refresh and validate are drawn alike, by nothing but the temperature."""
    shapes = [json.dumps(shape, sort_keys=True) for shape in sampling]
    assert len(set(shapes)) == 1, f"{way}: rollouts are drawn in {sorted(set(shapes))}"
    shape = sampling[0]
    others = set(shape) - {"TemperatureLogitsWarper", "SuppressTokensLogitsProcessor"}
    assert not others, f"{way}: no setting asks for {others}"
    assert shape["TemperatureLogitsWarper"]["temperature"] == TEMPERATURE


def _check_draws(lab: Lab) -> None:
    """Rollouts are drawn by the logits that their prompt, images and answer have alone."""
    with recorded_logits() as generations:
        grpo_run(
            lab,
            lab.fresh("draws"),
            sampler="uniform",
            gate={"name": "all"},
            prompts_per_batch=len(lab.pool),
            updates_per_batch=1,
            rollouts_per_prompt=2,
            steps=1,
            validate_every=1,
            save_every=1,
        ).train([])
    prompts = [(lab.plain.prompt_ids(prompt), prompt) for prompt in lab.pool]
    seen = 0
    for steps in generations:
        # Rows that have ended may leave: a row is known by its tokens.
        drawn = {
            tuple(ids): logits
            for before, rows in steps
            for ids, logits in zip(before.tolist(), rows, strict=True)
        }
        begun = steps[0][0].size(1)
        longer = {ids[:-1] for ids in drawn if len(ids) > begun}
        for ids in drawn.keys() - longer:
            prompt = next(
                own for asked, own in prompts if list(ids[begun - len(asked) : begun]) == asked
            )
            answer = list(ids[begun:])
            # What stands behind the token that stops is padding.
            length = answer.index(lab.plain.stop) if lab.plain.stop in answer else len(answer)
            drawn_by = torch.stack([drawn[ids[: begun + n]] for n in range(length + 1)])
            with torch.no_grad():
                alone = lab.plain.logits(prompt, [*answer[:length], lab.plain.stop])
            assert_close(drawn_by, alone, f"{prompt.id}: logits that draw", by=EXACT)
            seen += 1
    assert seen >= len(lab.pool), "rollouts were drawn otherwise"
