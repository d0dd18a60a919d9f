"""Two rewards of your own: one for short correct answers, and one with TRL's signature.

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
    """Return 1 for an empty correct answer, falling to 0 at `words` words; 0 if it is wrong."""
    if math.isnan(verdict.value):
        return None  # unverifiable: leave the rollout out of its group's baseline
    return verdict.value * max(0.0, 1.0 - len(text.split()) / words)


def no_guessing(completions, **_):
    """Return 0 for each completion that says "guess", else 1; has the signature TRL expects."""
    return [float("guess" not in message["content"].lower()) for (message,) in completions]


if __name__ == "__main__":
    check_reward(brevity)
    check_reward(no_guessing)
    brief = {"name": "own_reward:brevity", "weight": 0.2}
    terms = make_rewards(["accuracy", brief, {"name": "own_reward:no_guessing", "weight": 0.1}])
    hesitant = "I guess it is 4, but then again I thought about it for a while and may be wrong."
    texts = ["It is 4.", hesitant, "It is 5."]
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
        parts = {name: round(part, 3) for name, part in reward.breakdown.items()}
        print(f"{reward.total:.3f}", parts, text[:40])
