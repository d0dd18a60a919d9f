"""A checker that every reward function must pass, ours or a user's."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from vasari.errors import ConfigError
from vasari.records import ImageRef, Outcome, Prompt, Verdict
from vasari.score.reward import score_rollouts
from vasari.score.rewards import make_rewards, term_of

_TEXTS = ("<think>It is 4.</think><answer>\\boxed{4}</answer>", "", "4", "\\boxed{" * 500, "word " * 20_000, "\ud800\u202e\x00")
_PROMPTS = (
    Prompt(id="text", question="What is 2 + 2?", answer="4", kind="number"),
    Prompt(id="image", question="How many?", answer="4", images=(ImageRef(path="/nowhere.png"),)),
    Prompt(id="choice", question="Which?", answer="B", choices=("3", "4"), kind="choice", metadata={"style": "plain"}),
)


def check_reward(reward: str | Callable[..., Any], *, max_tokens: int = 64, **settings: Any) -> None:
    """Return if a reward function keeps the contract; say what is broken if not.

    It is called on right, wrong and unverifiable rollouts, empty and very long ones, cut ones, of prompts with and without
    images and options.

    Args:
        reward: A name as a recipe has it, a function, or an object that is called.
        max_tokens: Tokens at which rollouts are cut, for a reward that wants to know.
        **settings: Its settings, where it is named.

    Raises:
        AssertionError: A part of the contract is broken; the message says which.
        ConfigError: The name or a setting is unknown.
    """
    if isinstance(reward, str):
        (term,) = make_rewards([{"name": reward, "settings": settings}], max_tokens=max_tokens)
    else:
        term = term_of(getattr(reward, "__name__", type(reward).__name__), reward)
    rows = _rows(max_tokens)
    given = copy.deepcopy(rows)
    try:
        once, again = (_rewards(term, rows) for _ in range(2))
    except ConfigError as error:
        raise AssertionError(str(error)) from error
    if once != again:
        raise AssertionError(f"reward {term.name!r} gave different values for the same rollouts")
    if rows != given:
        raise AssertionError(f"reward {term.name!r} changed the rollouts that it was shown")
    reversed_rows = {name: list(reversed(values)) for name, values in rows.items()}
    if _rewards(term, reversed_rows) != list(reversed(once)):
        raise AssertionError(f"reward {term.name!r} of a rollout depends on the rollouts beside it, or on their order")


def _rewards(term: Any, rows: Mapping[str, Sequence[Any]]) -> list[str]:
    # As texts, so that nan equals nan.
    return [str(reward.breakdown) for reward in score_rollouts([term], **rows)]  # type: ignore[arg-type]


def _rows(max_tokens: int) -> dict[str, list[Any]]:
    rows: dict[str, list[Any]] = {name: [] for name in ("prompts", "texts", "token_ids", "verdicts", "truncated")}
    for place, text in enumerate(_TEXTS):
        for prompt, outcome in zip(_PROMPTS, Outcome, strict=True):
            num = (0, 1, max_tokens // 2, max_tokens - 1, max_tokens, 4 * max_tokens)[place]
            rows["prompts"].append(prompt)
            rows["texts"].append(text)
            rows["token_ids"].append([token % 11 for token in range(num)])
            rows["verdicts"].append(Verdict(outcome, extraction="4" if text else None, decided_by="number"))
            rows["truncated"].append(num >= max_tokens)
    return rows
