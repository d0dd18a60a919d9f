"""The records that cross folders, under a name that stays: prompts, rollouts, groups, draws,
verdicts.
"""

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
