"""Rewards from verdicts: how the functions that make up a reward are called and added up.

A reward is a function. Ours and a user's look at one rollout: they take by keyword any of `prompt`,
`text`, `token_ids`, `verdict`, `truncated`, and return a number, or None where the rollout must
leave its group's baseline. A function with TRL's signature (it takes `prompts`, `completions` or
`completion_ids`, and columns, as lists) is accepted as it is.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from vasari.core.errors import ConfigError
from vasari.core.records import Outcome, Prompt, Verdict

SEEN = ("prompt", "text", "token_ids", "verdict", "truncated")
"""What a reward function of one rollout may take, by keyword."""

UNNAMED = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
"""Kinds of parameters that stand for any number of arguments."""

_COLUMNS = {"prompt": "vasari_prompt", "verdict": "verdict", "truncated": "truncated"}
"""The columns in which a function of one rollout finds what is neither its text nor its tokens."""


@dataclass(frozen=True, slots=True)
class Reward:
    """Total reward of one rollout, and its weighted reward terms by name."""

    total: float
    """Reward that the learner sees; nan for a rollout that is left out of its group's baseline."""
    breakdown: Mapping[str, float] = field(default_factory=dict)
    """The weighted terms by name, nan for one that does not apply; the others sum to the total."""


@dataclass(frozen=True, slots=True)
class RewardTerm:
    """One term of a reward: its name, weight and function."""

    name: str
    """Name of the term in logs and files."""
    weight: float
    function: Callable[..., Any]
    is_batched: bool
    """Whether the function has TRL's signature: lists over rollouts in, a list out."""


def as_batched(term: RewardTerm) -> Callable[..., Any]:
    """Wrap a reward term as a TRL reward function: lists in, unweighted numbers or None out.

    A function of one rollout finds in the columns `vasari_prompt`, `verdict` and `truncated` what
    it takes of them. A function that must be awaited gives one that must be awaited.

    Raises:
        ConfigError: When called: a column is lacking that the term needs, or it gave no list of
            numbers of the right length.
    """

    def finished(found: Any, columns: Mapping[str, Any]) -> list[float | None]:
        return _numbers(found, term, len(columns["completions"]), columns.get(_COLUMNS["prompt"]))

    if is_async(term.function):

        async def awaited(**columns: Any) -> list[float | None]:
            return finished(await _called(term, columns), columns)

        awaited.__name__ = term.name
        return awaited

    def called(**columns: Any) -> list[float | None]:
        return finished(_called(term, columns), columns)

    called.__name__ = term.name
    return called


def combine(
    terms: Sequence[RewardTerm],
    values: Mapping[str, Sequence[float | None]],
    verdicts: Sequence[Verdict] | None,
    prompts: Sequence[Prompt] | None = None,
) -> list[Reward]:
    """Return each rollout's reward: the weighted sum of the values of its reward terms.

    Args:
        terms: With their weights.
        values: [rollouts] by the terms' names. None of a function of one rollout, or of all
            functions, takes the rollout out of its group's baseline; None of a function with TRL's
            signature leaves the term out.
        verdicts: [rollouts]; an unverifiable one takes its rollout out, whatever the terms say.
            None: not known.
        prompts: [rollouts] for messages.

    Raises:
        ConfigError: A term has no values, another number of them, or one that is not a finite
            number.
    """
    lacking = [term.name for term in terms if term.name not in values]
    if lacking:
        raise ConfigError(
            f"there are no values of reward {', '.join(map(repr, lacking))}; there are:"
            f" {', '.join(values)}"
        )
    num = (
        len(verdicts)
        if verdicts is not None
        else max((len(values[term.name]) for term in terms), default=0)
    )
    found = {term.name: _numbers(values[term.name], term, num, prompts) for term in terms}
    rewards = []
    for row in range(num):
        own = {name: numbers[row] for name, numbers in found.items()}
        parts = {
            term.name: math.nan if (value := own[term.name]) is None else term.weight * value
            for term in terms
        }
        known = [part for part in parts.values() if not math.isnan(part)]
        out = not known or any(own[term.name] is None and not term.is_batched for term in terms)
        out = out or (verdicts is not None and verdicts[row].outcome is Outcome.UNVERIFIABLE)
        rewards.append(Reward(math.nan if out else sum(known), parts))
    return rewards


