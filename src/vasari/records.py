"""Public names of the shared records: prompts, rollouts, groups, draws and verdicts."""

from vasari.core.records import (
    PURPOSES,
    Admission,
    AnswerKind,
    Draw,
    GroupOutcome,
    ImageRef,
    Outcome,
    Prompt,
    PromptIndices,
    Purpose,
    Role,
    Rollout,
    Verdict,
    pool_fingerprint,
    prompt_digests,
)

__all__ = [
    "PURPOSES",
    "Admission",
    "AnswerKind",
    "Draw",
    "GroupOutcome",
    "ImageRef",
    "Outcome",
    "Prompt",
    "PromptIndices",
    "Purpose",
    "Role",
    "Rollout",
    "Verdict",
    "pool_fingerprint",
    "prompt_digests",
]
