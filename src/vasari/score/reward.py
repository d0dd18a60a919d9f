"""Verdicts -> rewards: the only place where a verdict becomes a number that a learner sees.

A reward is a function. Ours and a user's look at one rollout: they take by keyword any of `prompt`, `text`, `token_ids`,
`verdict`, `truncated`, and return a number, or None where the rollout must leave its group's baseline. A function with TRL's
signature (it takes `prompts`, `completions` or `completion_ids`, and columns, as lists) is accepted as it is.
"""

from __future__ import annotations

import asyncio
import inspect
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vasari.errors import ConfigError
from vasari.records import Outcome, Prompt, Verdict

SEEN = ("prompt", "text", "token_ids", "verdict", "truncated")
"""What a reward function of one rollout may take, by keyword."""

_TAGS = ("<think>", "</think>", "<answer>", "</answer>")
_BRACE = re.compile(r"\\boxed[ \t]*\{|\\.|[{}]", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Reward:
    """The reward of one rollout and what it is made of."""

    total: float
    """What the learner sees; nan for a rollout that leaves its group's baseline."""
    breakdown: Mapping[str, float] = field(default_factory=dict)
    """The weighted terms by name, nan for one that does not apply; the others sum to the total."""


@dataclass(frozen=True, slots=True)
class RewardTerm:
    """One term of a reward: a function and its weight."""

    name: str
    """What logs and files call it."""
    weight: float
    function: Callable[..., Any]
    is_batched: bool
    """It has TRL's signature: lists over rollouts in, a list out."""


def accuracy(*, verdict: Verdict) -> float | None:
    """1 for a correct rollout, 0 for an incorrect one, None for one that cannot be verified."""
    return None if math.isnan(verdict.value) else verdict.value


def format_reward(*, text: str) -> float:
    """1 for a rollout that keeps to the format, else 0; see `format_ok`."""
    return 1.0 if format_ok(text) else 0.0


def as_batched(term: RewardTerm) -> Callable[..., Any]:
    """The term with TRL's signature and its own name: lists in, unweighted values out.

    A function of one rollout finds in the columns `vasari_prompt`, `verdict` and `truncated` what it takes of them.
    """
    if term.is_batched:
        return _renamed(term.function, term.name)

    def batched(*, completions: Sequence[Any], completion_ids: Sequence[Any], **columns: Any) -> list[float | None]:
        taken = _taken(term.function)
        seen: dict[str, Sequence[Any]] = {
            "text": [text_of(completion) for completion in completions],
            "token_ids": completion_ids,
            "prompt": columns.get("vasari_prompt", [None] * len(completions)),
            "verdict": columns.get("verdict", [None] * len(completions)),
            "truncated": columns.get("truncated", [False] * len(completions)),
        }
        return [
            _number(term.function(**{name: seen[name][row] for name in taken}), term, seen["prompt"][row])
            for row in range(len(completions))
        ]

    batched.__name__ = term.name
    return batched


def combine(
    terms: Sequence[RewardTerm],
    values: Mapping[str, Sequence[float | None]],
    verdicts: Sequence[Verdict] | None,
    prompts: Sequence[Prompt] | None = None,
) -> list[Reward]:
    """The rewards of rollouts from the unweighted values of each term.

    Args:
        terms: With their weights.
        values: [rollouts] by the terms' names. None of a function of one rollout, or of all functions, takes the rollout out
            of its group's baseline; None of a function with TRL's signature leaves the term out.
        verdicts: [rollouts]; an unverifiable one takes its rollout out, whatever the terms say. None: not known.
        prompts: [rollouts] for messages.

    Raises:
        ConfigError: A term has another number of values, or one that is not a finite number.
    """
    lengths = {term.name: len(values[term.name]) for term in terms}
    num = len(verdicts) if verdicts is not None else max(lengths.values())
    for name, length in lengths.items():
        if length != num:
            raise ConfigError(f"reward {name!r} gave {length} values for {num} rollouts; it must give one for each")
    rewards = []
    for row in range(num):
        prompt = None if prompts is None else prompts[row]
        found = {term.name: _number(values[term.name][row], term, prompt) for term in terms}
        parts = {term.name: math.nan if (value := found[term.name]) is None else term.weight * value for term in terms}
        known = [part for part in parts.values() if not math.isnan(part)]
        out = not known or any(found[term.name] is None and not term.is_batched for term in terms)
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
    """The rewards of rollouts, outside TRL; functions with its signature get what it would give them.

    Args:
        terms: What the rewards are made of.
        prompts: [rollouts] the prompt of each.
        texts: [rollouts]
        token_ids: [rollouts] the tokens of each, up to and including the end token.
        verdicts: [rollouts]
        truncated: [rollouts] whether the token limit ended it.
        columns: Further columns for functions with TRL's signature, [rollouts] each.
    """
    given: dict[str, Any] = {
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
        **{name: list(values) for name, values in (columns or {}).items()},
    }
    values = {}
    for term in terms:
        found = as_batched(term)(**given)
        values[term.name] = asyncio.run(found) if inspect.iscoroutine(found) else found
    return combine(terms, values, verdicts, prompts)


def text_of(completion: Any) -> str:
    """The text of a completion as TRL gives it: a string, or messages of which the last one counts."""
    if isinstance(completion, str):
        return completion
    content = completion[-1].get("content") or ""
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def format_ok(text: str) -> bool:
    r"""Whether a rollout keeps to the format `<think>...</think><answer>...\boxed{...}...</answer>`.

    Each tag stands exactly once and in this order, with nothing but whitespace outside; the reasoning is not empty, and
    the answer has one `\boxed` whose brace is closed (arXiv:2509.21268, appendices C and D): "put your answer in one
    \boxed{}", so two boxes side by side are not the format. Takes linear time.
    """
    if any(text.count(tag) != 1 for tag in _TAGS):
        return False
    before, _, rest = text.partition("<think>")
    reasoning, closes_reasoning, rest = rest.partition("</think>")
    between, opens_answer, rest = rest.partition("<answer>")
    answer, closes_answer, after = rest.partition("</answer>")
    ordered = bool(closes_reasoning and opens_answer and closes_answer)
    outside = before.strip() + between.strip() + after.strip()
    return ordered and not outside and bool(reasoning.strip()) and _num_closed_boxes(answer) == 1


def _num_closed_boxes(text: str) -> int:
    """Closed boxes that stand side by side; a box inside a closed box counts with it."""
    boxed: list[int | None] = []  # One entry an open brace: the closed boxes before it, None for a brace without \\boxed.
    closed = 0
    for match in _BRACE.finditer(text):
        mark = match.group()
        if mark == "}":
            before = boxed.pop() if boxed else None
            closed = closed if before is None else before + 1
        elif mark.endswith("{") and mark != r"\{":
            boxed.append(None if mark == "{" else closed)
    return closed


def _taken(function: Callable[..., Any]) -> tuple[str, ...]:
    parameters = inspect.signature(function).parameters
    takes_all = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values())
    return SEEN if takes_all else tuple(name for name in SEEN if name in parameters)


def _number(value: Any, term: RewardTerm, prompt: Prompt | None) -> float | None:
    if value is None:
        return None
    where = "" if prompt is None else f" for prompt {prompt.id!r}"
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"reward {term.name!r} gave {value!r}{where}; it must give a number or None") from error
    if math.isnan(number) and term.is_batched:
        return None
    if not math.isfinite(number):
        raise ConfigError(f"reward {term.name!r} gave {number}{where}; it must give a finite number or None")
    return number


def _renamed(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """The function under another name; what must be awaited still must be."""
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None)):  # noqa: B004

        async def awaited(**columns: Any) -> Any:
            return await function(**columns)

        awaited.__name__ = name
        return awaited

    def called(**columns: Any) -> Any:
        return function(**columns)

    called.__name__ = name
    return called
