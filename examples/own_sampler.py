"""A sampler of your own that first draws prompts whose last group had mixed verdicts.

    python examples/own_sampler.py
In a recipe, with this file in the working folder and `--plugin own_sampler`:
    sampler: {name: own_sampler:LastMixed, settings: {noise: 0.1}}
With TRL:
    VarianceAwareGRPOTrainer(..., sampler="own_sampler:LastMixed")
"""

from typing import ClassVar

import numpy as np

from vasari.records import Draw, GroupOutcome
from vasari.sample import PromptSampler, check_prompt_sampler
from vasari.score import pass_rate


class LastMixed(PromptSampler):
    """A sampler that draws prompts with the highest p(1 - p), p being their last pass rate."""

    # A checkpoint keeps self._rates; a prompt that is new in the pool starts at 0.5.
    saved_by_prompt: ClassVar = {"rates": 0.5}

    def __init__(self, *, num_prompts, seed, prompt_ids=None, noise=0.05):
        super().__init__(num_prompts=num_prompts, seed=seed, prompt_ids=prompt_ids)
        self.noise = noise
        self._rates = np.full(num_prompts, 0.5)

    def metrics(self):
        """Return the numbers that are logged for a batch."""
        return {"sampler/mean_pass_rate": float(self._rates.mean())}

    def _draw(self, num_prompts):
        value = self._rates * (1 - self._rates) + self.noise * self._rng.random(self.num_prompts)
        return Draw(np.argsort(-value)[:num_prompts], ("promoted",) * num_prompts)

    def _observe(self, groups):
        for group in groups:
            rate = pass_rate(group.verdicts)
            if not np.isnan(rate):
                self._rates[group.index] = rate


if __name__ == "__main__":
    check_prompt_sampler(LastMixed)
    sampler = LastMixed(num_prompts=6, seed=0)
    for index, verdicts in enumerate(([1, 1], [0, 0], [1, 0])):
        sampler.observe([GroupOutcome(index=index, rewards=verdicts, verdicts=verdicts)])
    print("next prompts:", sampler.draw(4).indices.tolist(), "(0 was all right, 1 all wrong)")
