"""The one engine that draws rollouts: in training, refresh, validation and evaluation.

`ModelPolicy` turns prompts into tokens and tokens into rollouts; between them an engine draws:
transformers in this process (`transformers_tokens.py`), or vLLM.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from vasari.model.base import Decoding
from vasari.model.encoded_prompts import EncodedPrompt


@dataclass(frozen=True, slots=True)
class Drawn:
    """The tokens of one rollout, as an engine drew them."""

    token_ids: Sequence[int]
    """Up to and including the token that ends it, if one does; no prompt, no padding."""
    ended: bool
    """Whether a token that ends rollouts is the last, and not the limit."""
    log_probs: Sequence[float] | None = None
    """Of each token under softmax(logits / temperature), as training computes it and asks for it;
    None elsewhere."""


class TokenEngine(Protocol):
    """Interface of what draws the tokens of rollouts from the model."""

    def draw(
        self,
        prompts: Iterable[EncodedPrompt],
        decoding: Decoding,
        *,
        seed: int,
        answered: Callable[[int], None],
    ) -> list[list[Drawn]]:
        """Return `decoding.num_rollouts` rollouts for each prompt, in the order of the prompts.

        Args:
            prompts: Read one after the other, as they are needed: their images are large.
            decoding: How many rollouts, how drawn, how long at most.
            seed: Of the random numbers.
            answered: Called with the number of prompts that have their rollouts, at any time.
        """
        ...
