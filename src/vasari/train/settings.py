"""Settings of supervised and reinforcement training, checked when they are made."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from vasari.core.bounds import Bounds
from vasari.core.plugins import names_from_a_file
from vasari.core.settings import Named, Settings
from vasari.model.base import Decoding
from vasari.sample import Gate, ScreeningRule, make_gate
from vasari.score.reward import RewardTerm
from vasari.score.rewards import make_rewards
from vasari.train.trl_settings import (
    Algorithm,
    GrpoTrlSettings,
    Positive,
    Rate,
    SftTrlSettings,
    with_algorithm,
)

Share = Annotated[float, Field(ge=0, le=1)]


class LoraSettings(Settings):
    """Settings for training low-rank adapters (LoRA) instead of all weights."""

    rank: Positive = 64
    """Rank of the adapters."""
    alpha: Positive = 128
    """Scale of the adapters."""
    dropout: Share = 0.0
    """Dropout in the adapters."""
    target_modules: str | list[str] = "all-linear"
    """Module names, or `all-linear`."""


class TrainedWeights(Settings):
    """Settings, common to SFT and GRPO, that say which weights are trained."""

    freeze_vision: bool = False
    """Leave the vision encoder as it is."""
    lora: LoraSettings | None = None
    """Adapters, or None to train all weights."""


class SftSettings(TrainedWeights):
    """Settings for supervised training (SFT) of a cold start, or of the base model before it."""

    target: Literal["reasoning", "short", "facts"] = "reasoning"
    """What a prompt teaches: worked reasoning and answer, the bare answer, or short facts about its
    image."""
    epochs: Rate = 5.0  # arXiv:2509.21268, section 6.1; table 5 has 3
    """Passes over the prompts, at most."""
    batch_prompts: Positive = 64
    """Prompts per optimizer step, over all processes."""
    micro_batch: Positive = 64
    """Prompts per forward pass of one process."""
    facts_per_image: Positive = 4
    """Facts asked of one image in one visit, for the target `facts`."""
    sums_per_image: Annotated[int, Field(ge=0)] = 0
    """Short sums without a picture that follow an image's facts, for the target `facts`."""
    named_sums_per_image: Annotated[int, Field(ge=0)] = 0
    """Questions about a list of named numbers, without a picture, for the target `facts`."""
    reads: bool = False
    """Ask first what must be read off the image to answer its question, for the target `facts`."""
    validate_every: Positive = 100
    """Steps between measurements of the validation loss."""
    patience: Positive = 3
    """Measurements without a better validation loss after which training stops; the best weights
    are kept."""
    max_minutes: Rate | None = None
    """Wall-clock budget; training stops cleanly when it is spent."""
    trl: SftTrlSettings = SftTrlSettings()
    """Settings of TRL's `SFTConfig`, under its names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScreeningSettings(ScreeningRule):
    """Settings for `gate: two_stage`: a few rollouts first, the rest if promising, as in SPEED."""

    rollouts: Annotated[int, Bounds(least=2)] = 4
    """Rollouts that a drawn prompt gets first; below `rollouts_per_prompt`, whose part they
    become."""
    candidates: Annotated[float, Bounds(least=1)] = 1.0
    """Prompts screened at once, as a multiple of those that the batch lacks (Pilot-Commit: 3);
    screened in vain where more go on than are lacking, but in fewer, larger generations."""

    def gate_settings(self, rollouts_per_prompt: int) -> dict[str, Any]:
        """Return settings of the gate `two_stage` (few rollouts first) for the given group size."""
        rule = {field.name: getattr(self, field.name) for field in fields(ScreeningRule)}
        return {"num_screening": self.rollouts, "num_rollouts": rollouts_per_prompt, **rule}


class RewardChoice(Named):
    """One term of the reward: a function by name, its settings, its weight."""

    weight: float = 1.0
    """Factor of the term's values in the reward; not 0."""


