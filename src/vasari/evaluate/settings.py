"""Settings of an evaluation, checked when they are made."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from vasari.core.settings import Settings
from vasari.model.base import Decoding

Positive = Annotated[int, Field(ge=1)]


class RolloutSettings(Settings):
    """Settings for drawing rollouts: number per prompt, sampling, and a control without images."""

    shown_as: ClassVar[str] = "sampled"
    """Name of the pass with images, beside `blind`."""

    num_rollouts: Positive = 8
    """Number of rollouts per prompt."""
    temperature: Annotated[float, Field(gt=0)] = 1.0
    """Sampling temperature."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Nucleus mass kept; 1 keeps all."""
    max_tokens: Positive = 96
    """Longest rollout, in tokens."""
    blind: Literal["blank", "removed"] | None = "removed"
    """A control: answer the prompts that have images without them too, or with a white page in the
    place of each. A small model that was never shown a prompt without an image writes nonsense
    then, which says nothing about the prompts: `blank` for those."""
    blind_rollouts: Positive = 1
    """Number of rollouts per prompt in the blind control."""
    pass_at: tuple[Positive, ...] = (1, 2, 4, 8)
    """Which pass@k and maj@k are reported; those above `num_rollouts` are left out."""
    batch_rollouts: Positive = 256
    """Rollouts generated at once; changes results only through the policy's own batching."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Random seed of the rollouts, of the draw of prompts, and of the intervals."""

    def decodings(self) -> dict[str, Decoding]:
        """Return the sampling settings by name: with images, and `blind` (without images)."""
        shown = Decoding(
            num_rollouts=self.num_rollouts,
            temperature=self.temperature,
            top_p=self.top_p,
            max_tokens=self.max_tokens,
            images="shown",
            batch_rollouts=self.batch_rollouts,
        )
        if self.blind is None:
            return {self.shown_as: shown}
        blind = {"images": self.blind, "num_rollouts": self.blind_rollouts}
        return {self.shown_as: shown, "blind": shown.model_copy(update=blind)}

    def reported_ks(self) -> list[int]:
        """Return the values of k for pass@k and maj@k, sorted, at most the rollouts per prompt."""
        return [k for k in sorted(set(self.pass_at)) if k <= self.num_rollouts]


class EvaluateSettings(RolloutSettings):
    """Settings for evaluating a model on sets of prompts."""

    greedy: bool = True
    """Decode every prompt greedily too, once."""
    limit: Positive | None = None
    """Number of prompts evaluated in each set, drawn with `seed`; None: all."""
    rollouts_per_part: Positive = 512
    """Rollouts generated between two saves: a killed evaluation repeats at most this many."""
    vllm: Literal["off", "colocate"] = "off"
    """Who generates the rollouts of a run's models: transformers, or vLLM in this process, which
    then has the GPU's memory."""
    vllm_gpu_memory_utilization: Annotated[float, Field(gt=0, le=1)] = 0.9
    """Share of the GPU's memory that vLLM takes, where it generates."""
    vllm_max_model_length: Positive | None = None
    """Longest prompt and rollout together under vLLM; None: what the model was made for."""

    @model_validator(mode="before")
    @classmethod
    def _read_off(cls, content: Any) -> Any:
        if isinstance(content, dict) and content.get("vllm") is False:
            return {**content, "vllm": "off"}  # YAML reads a bare `off` as false
        return content

    def decodings(self) -> dict[str, Decoding]:
        """Return sampling settings by name: `sampled`, `greedy`, and `blind` (without images)."""
        found = super().decodings()
        if not self.greedy:
            return found
        alone = {"num_rollouts": 1, "temperature": 0.0, "top_p": 1.0}
        greedy = found["sampled"].model_copy(update=alone)
        return {"sampled": found["sampled"], "greedy": greedy, **found}
