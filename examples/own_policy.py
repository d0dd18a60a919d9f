"""A policy of your own that can be evaluated like a model; this one guesses.

    python examples/own_policy.py
In a recipe for benchmarks, with this file in the working folder and `--plugin own_policy`:
    policy: {name: own_policy:Guesser, settings: {largest: 20}}
"""

import numpy as np

from vasari.core.progress import silent
from vasari.model.check import check_policy
from vasari.records import Prompt, Rollout


class Guesser:
    """A policy that guesses a letter if there are options, else an integer up to `largest`."""

    def __init__(self, largest: int = 10) -> None:
        self.largest = largest

    def generate(self, prompts, decoding, *, seed, tell=silent):
        """Return one group of `num_rollouts` rollouts for each prompt, in the order of prompts."""
        groups = []
        for prompt in prompts:
            # Seeded by the prompt too, so that a rollout does not depend on the other prompts.
            rng = np.random.default_rng([seed if decoding.temperature else 0, *prompt.id.encode()])
            rollouts = range(decoding.num_rollouts)
            groups.append([self._guess(prompt, rng, decoding.max_tokens) for _ in rollouts])
            tell(len(groups), len(prompts))
        return groups

    def _guess(self, prompt: Prompt, rng: np.random.Generator, max_tokens: int) -> Rollout:
        # The options stand in the question: a prompt under evaluation has no answer and no choices.
        letters = [letter for letter in "ABCD" if f"{letter})" in prompt.question]
        final = rng.choice(letters) if letters else str(rng.integers(self.largest + 1))
        text = f"<think>I guess.</think><answer>\\boxed{{{final}}}</answer>"
        ids = [*text.encode(), 0]  # a token a byte, and an end token
        return Rollout(
            text=text,
            token_ids=np.array(ids[:max_tokens], dtype=np.int32),
            truncated=len(ids) > max_tokens,
        )


if __name__ == "__main__":
    check_policy(Guesser(), max_tokens=96)
    from vasari.model.base import Decoding

    question = Prompt(id="q", question="How many bars are there?", answer="3")
    (group,) = Guesser().generate([question], Decoding(num_rollouts=3, max_tokens=96), seed=0)
    print([rollout.text for rollout in group])
