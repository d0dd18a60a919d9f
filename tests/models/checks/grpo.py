"""Small GRPO trainings of a stand-in, and what is seen of them from within."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from transformers import GenerationMixin

from checks.lab import Lab, assert_close
from vasari.core.records import Outcome, Prompt, Verdict
from vasari.sample import make_sampler
from vasari.train.run_grpo import GrpoTraining
from vasari.train.settings import GrpoSettings
from vasari.train.trl_trainer import VarianceAwareGRPOTrainer

TEMPERATURE = 0.9
MAX_TOKENS = 6


def small_grpo(**changes: Any) -> GrpoSettings:
    """Settings of a training of two batches of four prompts, two updates each, with KL."""
    settings = {
        "steps": 4,
        "prompts_per_batch": 4,
        "rollouts_per_prompt": 4,
        "updates_per_batch": 2,
        "micro_batch": 4,
        "save_every": 2,
        "validate_every": 4,
        "gate": {"name": "mixed"},
        "max_generations": 2,
    }
    trl = {
        "learning_rate": 1e-3,
        "beta": 0.05,
        "temperature": TEMPERATURE,
        "max_completion_length": MAX_TOKENS,
        "warmup_steps": 0,
    }
    return GrpoSettings(**(settings | changes | {"trl": trl | changes.get("trl", {})}))


def by_text(prompt: Prompt, text: str) -> Verdict:
    """A verdict for an untrained model: by a digest of its text, but always correct for most."""
    always = _digest(prompt.id) % 3 > 0
    right = always or _digest(f"{prompt.id} {text}") % 2 == 0
    return Verdict(outcome=Outcome.CORRECT if right else Outcome.INCORRECT)


def _digest(text: str) -> int:
    return hashlib.blake2b(text.encode(), digest_size=1).digest()[0]


def grpo_run(
    lab: Lab,
    out: Path,
    *,
    start: Path | None = None,
    prompts: Sequence[Prompt] | None = None,
    sampler: str = "vas",
    **changes: Any,
) -> GrpoTraining:
    """A training of the family's stand-in, or of the model `start`, on the mixed pool."""
    prompts = lab.pool if prompts is None else prompts
    options = {"refresh_every": 2, "num_refresh_rollouts": 2} if sampler == "vas" else {}
    return GrpoTraining(
        model_path=str(start or lab.folder),
        prompts=prompts,
        sampler=make_sampler(
            sampler,
            num_prompts=len(prompts),
            seed=0,
            prompt_ids=[prompt.id for prompt in prompts],
            **options,
        ),
        settings=small_grpo(**changes),
        system=lab.plain.system,
        out=out,
        seed=0,
        verify=by_text,
    )


@dataclasses.dataclass
class Call:
    """Log-probabilities that the trainer calculated, and the weights that it did it with."""

    input_ids: torch.Tensor
    mask: torch.Tensor
    num_answer: int
    logps: torch.Tensor
    weights: dict[str, torch.Tensor]


@contextmanager
def recorded_calls() -> Iterator[list[Call]]:
    """Collect all log-probabilities that trainers calculate: for the loss, and of the KL's model."""
    stock = VarianceAwareGRPOTrainer._get_per_token_logps_and_entropies
    calls: list[Call] = []

    def calculate(
        trainer: Any,
        model: Any,
        input_ids: Any,
        mask: Any,
        num_answer: int,
        *rest: Any,
        **seen: Any,
    ) -> Any:
        found = stock(trainer, model, input_ids, mask, num_answer, *rest, **seen)
        weights = merged_weights(trainer.accelerator.unwrap_model(model))
        calls.append(
            Call(input_ids.clone(), mask.clone(), num_answer, found[0].detach().clone(), weights)
        )
        return found

    with mock.patch.object(
        VarianceAwareGRPOTrainer, "_get_per_token_logps_and_entropies", calculate
    ):
        yield calls


def merged_weights(model: Any) -> dict[str, torch.Tensor]:
    """The weights of a model under transformers' names; adapters that are on are merged by peft."""
    model = copy.deepcopy(model)
    for module in model.modules():
        if isinstance(module, BaseTunerLayer) and not module.disable_adapters:
            module.merge()
    return {
        name.removeprefix("base_model.model.").replace(".base_layer.", "."): weight.detach()
        for name, weight in model.state_dict().items()
        if ".lora_" not in name
    }


