"""A reward of your own: short right answers are worth more, and one that TRL's users would write
works as it is.

    python examples/own_reward.py
In a recipe, with this file in the working folder and `--plugin own_reward`:
    grpo:
      rewards:
        - {name: accuracy}
        - {name: own_reward:brevity, weight: 0.2, settings: {words: 50}}
        - {name: own_reward:no_guessing, weight: 0.1}
"""

import math

from vasari.records import Outcome, Prompt, Verdict
from vasari.score import check_reward, make_rewards, score_rollouts


def brevity(text: str, verdict: Verdict, words: int = 100) -> float | None:
    """1 for a right answer without a word, 0 from `words` words on, 0 for a wrong one; None leaves
    the group's baseline.
    """
    if math.isnan(verdict.value):
        return None
    return verdict.value * max(0.0, 1.0 - len(text.split()) / words)


def no_guessing(completions, **_):
    """A function with TRL's signature: lists over rollouts in, a list out."""
    return [
        0.0 if "guess" in completion[0]["content"].lower() else 1.0 for completion in completions
    ]


if __name__ == "__main__":
    check_reward(brevity)
    check_reward(no_guessing)
    terms = make_rewards(
        [
            {"name": "accuracy"},
            {"name": "own_reward:brevity", "weight": 0.2},
            {"name": "own_reward:no_guessing", "weight": 0.1},
        ]
    )
    texts = [
        "It is 4.",
        "I guess it is 4, but then again I thought about it for a while and may be wrong.",
        "It is 5.",
    ]
    outcomes = [Outcome.CORRECT, Outcome.CORRECT, Outcome.INCORRECT]
    prompt = Prompt(id="q", question="What is 2 + 2?", answer="4")
    rewards = score_rollouts(
        terms,
        prompts=[prompt] * 3,
        texts=texts,
        token_ids=[[1, 2, 3]] * 3,
        verdicts=[Verdict(outcome) for outcome in outcomes],
        truncated=[False] * 3,
    )
    for text, reward in zip(texts, rewards, strict=True):
        print(
            f"{reward.total:.3f}",
            {name: round(part, 3) for name, part in reward.breakdown.items()},
            text[:40],
        )
