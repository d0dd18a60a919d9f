"""Settings of an evaluation, checked when they are made."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from vasari.core.settings import Settings
from vasari.model.base import Decoding

Positive = Annotated[int, Field(ge=1)]


class EvaluateSettings(Settings):
    """How a model is evaluated."""

    num_rollouts: Positive = 8
    """Sampled rollouts a prompt."""
    temperature: Annotated[float, Field(gt=0)] = 1.0
    """Of the sampled rollouts; greedy decoding has its own switch."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Nucleus mass kept; 1 keeps all."""
    max_tokens: Positive = 96
    """Longest rollout, in tokens."""
    greedy: bool = True
    """Decode every prompt greedily too, once."""
    blind: Literal["blank", "removed"] | None = "removed"
    """A control: answer the prompts that have images without them too, or with a white page in the
    place of each. A small model that was never shown a prompt without an image writes nonsense
    then, which says nothing about the prompts: `blank` for those."""
    blind_rollouts: Positive = 1
    """Rollouts a prompt of the blind control."""
    pass_at: tuple[Positive, ...] = (1, 2, 4, 8)
    """Which pass@k and maj@k are reported; those above `num_rollouts` are left out."""
    limit: Positive | None = None
    """Evaluate so many prompts of each set, drawn with `seed`; None: all."""
    batch_rollouts: Positive = 256
    """Rollouts generated at once; moves no result but through the policy's own batching."""
    rollouts_per_part: Positive = 512
    """Rollouts generated between two saves: a killed evaluation repeats at most so many."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Of the rollouts, of the draw of prompts, and of the intervals."""

    def decoding(self, name: str) -> Decoding:
        """How rollouts are drawn for "sampled", "greedy" or "blind"."""
        greedy = name == "greedy"
        num_rollouts = {"sampled": self.num_rollouts, "greedy": 1, "blind": self.blind_rollouts}[
            name
        ]
        return Decoding(
            num_rollouts=num_rollouts,
            temperature=0.0 if greedy else self.temperature,
            top_p=1.0 if greedy else self.top_p,
            max_tokens=self.max_tokens,
            images=(self.blind or "shown") if name == "blind" else "shown",
            batch_rollouts=self.batch_rollouts,
        )