def assert_rows_are_plain(lab: Lab, calls: Sequence[Call], *, by: float | None = None) -> int:
    """Each row of each call has the log-probabilities of its own prompt, images and answer.

    Args:
        by: How far they may be apart; None allows what float32 rounds.

    Returns:
        How many rows there were.
    """
    count = 0
    for row in rows_of(lab, calls):
        with torch.no_grad():
            expected = lab.plain.logps(row.prompt, row.answer, temperature=TEMPERATURE)
        assert_close(row.logps, expected, f"{row.place}: log-probabilities", by=by or lab.close)
        count += 1
    return count


@dataclasses.dataclass
class Row:
    """One rollout of a call, without padding."""

    place: str
    prompt: Prompt
    answer: list[int]
    logps: torch.Tensor


def rows_of(lab: Lab, calls: Sequence[Call]) -> Iterator[Row]:
    """Yield the rollouts of each call, while the plain model has the weights of the call."""
    prompts = {tuple(lab.plain.prompt_ids(prompt)): prompt for prompt in lab.pool}
    for number, call in enumerate(calls):
        lab.plain.put(call.weights)
        shown = call.mask.bool()
        for row, ids in enumerate(call.input_ids):
            asked = ids[: -call.num_answer][shown[row, : -call.num_answer]].tolist()
            kept = shown[row, -call.num_answer :]
            answer = ids[-call.num_answer :][kept].tolist()
            assert tuple(asked) in prompts, (
                f"call {number}, row {row}: is asked {lab.plain.tokenizer.decode(asked)!r}, which"
                " is no prompt of the pool"
            )
            prompt = prompts[tuple(asked)]
            place = f"call {number}, row {row}, prompt {prompt.id}"
            yield Row(place, prompt, answer, call.logps[row][kept])


def answers_of(calls: Sequence[Call]) -> list[int]:
    """All tokens of all answers."""
    return [
        token
        for call in calls
        for token in call.input_ids[:, -call.num_answer :][
            call.mask[:, -call.num_answer :].bool()
        ].tolist()
    ]


Shape = dict[str, dict[str, Any]]
"""What shapes a distribution: class name of a logits processor of transformers -> its settings."""


@contextmanager
def recorded_sampling() -> Iterator[list[Shape]]:
    """Collect what shapes the distribution of each generation."""
    stock = GenerationMixin._get_logits_processor
    found: list[Shape] = []

    def prepare(model: Any, *args: Any, **kwargs: Any) -> Any:
        processors = stock(model, *args, **kwargs)
        found.append({type(one).__name__: _settings(one) for one in processors})
        return processors

    with mock.patch.object(GenerationMixin, "_get_logits_processor", prepare):
        yield found


Drawn = list[tuple[torch.Tensor, torch.Tensor]]
"""The tokens so far [rollouts, tokens] and the logits of the next [rollouts, vocabulary], for each
token of a generation."""


@contextmanager
def recorded_logits() -> Iterator[list[Drawn]]:
    """Collect the logits by which each generation draws, before anything shapes them."""
    stock = GenerationMixin._get_logits_processor
    found: list[Drawn] = []

    def prepare(model: Any, *args: Any, **kwargs: Any) -> Any:
        processors = stock(model, *args, **kwargs)
        drawn: Drawn = []
        found.append(drawn)

        def note(ids: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
            drawn.append((ids.clone(), logits.clone()))
            return logits

        processors.insert(0, note)
        return processors

    with mock.patch.object(GenerationMixin, "_get_logits_processor", prepare):
        yield found


def _settings(processor: Any) -> dict[str, Any]:
    return {
        name: value.tolist() if isinstance(value, torch.Tensor) else value
        for name, value in vars(processor).items()
    }


def suppressed_tokens(lab: Lab, sampling: Sequence[Shape]) -> list[int]:
    """Return the tokens that were never drawn: all that stand for images, and no ordinary one."""
    (found,) = {
        tuple(sorted(shape.get("SuppressTokensLogitsProcessor", {}).get("suppress_tokens", ())))
        for shape in sampling
    }
    names = lab.plain.tokenizer.convert_ids_to_tokens(list(found))
    assert set(found) >= lab.plain.never_sampled, f"only {names} are never drawn"
    ordinary = set(found) - set(lab.plain.tokenizer.added_tokens_decoder)
    assert not ordinary, f"{names} are never drawn, some of which are words"
    assert lab.plain.stop not in found, "the token that stops generation is never drawn"
    return list(found)
