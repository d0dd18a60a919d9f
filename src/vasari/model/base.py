"""Interface of a policy, and settings for drawing its rollouts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from vasari.core.progress import Tell, silent
from vasari.core.records import Prompt, Rollout
from vasari.core.settings import Settings

Images = Literal["shown", "blank", "removed"]
"""Whether a prompt's images are shown, replaced by white pages, or left out."""


class Decoding(Settings):
    """Settings for drawing rollouts: number per prompt, temperature, token limit, images shown."""

    num_rollouts: int = 8
    """Rollouts drawn for each prompt."""
    temperature: float = 1.0
    """0 is greedy decoding."""
    top_p: float = 1.0
    """Probability mass that nucleus sampling keeps; 1 keeps all."""
    max_tokens: int = 96
    """Longest rollout, in tokens."""
    images: Images = "shown"
    """"blank" and "removed" are blind controls: a white page of the same size in place of each
    image, or no image at all."""
    batch_rollouts: int = 256
    """Rollouts generated at once; a prompt's are generated in parts where they are more."""


class Policy(Protocol):
    """Interface of anything that answers prompts with rollouts; `check_policy` tests a class.

    The same seed and prompts give the same rollouts. Where `decoding.images` says so, images are
    taken away or replaced; a policy that cannot do that raises a ConfigError. A prompt under
    evaluation may come without its reference answer and with its options in the question.
    """

    def generate(
        self, prompts: Sequence[Prompt], decoding: Decoding, *, seed: int, tell: Tell = silent
    ) -> list[list[Rollout]]:
        """Return `decoding.num_rollouts` rollouts for each prompt, in the order of the prompts.

        Args:
            prompts: Any number, none too; with no image, one or several.
            decoding: How many rollouts, how drawn, how long at most.
            seed: Not negative.
            tell: Called with the number of prompts answered and their total, at any time.
        """
        ...