def score_rollouts(
    terms: Sequence[RewardTerm],
    *,
    prompts: Sequence[Prompt],
    texts: Sequence[str],
    token_ids: Sequence[Sequence[int]],
    verdicts: Sequence[Verdict],
    truncated: Sequence[bool],
    columns: Mapping[str, Sequence[Any]] | None = None,
) -> list[Reward]:
    """Compute the reward of each rollout from reward terms, without TRL.

    Functions with TRL's signature get what TRL would give them.

    Args:
        terms: What the rewards are made of.
        prompts: [rollouts] the prompt of each.
        texts: [rollouts]
        token_ids: [rollouts] the tokens of each, up to and including the end token.
        verdicts: [rollouts]
        truncated: [rollouts] whether the token limit ended it.
        columns: Further columns for functions with TRL's signature, [rollouts] each.

    Raises:
        ConfigError: There is not one of each for every rollout, a term needs a column that is not
            there, or a value is no number.
    """
    given = trl_columns(
        prompts=prompts,
        texts=texts,
        token_ids=token_ids,
        verdicts=verdicts,
        truncated=truncated,
        columns=columns,
    )
    return combine(terms, values_of(terms, given), verdicts, prompts)


def trl_columns(
    *,
    prompts: Sequence[Prompt],
    texts: Sequence[str],
    token_ids: Sequence[Sequence[int]],
    verdicts: Sequence[Verdict],
    truncated: Sequence[bool],
    columns: Mapping[str, Sequence[Any]] | None = None,
) -> dict[str, Any]:
    """Return the keyword arguments with which TRL would call reward functions on these rollouts.

    Arguments as in `score_rollouts`.
    """
    seen: dict[str, Sequence[Any]] = {"prompts": prompts, "texts": texts, "token_ids": token_ids}
    seen |= {"verdicts": verdicts, "truncated": truncated, **(columns or {})}
    lengths = {name: len(values) for name, values in seen.items()}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{length} {name}" for name, length in lengths.items())
        raise ConfigError(f"rewards need one of each for every rollout, got {listed}")
    return {
        "prompts": [[{"role": "user", "content": prompt.question}] for prompt in prompts],
        "completions": [[{"role": "assistant", "content": text}] for text in texts],
        "completion_ids": [list(ids) for ids in token_ids],
        "vasari_prompt": list(prompts),
        "verdict": list(verdicts),
        "truncated": list(truncated),
        "question": [prompt.question for prompt in prompts],
        "answer": [prompt.answer for prompt in prompts],
        "solution": [prompt.answer for prompt in prompts],
        "category": [prompt.category for prompt in prompts],
        "difficulty": [prompt.difficulty for prompt in prompts],
        "log_extra": _not_logged,
        "log_metric": _not_logged,
        **{name: list(values) for name, values in (columns or {}).items()},
    }


def values_of(
    terms: Sequence[RewardTerm], given: Mapping[str, Any]
) -> dict[str, list[float | None]]:
    """Return each reward term's unweighted values, by term name: [rollouts] each.

    Async functions run together.
    """
    waiting = [term for term in terms if is_async(term.function)]
    awaited = iter(_awaited([as_batched(term) for term in waiting], given))
    return {
        term.name: next(awaited) if term in waiting else as_batched(term)(**given) for term in terms
    }


def is_async(function: Callable[..., Any]) -> bool:
    """Whether a function, an object's `__call__`, or a `functools.partial` of either is async."""
    while isinstance(function, functools.partial):
        function = function.func
    call = getattr(function, "__call__", None)  # noqa: B004
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)


def text_of(completion: Any) -> str:
    """Return the text of a TRL completion: a string, or the content of the last chat message."""
    if isinstance(completion, str):
        return completion
    content = completion[-1].get("content") if completion else None
    if isinstance(content, str):
        return content
    return "".join(part.get("text") or "" for part in content or ())


