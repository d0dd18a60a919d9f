"""Groups of slime's samples as groups of scored rollouts, with which samplers learn."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, get_args

import numpy as np

from vasari.core.errors import DataError
from vasari.core.records import AnswerKind, ImageRef, Outcome, Prompt, Rollout, Verdict
from vasari.score.reward import Reward
from vasari.train.groups import ScoredGroup, ScoredRollout
from vasari.train.trainer_arguments import numbered_digests
from vasari.train.verdicts import verdict_by_reward

INDEX = "vasari_prompt_index"
"""Key of a sample's metadata: position of its prompt in the pool."""
ROLE = "vasari_role"
"""Key of a sample's metadata: why its prompt was drawn."""
VERDICT = "vasari_verdict"
"""Key of a sample's metadata: what our verifier said of it."""

_IDS = ("id", "prompt_id")


def prompts_of(samples: Sequence[Any]) -> list[Prompt]:
    """Return the prompts of a pool of samples, with ids that are unique and stable between runs.

    Their ids are `id` or `prompt_id` of the metadata where it is unique, else digests of prompt and
    label, numbered where several are the same.

    Raises:
        DataError: A prompt's metadata are not what they must be.
    """
    for place, sample in enumerate(samples):
        if not isinstance(sample.metadata or {}, Mapping):
            raise DataError(
                f"--prompt-data: prompt {place} (of those not too long): its metadata must be"
                f" an object, got {type(sample.metadata).__name__}; name another --metadata-key"
            )
    metadata = [sample.metadata or {} for sample in samples]
    ids = next(
        (
            own
            for key in _IDS
            if len(set(own := [str(entry.get(key, "")) for entry in metadata])) == len(own)
        ),
        None,
    )
    return [
        prompt_of(sample, own)
        for sample, own in zip(samples, ids or _digests(samples), strict=True)
    ]


def prompt_of(sample: Any, own_id: str = "") -> Prompt:
    """Return a sample's prompt: text, label, and what its metadata says of the answer.

    `question`, `kind`, `choices`, `category` and `difficulty` are read from the metadata, as
    vasari's export for slime writes them.

    Raises:
        DataError: `kind` or `choices` is not what it must be.
    """
    known = sample.metadata if isinstance(sample.metadata, Mapping) else {}
    kind, choices = known.get("kind") or None, known.get("choices") or None
    where = f"prompt {own_id or known.get('id', '')!r}: metadata"
    if kind is not None and kind not in get_args(AnswerKind):
        raise DataError(
            f"{where}: kind must be one of {', '.join(get_args(AnswerKind))}, got {kind!r}"
        )
    if choices is not None and not isinstance(choices, list | tuple):
        raise DataError(f"{where}: choices must be a list of options, got {choices!r}")
    images = (sample.multimodal_inputs or {}).get("images") or ()
    return Prompt(
        id=own_id or str(known.get("id", "")),
        question=str(known.get("question") or _text(sample.prompt)),
        answer="" if sample.label is None else str(sample.label),
        images=tuple(ImageRef(path=str(place)) for place in range(len(images))),
        choices=tuple(map(str, choices)) if choices else None,
        kind=kind,
        category=str(known.get("category") or ""),
        difficulty=str(known.get("difficulty") or ""),
    )


def index_of(group: Sequence[Any]) -> int:
    """Return the position in the pool of a group's prompt.

    Raises:
        DataError: The group did not come from our data source, or is empty.
    """
    if not group or not group[0]:
        raise DataError("a group of slime has no sample: leave out groups of which nothing is left")
    sample = _parts(group[0])[0]
    index = (sample.metadata or {}).get(INDEX)
    if not isinstance(index, int):
        raise DataError(
            f"a group of slime (group_index {sample.group_index}) has no {INDEX!r} in its metadata:"
            " a function of yours made or changed it; keep the metadata of the data source"
        )
    return index


def number_of(group: Sequence[Any]) -> int:
    """Return the number under which slime knows a group."""
    return int(_parts(group[0])[0].group_index)


