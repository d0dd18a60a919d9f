"""Prompts, rollouts, groups, draws and verdicts: the records that all folders share."""

from __future__ import annotations

import enum
import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vasari.core.errors import DataError

Purpose = Literal["train", "refresh", "screen", "discarded"]
"""Purpose of a rollout: `refresh` re-estimates a pass rate, `screen` is a prompt's first look."""

PURPOSES: tuple[Purpose, ...] = ("train", "refresh", "screen", "discarded")

Role = Literal["promoted", "uniform", "revisit"]
"""Why a prompt is in a batch: by score (promoted), at random (uniform), long unseen (revisit)."""

AnswerKind = Literal["number", "choice", "text", "set", "expression"]
"""How an answer is compared with the reference answer."""

COLUMNS = "columns"
"""Key of a prompt's metadata that holds what its file says in columns of its own, by their names.

Every other key is set by Vasari, so no column of a file can stand for one of them."""

PromptIndices = NDArray[np.int64]
"""Positions of prompts in the pool."""


class Outcome(enum.Enum):
    """Result of checking the answer of one rollout; pass rates leave out unverifiable rollouts."""

    CORRECT = "correct"
    INCORRECT = "incorrect"
    UNVERIFIABLE = "unverifiable"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A verifier's outcome for one rollout, and the name of the rule that decided it."""

    outcome: Outcome
    extraction: str | None = None
    """The answer that was extracted from the rollout; None if it states none."""
    decided_by: str = ""
    """The rule that decided: "exact", "number", "choice", "limit", "no_answer", ..."""
    reason: str = ""
    """Why the rollout is unverifiable."""

    @property
    def value(self) -> float:
        """The verdict as a number: 1.0 correct, 0.0 incorrect, nan unverifiable."""
        return {Outcome.CORRECT: 1.0, Outcome.INCORRECT: 0.0, Outcome.UNVERIFIABLE: math.nan}[
            self.outcome
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRef:
    """An image as encoded bytes or as a path."""

    data: bytes | None = None
    """PNG, JPEG, ... as stored."""
    path: str | None = None
    """Absolute path, or the name the image had in its data set."""

    def __post_init__(self) -> None:
        if self.data is None and self.path is None:
            raise DataError("an image needs its bytes or a path, got neither")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """One question with its images and reference answer."""

    id: str
    """Unique in its pool and stable between runs."""
    question: str
    answer: str
    """The reference answer: a letter for `choice`, else the value as text."""
    images: tuple[ImageRef, ...] = ()
    """None, one or several, in the order in which the question refers to them."""
    choices: tuple[str, ...] | None = None
    """Option texts, A first; None for a free answer."""
    kind: AnswerKind | None = None
    """How the answer is compared; None lets the verifier infer it from the reference."""
    category: str = ""
    """Task family or subject; results are split by it."""
    difficulty: str = ""
    """Level as a label ("1", "2", "3", "hard"); results are split by it."""
    solution: str | None = None
    """Worked reasoning that ends in the answer, for supervised training; without tags."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """JSON-able facts: drawing style, imperfection, source, licence; `COLUMNS` has the file's."""

    @property
    def columns(self) -> Mapping[str, Any]:
        """What the prompt's file says of it in columns of its own, by their names."""
        found = self.metadata.get(COLUMNS)
        return found if isinstance(found, Mapping) else {}

    @property
    def stated(self) -> Mapping[str, Any]:
        """The file's columns and, for names that it lacks, Vasari's own metadata."""
        own = {name: value for name, value in self.metadata.items() if name != COLUMNS}
        return {**own, **self.columns}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """One completion that a policy drew for a prompt."""

    text: str
    token_ids: NDArray[np.int32]
    """[tokens] up to and including the end token; no prompt, no padding."""
    confidence: float | None = None
    """Least token log-probability under the policy that wrote it; None when not computed."""
    truncated: bool = False
    """Whether the token limit ended the rollout."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupOutcome:
    """Rewards and verdicts of one prompt's rollouts, in the form given to prompt samplers."""

    index: int
    """Position of the prompt in the pool."""
    rewards: NDArray[np.float64]
    """[rollouts] what the learner sees; nan for an unverifiable rollout."""
    verdicts: NDArray[np.float64]
    """[rollouts] 1 correct, 0 incorrect, nan unverifiable."""
    token_ids: Sequence[Sequence[int] | NDArray[np.int32]] = ()
    """One sequence a rollout, up to and including the end token, never padded."""
    confidence: NDArray[np.float64] | None = None
    """[rollouts] least token log-probability, or None."""
    answers: Sequence[str | None] = ()
    """Final answer of each rollout as the verifier read it, None where it found none; empty when
    not known."""
    purpose: Purpose = "train"
    batch: int | None = None
    """The batch (one draw of prompts) it was rolled out for, as `PromptSampler.due` counts them;
    None: the batch of the last call of `due`."""

    def __post_init__(self) -> None:
        rewards = np.atleast_1d(np.asarray(self.rewards, dtype=np.float64))
        verdicts = np.atleast_1d(np.asarray(self.verdicts, dtype=np.float64))
        object.__setattr__(self, "rewards", rewards)
        object.__setattr__(self, "verdicts", verdicts)
        if rewards.ndim != 1 or rewards.shape != verdicts.shape or rewards.size == 0:
            raise DataError(
                f"group of prompt {self.index}: rewards {rewards.shape} and verdicts"
                f" {verdicts.shape} must be vectors of one length, at least 1"
            )
        if getattr(self.token_ids, "ndim", 1) > 1:
            raise DataError(
                f"group of prompt {self.index}: token_ids is an array of several dimensions, where"
                " padding cannot be told from tokens; give one unpadded sequence a rollout"
            )
        if len(self.token_ids) and len(self.token_ids) != rewards.size:
            raise DataError(
                f"group of prompt {self.index}: {len(self.token_ids)} token sequences for"
                f" {rewards.size} rollouts"
            )
        if len(self.answers) and len(self.answers) != rewards.size:
            raise DataError(
                f"group of prompt {self.index}: {len(self.answers)} answers for {rewards.size}"
                " rollouts"
            )
        seen = verdicts[~np.isnan(verdicts)]
        if not np.isin(seen, (0.0, 1.0)).all():
            raise DataError(
                f"group of prompt {self.index}: verdicts must be 0, 1 or nan, got {seen.tolist()}"
            )
        if self.purpose not in PURPOSES:
            raise DataError(
                f"group of prompt {self.index}: purpose must be one of {PURPOSES}, got"
                f" {self.purpose!r}"
            )

    @property
    def num_rollouts(self) -> int:
        """Number of rollouts in the group, including unverifiable ones."""
        return int(self.rewards.size)

    @property
    def num_tokens(self) -> int:
        """Number of generated tokens in all rollouts of the group."""
        return sum(len(tokens) for tokens in self.token_ids)


@dataclass(frozen=True, slots=True)
class Draw:
    """Prompts drawn for one batch, and why each was drawn."""

    indices: PromptIndices
    """int64 [prompts], positions in the pool."""
    roles: tuple[Role, ...]
    """Why each prompt was drawn."""

    def __len__(self) -> int:
        return len(self.indices)


@dataclass(frozen=True, slots=True)
class Admission:
    """Which groups of a batch train, and what to roll out more: the decision of a gate (a rule)."""

    admitted: NDArray[np.bool_]
    """[groups] True where the group trains."""
    redraw: int = 0
    """Number of new prompts to draw in place of those of refused groups."""
    more: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    """[groups] how many rollouts to add to each group before the gate decides again; empty: no
    rollouts for any group."""


def prompt_digests(ids: Iterable[str]) -> NDArray[np.uint64]:
    """Return a 64-bit digest of each prompt id, equal on all machines: uint64 [prompts]."""
    raw = b"".join(hashlib.blake2b(i.encode(), digest_size=8).digest() for i in ids)
    return np.frombuffer(raw, dtype="<u8").astype(np.uint64)


def pool_fingerprint(digests: NDArray[np.uint64]) -> str:
    """Return a hex fingerprint of a prompt pool, from the digests of its prompts in pool order."""
    return hashlib.blake2b(digests.astype("<u8").tobytes(), digest_size=16).hexdigest()
