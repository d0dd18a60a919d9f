"""Small GRPO trainings on the taught tiny model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vasari.records import Draw, GroupOutcome, Outcome, Prompt, PromptIndices, Verdict
from vasari.sample import PromptSampler
from vasari.score.reward import Reward
from vasari.train.groups import ScoredGroup, ScoredRollout

SYSTEM = "Think, then answer."


def small_grpo(**changes: Any) -> Any:
    """Settings of a training that takes a second: 3 prompts x 4 rollouts, one update a batch."""
    from vasari.train.settings import GrpoSettings

    settings = {
        "steps": 2,
        "prompts_per_batch": 3,
        "rollouts_per_prompt": 4,
        "updates_per_batch": 1,
        "micro_batch": 4,
        "save_every": 1,
        "validate_every": 2,
    }
    trl = {
        "learning_rate": 3e-3,
        "beta": 0.0,
        "temperature": 1.0,
        "max_completion_length": 12,
        "warmup_steps": 0,
    }
    return GrpoSettings(**(settings | changes | {"trl": trl | changes.get("trl", {})}))


@pytest.fixture(scope="session")
def run_small(taught_folder: Path, digit_prompts: list[Prompt]) -> Callable[..., dict[str, Any]]:
    """Runs a whole small training from the taught model, on the digit prompts where no others are
    given."""
    from vasari.sample import make_sampler
    from vasari.train.run_grpo import GrpoTraining

    def run(
        out: Path,
        *,
        prompts: list[Prompt] = digit_prompts,
        sampler: str = "uniform",
        resume: bool = False,
        **changes: Any,
    ) -> dict[str, Any]:
        options = {"refresh_every": 2, "num_refresh_rollouts": 2} if sampler == "vas" else {}
        chosen = make_sampler(
            sampler, num_prompts=len(prompts), seed=0, prompt_ids=[p.id for p in prompts], **options
        )
        callbacks = changes.pop("callbacks", ())
        validation = changes.pop("validation", digit_prompts[:2])
        extra = {name: changes.pop(name) for name in ("tell", "verify") if name in changes}
        training = GrpoTraining(
            model_path=str(taught_folder),
            prompts=prompts,
            sampler=chosen,
            settings=small_grpo(**changes),
            system=SYSTEM,
            out=out,
            seed=0,
            **extra,
        )
        return training.train(validation, resume=resume, callbacks=callbacks)

    return run


@pytest.fixture(scope="session")
def make_trainer(taught_folder: Path) -> Callable[..., Any]:
    """Makes a trainer over prompts, ready to generate its first batch; `sampler` is a name or a
    sampler."""
    from vasari.sample import make_sampler
    from vasari.train.run_grpo import GrpoTraining

    def make(
        prompts: list[Prompt],
        out: Path,
        *,
        sampler: str | PromptSampler = "uniform",
        **changes: Any,
    ) -> Any:
        extra = {
            name: changes.pop(name) for name in ("verify", "attn_implementation") if name in changes
        }
        training = GrpoTraining(
            model_path=str(taught_folder),
            prompts=prompts,
            sampler=make_sampler(sampler, num_prompts=len(prompts), seed=0)
            if isinstance(sampler, str)
            else sampler,
            settings=small_grpo(**changes),
            system=SYSTEM,
            out=out,
            seed=0,
            **extra,
        )
        trainer = training.make_trainer()
        trainer.model.train()
        trainer.current_gradient_accumulation_steps = trainer.args.gradient_accumulation_steps
        return trainer

    return make


@pytest.fixture(scope="session")
def first_batch() -> Callable[[Any], dict[str, Any]]:
    """The first batch of a trainer: drawn, generated, scored and observed."""

    def batch(trainer: Any) -> dict[str, Any]:
        rows: list[dict[str, Any]] = [{}] * trainer.args.generation_batch_size
        output: dict[str, Any] = trainer._generate_and_score_completions(rows)
        return output

    return batch


@pytest.fixture(scope="session")
def group_of() -> Callable[..., ScoredGroup]:
    """Makes a group of a prompt from its verdicts; the reward of a rollout is its verdict."""

    def make(index: int, verdicts: Sequence[float], **facts: Any) -> ScoredGroup:
        found = {1.0: Outcome.CORRECT, 0.0: Outcome.INCORRECT}
        rollouts = [
            ScoredRollout(
                index=index,
                text=f"{index}-{place}",
                token_ids=(index, place),
                verdict=Verdict(found.get(value, Outcome.UNVERIFIABLE)),
                reward=Reward(value, {"accuracy": value}),
            )
            for place, value in enumerate(verdicts)
        ]
        return ScoredGroup(rollouts=rollouts, **({"role": "uniform"} | facts))

    return make


class Remembering(PromptSampler):
    """Draws the pool in order, and remembers what it was asked and told."""

    def __init__(self, num_prompts: int) -> None:
        super().__init__(num_prompts=num_prompts, seed=0)
        self.drawn: list[int] = []
        self.told: list[GroupOutcome] = []

    def due(self, batch: int) -> PromptIndices:
        return np.zeros(0, dtype=np.int64)

    def metrics(self) -> Mapping[str, float]:
        return {}

    def _draw(self, num_prompts: int) -> Draw:
        indices = (len(self.drawn) + np.arange(num_prompts)) % self.num_prompts
        self.drawn += indices.tolist()
        return Draw(indices, ("uniform",) * num_prompts)

    def _observe(self, groups: Sequence[GroupOutcome]) -> None:
        self.told += groups

    def _state(self) -> dict[str, Any]:
        return {}

    def _restore(self, state: Mapping[str, Any], origin: Any) -> None:
        pass


@pytest.fixture(scope="session")
def remembering_sampler() -> type[Remembering]:
    """A sampler over so many prompts that keeps what it drew (`drawn`) and what it was told
    (`told`)."""
    return Remembering
