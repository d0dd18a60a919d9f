"""Rollouts of known prompts, verified and rewarded outside TRL: those of a refresh, of a scripted
policy, of a file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vasari.core.records import Prompt, Rollout, Verdict
from vasari.score.reward import RewardTerm, score_rollouts
from vasari.train.groups import ScoredRollout
from vasari.verify import verify_answer

VerifyPrompt = Callable[[Prompt, str], Verdict]
"""From a prompt and the text of a rollout to its verdict."""


def verify_prompt(prompt: Prompt, text: str) -> Verdict:
    """Whether the final answer in a rollout's text is the prompt's."""
    return verify_answer(text, prompt.answer, choices=prompt.choices, kind=prompt.kind)


class RolloutScorer:
    """Gives rollouts of a pool's prompts their verdicts and rewards."""

    def __init__(
        self,
        prompts: Sequence[Prompt],
        terms: Sequence[RewardTerm],
        *,
        verify: VerifyPrompt = verify_prompt,
    ) -> None:
        self.prompts = prompts
        self._terms = tuple(terms)
        self._verify = verify

    def score(self, index: int, rollouts: Sequence[Rollout]) -> list[ScoredRollout]:
        """The rollouts of prompt `index`, scored, in their order."""
        prompt = self.prompts[index]
        verdicts = [self._verify(prompt, rollout.text) for rollout in rollouts]
        rewards = score_rollouts(
            self._terms,
            prompts=[prompt] * len(rollouts),
            texts=[rollout.text for rollout in rollouts],
            token_ids=[rollout.token_ids.tolist() for rollout in rollouts],
            verdicts=verdicts,
            truncated=[rollout.truncated for rollout in rollouts],
        )
        return [
            ScoredRollout(
                index=index,
                text=rollout.text,
                token_ids=tuple(rollout.token_ids.tolist()),
                verdict=verdict,
                reward=reward,
                truncated=rollout.truncated,
            )
            for rollout, verdict, reward in zip(rollouts, verdicts, rewards, strict=True)
        ]