class GrpoSettings(TrainedWeights):
    """Settings for GRPO training through TRL."""

    algorithm: Algorithm | None = None
    """A published variant by name, whose settings the others change: `grpo`, `dapo`, `dr_grpo`,
    `gspo`."""
    steps: Positive = 100
    """Optimizer updates; a multiple of updates_per_batch."""
    max_rollouts: Positive | None = None
    """Budget of rollouts, whatever they are spent on: training ends after the batch that reaches
    it; None: `steps` alone."""
    max_minutes: Rate | None = None
    """Wall-clock budget of one start: training ends after the batch that spends it. What a run
    learns then depends on the machine."""
    prompts_per_batch: Positive = 512  # arXiv:2509.21268, section 6.1
    """Prompts drawn at once, over all processes."""
    rollouts_per_prompt: Annotated[int, Field(ge=2)] = 8
    """Rollouts per group."""
    gate: Named = Named(name="all")
    """Which groups train; `mixed` refuses those without variance and draws other prompts (DAPO's
    dynamic sampling); `two_stage` gives prompts a few rollouts, and the rest where these promise
    variance (SPEED, Pilot-Commit); or the user's own, with its `settings`."""
    screening: ScreeningSettings = ScreeningSettings()
    """The first stage of `two_stage`."""
    max_generations: Positive = 4
    """How often `mixed` rolls out, and `two_stage` screens prompts for one batch, at most; refused
    groups then fill it."""
    updates_per_batch: Positive = 2
    """Optimizer updates on one batch of rollouts; with 1, no ratio ever leaves 1 and nothing is
    clipped."""
    micro_batch: Positive = 64
    """Rollouts per forward pass of one process."""
    rewards: tuple[RewardChoice, ...] = (RewardChoice(name="accuracy"), RewardChoice(name="format"))
    """What a rollout's reward is the sum of (arXiv:2509.21268, appendix C): `accuracy`, `format`,
    `cosine_length`, `repetition`, `soft_overlong`, or the user's own."""
    validate_every: Positive = 20
    """Steps between validations; a multiple of updates_per_batch."""
    validation_rollouts: Positive = 1
    """Rollouts per validation prompt, at the sampling temperature."""
    save_every: Positive = 20
    """Steps between checkpoints; a multiple of updates_per_batch."""
    keep_checkpoints: Annotated[int, Field(ge=2)] = 2
    """Checkpoints kept beside the best; two, so that a crash while saving loses none."""
    refresh_batch: Positive = 256
    """Rollouts that transformers generates at once while prompts are scored and in validation."""
    vllm: Literal["off", "colocate", "server"] = "off"
    """Who generates all rollouts of the training: transformers, or vLLM through TRL."""
    trl: GrpoTrlSettings = GrpoTrlSettings()
    """Settings of TRL's `GRPOConfig`, under its names."""

    @model_validator(mode="before")
    @classmethod
    def _from_an_algorithm(cls, content: Any) -> Any:
        if not isinstance(content, dict):
            return content
        if content.get("vllm") is False:
            content = {**content, "vllm": "off"}  # YAML reads a bare `off` as false
        return with_algorithm(content)

    @model_validator(mode="after")
    def _check(self) -> Self:
        rollouts = self.prompts_per_batch * self.rollouts_per_prompt
        if rollouts % self.updates_per_batch:
            raise ValueError(
                f"prompts_per_batch x rollouts_per_prompt = {rollouts} rollouts cannot be split "
                f"into {self.updates_per_batch} updates"
            )
        for name in ("steps", "save_every", "validate_every"):
            every = getattr(self, name)
            if every % self.updates_per_batch:
                raise ValueError(
                    f"{name} must be a multiple of updates_per_batch ({self.updates_per_batch}),"
                    f" got {every}"
                )
        self._check_screening()
        with names_from_a_file():
            self.make_gate()
            self.make_rewards()
        return self

    def _check_screening(self) -> None:
        if self.gate.name != "two_stage":
            if self.screening != ScreeningSettings():
                raise ValueError(
                    f"screening is for gate: two_stage, and the gate is {self.gate.name}"
                )
        elif self.gate.settings:
            raise ValueError("the settings of gate: two_stage are those of `screening`")
        elif self.screening.rollouts >= self.rollouts_per_prompt:
            raise ValueError(
                "screening.rollouts must be below rollouts_per_prompt, or there is no second"
                f" stage; got {self.screening.rollouts} and {self.rollouts_per_prompt}"
            )

    def make_gate(self) -> Gate:
        """Build the gate (rule that decides which groups train) from these settings."""
        if self.gate.name != "two_stage":
            return make_gate(self.gate.name, **self.gate.settings)
        screening = self.screening.gate_settings(self.rollouts_per_prompt)
        return make_gate(self.gate.name, **screening)

    def make_rewards(self) -> tuple[RewardTerm, ...]:
        """Build the reward terms, whose weighted sum is the reward of a rollout."""
        return make_rewards(
            [choice.model_dump() for choice in self.rewards],
            max_tokens=self.trl.max_completion_length,
        )

    def decoding(self, num_rollouts: int) -> Decoding:
        """Return training's decoding settings for `num_rollouts` rollouts that do not train."""
        return Decoding(
            num_rollouts=num_rollouts,
            temperature=self.trl.temperature,
            top_p=self.trl.top_p,
            max_tokens=self.trl.max_completion_length,
            batch_rollouts=self.refresh_batch,
        )