def _called(term: RewardTerm, columns: Mapping[str, Any]) -> Any:
    """Call a term's function on these columns and return what it returns."""
    parameters = inspect.signature(term.function).parameters
    seen = dict(columns) if term.is_batched else _seen(columns)
    # Settings that were filled in stand, also where a column is called like one.
    filled = term.function.keywords if isinstance(term.function, functools.partial) else {}
    given = {
        name: values
        for name, values in seen.items()
        if name not in filled and (name in parameters or takes_all(term.function))
    }
    lacking = [name for name in needed(parameters) if name not in seen]
    if lacking and term.is_batched:
        raise ConfigError(
            f"reward {term.name!r} needs {', '.join(map(repr, lacking))}, which is no column"
            f" here; there are: {', '.join(columns)}"
        )
    if lacking:
        raise ConfigError(
            f"reward {term.name!r} takes {', '.join(lacking)}, and there is no column"
            f" {', '.join(_COLUMNS[name] for name in lacking)}; a trainer of vasari.trl adds"
            " verdict and truncated where it is given verify"
        )
    if term.is_batched:
        return term.function(**given)
    return [
        term.function(**{name: values[row] for name, values in given.items()})
        for row in range(len(columns["completions"]))
    ]


def _seen(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Return the known inputs of functions of one rollout, each as a list over rollouts."""
    texts = [text_of(completion) for completion in columns["completions"]]
    known = {name: columns[column] for name, column in _COLUMNS.items() if column in columns}
    return {"text": texts, "token_ids": columns["completion_ids"], **known}


def needed(parameters: Mapping[str, inspect.Parameter]) -> list[str]:
    """Return the names of a function's parameters that have no default value."""
    return [
        name
        for name, one in parameters.items()
        if one.default is one.empty and one.kind not in UNNAMED
    ]


def takes_all(function: Callable[..., Any]) -> bool:
    """Whether a function takes any keyword argument, having `**kwargs`."""
    return any(
        one.kind is one.VAR_KEYWORD for one in inspect.signature(function).parameters.values()
    )


def _numbers(
    found: Any, term: RewardTerm, num: int, prompts: Sequence[Prompt] | None
) -> list[float | None]:
    """Return one checked value for each of `num` rollouts."""
    try:
        values = list(found)
    except TypeError as error:
        raise ConfigError(
            f"reward {term.name!r} gave {found!r}; it must give a list, one value for each rollout"
        ) from error
    if len(values) != num:
        raise ConfigError(
            f"reward {term.name!r} gave {len(values)} values for {num} rollouts; it must give one"
            " for each"
        )
    return [
        _number(value, term, None if prompts is None else prompts[row])
        for row, value in enumerate(values)
    ]


def _number(value: Any, term: RewardTerm, prompt: Prompt | None) -> float | None:
    if value is None:
        return None
    where = "" if prompt is None else f" for prompt {prompt.id!r}"
    try:
        # Both can be made a number, and neither was meant as one: "0.5", and an array of one value.
        if isinstance(value, str | bytes) or bool(getattr(value, "ndim", 0)):
            raise TypeError
        number = float(value)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"reward {term.name!r} gave {value!r}{where}; it must give a number or None"
        ) from error
    if math.isnan(number) and term.is_batched:
        return None
    if not math.isfinite(number):
        raise ConfigError(
            f"reward {term.name!r} gave {number}{where}; it must give a finite number or None"
        )
    return number


def _awaited(functions: Sequence[Callable[..., Any]], given: Mapping[str, Any]) -> list[Any]:
    """Run async functions and return their results, even inside a running event loop (notebook)."""

    async def together() -> list[Any]:
        return list(await asyncio.gather(*(function(**given) for function in functions)))

    if not functions:
        return []
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(together())
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(lambda: asyncio.run(together())).result()


def _not_logged(*_: Any) -> None:
    """TRL's `log_extra` and `log_metric` where there is no log."""
