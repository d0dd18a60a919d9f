"""A checker that every reward function must pass, ours or a user's."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from vasari.core.errors import ConfigError
from vasari.core.records import ImageRef, Outcome, Prompt, Verdict
from vasari.score.reward import RewardTerm, trl_columns, values_of
from vasari.score.rewards import make_rewards, with_settings

_TEXTS = (
    "<think>It is 4.</think><answer>\\boxed{4}</answer>",
    "",
    "4",
    "\\boxed{" * 500,
    "word " * 20_000,
    "\ud800\u202e\x00",
)
_SHOWN = 40
"""Number of characters of a rollout's text that an error message shows."""

_PROMPTS = (
    Prompt(id="text", question="What is 2 + 2?", answer="4", kind="number"),
    Prompt(id="image", question="How many?", answer="4", images=(ImageRef(path="/nowhere.png"),)),
    Prompt(
        id="choice",
        question="Which?",
        answer="B",
        choices=("3", "4"),
        kind="choice",
        metadata={"style": "plain"},
    ),
)


def check_reward(
    reward: str | Callable[..., Any], *, max_tokens: int = 64, **settings: Any
) -> None:
    """Check that a reward function gives repeatable, finite values (or None) for any rollout.

    It is called on right, wrong and unverifiable rollouts, empty and very long ones, cut ones, of
    prompts with and without images and options. It must give each a finite number or None, the same
    one again and whatever rollouts stand beside it, and leave what it was shown as it was.

    Args:
        reward: A name as a recipe has it, a class, a function, or an object that is called.
        max_tokens: Tokens at which rollouts are cut, for a reward that wants to know.
        **settings: Its settings.

    Raises:
        AssertionError: A part of the contract is broken; the message says which.
        ConfigError: The name or a setting is unknown, or it is no reward function.
    """
    if isinstance(reward, str):
        (term,) = make_rewards([{"name": reward, "settings": settings}], max_tokens=max_tokens)
    else:
        name = getattr(reward, "__name__", type(reward).__name__)
        term = with_settings(name, reward, settings, max_tokens=max_tokens)
    what = f"reward {term.name!r}"
    rows = _rows(max_tokens)
    given, before = trl_columns(**rows), trl_columns(**copy.deepcopy(rows))
    once = _values(term, given, rows)
    _require(given == before, f"{what} changed the rollouts that it was shown")
    _require(
        _values(term, given, rows) == once, f"{what} gave different values for the same rollouts"
    )
    backwards: dict[str, Any] = {name: list(reversed(values)) for name, values in rows.items()}
    alike = _values(term, trl_columns(**backwards), backwards) == list(reversed(once))
    for row in range(len(once)):
        alone: dict[str, Any] = {name: [values[row]] for name, values in rows.items()}
        alike = alike and _values(term, trl_columns(**alone), alone) == [once[row]]
    _require(alike, f"{what} of a rollout depends on the rollouts beside it, or on their order")


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise AssertionError(message)


def _values(
    term: RewardTerm, given: Mapping[str, Any], rows: Mapping[str, Sequence[Any]]
) -> list[float | None]:
    try:
        return values_of([term], given)[term.name]
    except ConfigError as error:
        raise AssertionError(str(error)) from error
    except Exception as error:
        said = f"reward {term.name!r} raised {type(error).__name__}: {error}"
        raise AssertionError(said + _where(term, rows)) from error


def _where(term: RewardTerm, rows: Mapping[str, Sequence[Any]]) -> str:
    """Describe the first rollout on which a reward term raises an error."""
    for row, text in enumerate(rows["texts"]):
        own: dict[str, Any] = {name: [values[row]] for name, values in rows.items()}
        try:
            values_of([term], trl_columns(**own))
        except Exception:  # noqa: BLE001
            tokens, verdict = len(own["token_ids"][0]), own["verdicts"][0].outcome.value
            shown = repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")
            return (
                f"; on a rollout of {tokens} tokens, {verdict}, of prompt {own['prompts'][0].id!r},"
                f" with the text {shown}"
            )
    return ""


def _rows(max_tokens: int) -> dict[str, Any]:
    """Return the rollouts that a reward is tested on, as keyword arguments of `trl_columns`."""
    rows: dict[str, list[Any]] = {
        name: [] for name in ("prompts", "texts", "token_ids", "verdicts", "truncated")
    }
    for place, text in enumerate(_TEXTS):
        for prompt, outcome in zip(_PROMPTS, Outcome, strict=True):
            num = (0, 1, max_tokens // 2, max_tokens - 1, max_tokens, 4 * max_tokens)[place]
            rows["prompts"].append(prompt)
            rows["texts"].append(text)
            rows["token_ids"].append([token % 11 for token in range(num)])
            rows["verdicts"].append(
                Verdict(outcome, extraction="4" if text else None, decided_by="number")
            )
            rows["truncated"].append(num >= max_tokens)
    return rows
