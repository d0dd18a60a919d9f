"""Built-in reward terms; each is a function of one rollout, called by keyword."""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from vasari.core.bounds import NotNegative, PositiveCount, check_fields
from vasari.core.errors import ConfigError
from vasari.core.records import Outcome, Verdict

_TAGS = ("<think>", "</think>", "<answer>", "</answer>")
_BRACE = re.compile(r"\\boxed[ \t]*\{|\\.|[{}]", re.DOTALL)


def accuracy(*, verdict: Verdict) -> float | None:
    """Return 1 for a correct rollout, 0 for an incorrect one, None for an unverifiable one."""
    return None if math.isnan(verdict.value) else verdict.value


def format_reward(*, text: str) -> float:
    """Return 1 for a rollout in the think/answer format that `format_ok` checks, else 0."""
    return 1.0 if format_ok(text) else 0.0


def format_ok(text: str) -> bool:
    r"""Whether a rollout has the form `<think>...</think><answer>...\boxed{...}...</answer>`.

    Each tag stands exactly once and in this order, with nothing but whitespace outside; the
    reasoning is not empty, and the answer has one `\boxed` whose brace is closed (arXiv:2509.21268,
    appendices C and D): "put your answer in one \boxed{}", so two boxes side by side are not the
    format. Takes linear time.
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
    # One entry an open brace: the closed boxes before it, None for a brace without \boxed.
    boxed: list[int | None] = []
    closed = 0
    for match in _BRACE.finditer(text):
        mark = match.group()
        if mark == "}":
            before = boxed.pop() if boxed else None
            closed = closed if before is None else before + 1
        elif mark.endswith("{") and mark != r"\{":
            boxed.append(None if mark == "{" else closed)
    return closed


@dataclass(frozen=True, slots=True, kw_only=True)
class CosineLength:
    """Reward term that follows a half cosine of a rollout's length (arXiv:2502.03373, equation 1).

    `end + (start - end) * (1 + cos(pi * n / max_tokens)) / 2` for n tokens: `start` at 0 tokens,
    `end` at `max_tokens`, and `exceeded` from there on. By default a right answer gains most when
    it is short and a wrong one loses least when it is long.
    """

    max_tokens: PositiveCount
    """Tokens at which a rollout is cut off."""
    correct_start: float = 0.5
    correct_end: float = 0.0
    wrong_start: float = -0.5
    wrong_end: float = 0.0
    exceeded: float = -0.5
    """Value for a rollout of `max_tokens` tokens or more, right or wrong."""

    def __post_init__(self) -> None:
        check_fields(self, of="cosine_length")

    def __call__(self, *, token_ids: Sequence[Hashable], verdict: Verdict) -> float:
        """Return the term's value for a rollout; an unverifiable rollout counts as wrong."""
        num_tokens = len(token_ids)
        if num_tokens >= self.max_tokens:
            return self.exceeded
        start, end = self.wrong_start, self.wrong_end
        if verdict.outcome is Outcome.CORRECT:
            start, end = self.correct_start, self.correct_end
        return end + 0.5 * (start - end) * (1.0 + math.cos(math.pi * num_tokens / self.max_tokens))


@dataclass(frozen=True, slots=True, kw_only=True)
class RepetitionPenalty:
    """Reward term: a penalty, `worst` times the share of n-grams that repeat in the rollout.

    The n-gram penalty of arXiv:2502.03373, normalised. Takes linear time.
    """

    ngram: PositiveCount = 20
    """Number of tokens in an n-gram."""
    worst: NotNegative = 1.0
    """Penalty of a rollout that only repeats itself."""

    def __post_init__(self) -> None:
        check_fields(self, of="repetition")

    def __call__(self, *, token_ids: Sequence[Hashable]) -> float:
        """Return the penalty of a rollout, in [-worst, 0]; 0 if it is shorter than an n-gram."""
        total = len(token_ids) - self.ngram + 1
        if total < 1:
            return 0.0
        different = len({tuple(token_ids[start : start + self.ngram]) for start in range(total)})
        return self.worst * (different / total - 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class SoftOverlong:
    """Reward term: a penalty for rollouts near the token limit (DAPO, arXiv:2503.14476, eq. 13).

    0 up to `max_tokens - cache_tokens`, then it falls in a line to -1 at `max_tokens`, and stays
    there.
    """

    max_tokens: PositiveCount
    """Tokens at which a rollout is cut off."""
    cache_tokens: PositiveCount | None = None
    """Tokens before `max_tokens` over which the penalty grows; None: a fifth of `max_tokens`, as in
    the paper."""

    def __post_init__(self) -> None:
        check_fields(self, of="soft_overlong")
        if self.cache > self.max_tokens:
            raise ConfigError(
                f"soft_overlong: cache_tokens must be between 1 and max_tokens ({self.max_tokens}),"
                f" got {self.cache_tokens}"
            )

    @property
    def cache(self) -> int:
        """Number of tokens, before `max_tokens`, over which the penalty grows from 0 to 1."""
        return max(1, self.max_tokens // 5) if self.cache_tokens is None else self.cache_tokens

    def __call__(self, *, token_ids: Sequence[Hashable]) -> float:
        """Return the penalty of a rollout, in [-1, 0]."""
        free = self.max_tokens - self.cache
        return max(-1.0, min(0.0, (free - len(token_ids)) / self.cache))