def scored_group(group: Sequence[Any], args: Any, *, purpose: Any = "train") -> ScoredGroup:
    """Return a finished group of slime with rewards and verdicts.

    A rollout is a sample, or the list of samples that one execution was cut into: their tokens and
    texts are joined and their rewards added.

    Raises:
        DataError: The group did not come from our data source.
    """
    index = index_of(group)
    metadata = _parts(group[0])[0].metadata
    return ScoredGroup(
        rollouts=[_scored(_parts(entry), index, args) for entry in group],
        role=str(metadata.get(ROLE, "")),
        purpose=purpose,
    )


def rollout_of(sample: Any, opened: str = "") -> Rollout:
    """Return a sample's rollout, with `opened` in front of its text."""
    num_tokens = int(sample.response_length or 0)
    tokens = np.asarray(sample.tokens[len(sample.tokens) - num_tokens :], dtype=np.int32)
    log_probs = sample.rollout_log_probs
    return Rollout(
        text=opened + (sample.response or ""),
        token_ids=tokens,
        confidence=float(min(log_probs)) if log_probs else None,
        truncated=sample.status.value == "truncated",
    )


def remember(sample: Any, verdict: Verdict) -> None:
    """Write a verdict into a sample's metadata, from which the sampler will read it."""
    sample.metadata = {
        **(sample.metadata or {}),
        VERDICT: {
            "outcome": verdict.outcome.value,
            "extraction": verdict.extraction,
            "decided_by": verdict.decided_by,
            "reason": verdict.reason,
        },
    }


def is_unverifiable(sample: Any) -> bool:
    """Whether a sample leaves the baseline of its group."""
    said = (sample.metadata or {}).get(VERDICT)
    return said is not None and said["outcome"] == Outcome.UNVERIFIABLE.value


def _scored(parts: Sequence[Any], index: int, args: Any) -> ScoredRollout:
    rewards = [_reward(part, args) for part in parts]
    total = math.nan if any(map(math.isnan, rewards)) else sum(rewards)
    verdict = _verdict(parts, total)
    if verdict.outcome is Outcome.UNVERIFIABLE:
        total = math.nan
    rollouts = [rollout_of(part) for part in parts]
    known = [rollout.confidence for rollout in rollouts if rollout.confidence is not None]
    return ScoredRollout(
        index=index,
        text="".join(rollout.text for rollout in rollouts),
        token_ids=np.concatenate([rollout.token_ids for rollout in rollouts]),
        confidence=min(known) if len(known) == len(rollouts) else None,
        truncated=rollouts[-1].truncated,
        verdict=verdict,
        reward=Reward(total, {"reward": total}),
    )


def _reward(sample: Any, args: Any) -> float:
    """The reward of a sample; nan where slime has none, as of an aborted one."""
    value = sample.reward
    if isinstance(value, Mapping):
        value = value.get(args.reward_key)
    return math.nan if value is None else float(value)


def _verdict(parts: Sequence[Any], total: float) -> Verdict:
    """What our verifier said of the last part; else what the reward says."""
    said = (parts[-1].metadata or {}).get(VERDICT)
    if said is not None:
        return Verdict(Outcome(said["outcome"]), **{k: said[k] for k in said if k != "outcome"})
    return verdict_by_reward(total, missing=f"no reward: {parts[-1].status.value}")


def _parts(entry: Any) -> Sequence[Any]:
    return entry if isinstance(entry, list) else [entry]


def _digests(samples: Sequence[Any]) -> list[str]:
    return numbered_digests(
        json.dumps([_text(sample.prompt), sample.label], default=str) for sample in samples
    )


def _text(prompt: Any) -> str:
    """A prompt's text, without pictures."""
    if isinstance(prompt, str):
        return prompt
    parts: list[str] = []
    for message in prompt or ():
        content = message.get("content")
        if isinstance(content, str):
            parts.append(content)
        else:
            parts += [str(part["text"]) for part in content or () if part.get("text")]
    return "\n".join(parts)
