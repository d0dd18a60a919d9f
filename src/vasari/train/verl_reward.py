"""Our verifier as a reward function of verl: `reward.custom_reward_function`.

It needs neither verl nor torch:

    reward.custom_reward_function.path=pkg://vasari.train.verl_reward
    reward.custom_reward_function.name=verified
"""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vasari.core.errors import ConfigError
from vasari.core.records import Outcome, Prompt, Rollout
from vasari.score.reward import RewardTerm
from vasari.score.rewards import make_rewards
from vasari.train.groups import MAX_ANSWER_CHARACTERS, score_alone

MODULE = "vasari.train.verl_reward"

_PASSED = {"reward_router_address", "reward_model_tokenizer"}
"""What verl passes to a reward function where there is a reward model."""
_NOT_GIVEN = {"token_ids", "truncated", "completion_ids"}
"""What a term may take and verl does not hand to a reward function."""


def verified(
    data_source: str = "",
    solution_str: str = "",
    ground_truth: Any = "",
    extra_info: Mapping[str, Any] | None = None,
    *,
    rewards: Any = ("accuracy",),
    opened: str = "",
    **others: Any,
) -> dict[str, Any]:
    """Return a rollout's score and verdict for verl: a number, and what the sampler learns from.

    Args:
        data_source: As the row has it.
        solution_str: The rollout's text.
        ground_truth: The reference answer.
        extra_info: Of the row: `question`, `choices` and `kind`, where it has them.
        rewards: Reward terms as a recipe names them, e.g. `[accuracy, {name: format, weight:
            0.5}]`; from `reward.custom_reward_function.reward_kwargs`.
        opened: What the prompt already holds of every rollout, such as `<think>`.
        **others: What verl passes beside a reward model.

    Returns:
        `score`, what the learner sees; `acc`, 1 or 0; `unverifiable`, 1 or 0; `verdict`,
        `extraction` and `decided_by`, texts. verl needs a number, so an unverifiable rollout has
        score and acc 0; `vasari.verl` leaves it out of its group's baseline.

    Raises:
        ConfigError: `reward_kwargs` has a name that is not known, or a value that is none.
    """
    terms = terms_of({"rewards": rewards, "opened": opened, **others})
    known = extra_info or {}
    prompt = Prompt(
        id=str(known.get("index", "")),
        question=str(known.get("question") or ""),
        answer="" if ground_truth is None else str(ground_truth),
        choices=tuple(map(str, known.get("choices") or ())) or None,
        kind=known.get("kind") or None,
        category=str(data_source or ""),
    )
    rollout = Rollout(text=opened + solution_str, token_ids=np.zeros(0, dtype=np.int32))
    verdict, score = score_alone(rollout, prompt=prompt, terms=terms)
    return {
        "score": score,
        "acc": 1.0 if verdict.outcome is Outcome.CORRECT else 0.0,
        "unverifiable": 1.0 if verdict.outcome is Outcome.UNVERIFIABLE else 0.0,
        "verdict": verdict.outcome.value,
        "extraction": (verdict.extraction or "")[:MAX_ANSWER_CHARACTERS],
        "decided_by": verdict.decided_by,
    }


def terms_of(reward_kwargs: Mapping[str, Any]) -> tuple[RewardTerm, ...]:
    """Return the reward terms that the settings of `verified` name, all of which are checked.

    Raises:
        ConfigError: A name is not known, or a value is none.
    """
    unknown = sorted(reward_kwargs.keys() - {"rewards", "opened"} - _PASSED)
    if unknown:
        raise ConfigError(
            f"reward.custom_reward_function.reward_kwargs: {', '.join(map(repr, unknown))} is not"
            " known; there are rewards and opened"
        )
    opened = reward_kwargs.get("opened", "")
    if not isinstance(opened, str):
        raise ConfigError(
            f"reward.custom_reward_function.reward_kwargs: opened must be a text, got {opened!r}"
        )
    return reward_terms(reward_kwargs.get("rewards", ("accuracy",)))


def reward_terms(rewards: Any) -> tuple[RewardTerm, ...]:
    """Return the terms that `rewards` names, made once.

    Raises:
        ConfigError: A name or a setting is unknown, or a term looks at the tokens of a rollout,
            which verl does not hand over.
    """
    if isinstance(rewards, str) or not isinstance(rewards, Sequence):
        raise ConfigError(f"rewards must be a list of reward terms, got {rewards!r}")
    return _made(json.dumps([_plain(term) for term in rewards]))


@functools.cache
def _made(rewards: str) -> tuple[RewardTerm, ...]:
    terms = make_rewards(json.loads(rewards))
    for term in terms:
        lacking = sorted(_NOT_GIVEN & inspect.signature(term.function).parameters.keys())
        if lacking:
            raise ConfigError(
                f"reward {term.name!r} takes {', '.join(lacking)}, which verl does not hand to a"
                " reward function; leave it out"
            )
    return terms


def _plain(value: Any) -> Any:
    """A value without the containers of the configuration that it stands in."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(inner) for inner in value]
    return value
