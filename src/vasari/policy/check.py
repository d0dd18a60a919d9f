"""A checker that every policy must pass, ours or a user's."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from vasari.policy.base import Decoding, Policy
from vasari.records import ImageRef, Prompt, Rollout


def check_policy(policy: Policy, *, max_tokens: int = 32) -> None:
    """Return if a policy keeps the contract of `Policy`; say what is broken if not.

    It answers seven small prompts a few times: without an image, with one, with two, and as blind controls.

    Args:
        policy: The policy.
        max_tokens: Longest rollout that is asked for.

    Raises:
        AssertionError: A part of the contract is broken; the message says which.
    """
    prompts = _prompts()
    for images in ("shown", "blank", "removed"):
        decoding = Decoding(num_rollouts=3, max_tokens=max_tokens, images=images, batch_rollouts=4)
        groups = policy.generate(prompts, decoding, seed=1)
        _require(len(groups) == len(prompts), f"{len(groups)} groups for {len(prompts)} prompts")
        for prompt, group in zip(prompts, groups, strict=True):
            _require(len(group) == 3, f"prompt {prompt.id!r}: {len(group)} rollouts, 3 were asked for")
            for rollout in group:
                _check_rollout(rollout, prompt, max_tokens)
    decoding = Decoding(num_rollouts=2, max_tokens=max_tokens, batch_rollouts=4)
    once, again = (_seen(policy.generate(prompts, decoding, seed=5)) for _ in range(2))
    _require(once == again, "the same seed and prompts gave other rollouts")
    _require(not policy.generate([], decoding, seed=5), "no prompts must give no groups")
    alone = policy.generate(prompts[:1], Decoding(num_rollouts=1, temperature=0.0, max_tokens=max_tokens), seed=5)
    _require(len(alone) == 1 and len(alone[0]) == 1, "one prompt at temperature 0 must give one group of one rollout")
    told: list[tuple[int, int]] = []
    policy.generate(prompts, decoding, seed=5, tell=lambda done, total, note="": told.append((done, total)))  # noqa: ARG005
    _require(all(0 <= done <= total for done, total in told), f"progress was told as {told}")


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise AssertionError(message)


def _check_rollout(rollout: Rollout, prompt: Prompt, max_tokens: int) -> None:
    where = f"prompt {prompt.id!r}"
    _require(isinstance(rollout, Rollout), f"{where}: a rollout is a vasari.records.Rollout, got {type(rollout).__name__}")
    _require(isinstance(rollout.text, str), f"{where}: the text of a rollout is a string")
    ids = rollout.token_ids
    _require(
        isinstance(ids, np.ndarray) and ids.dtype == np.int32 and ids.ndim == 1, f"{where}: token_ids must be int32 [tokens]"
    )
    _require(len(ids) <= max_tokens, f"{where}: {len(ids)} tokens, at most {max_tokens} were asked for")
    _require(rollout.truncated or len(ids) > 0, f"{where}: a rollout that ended by itself has at least its end token")
    confidence = rollout.confidence
    _require(confidence is None or (np.isfinite(confidence) and confidence <= 0), f"{where}: confidence is a log-probability")


def _seen(groups: list[list[Rollout]]) -> list[list[tuple[str, list[int], bool]]]:
    return [[(rollout.text, rollout.token_ids.tolist(), rollout.truncated) for rollout in group] for group in groups]


def _prompts() -> list[Prompt]:
    def picture(colour: str) -> ImageRef:
        data = io.BytesIO()
        Image.new("RGB", (56, 56), colour).save(data, "PNG")
        return ImageRef(data=data.getvalue())

    images: tuple[tuple[ImageRef, ...], ...] = ((), (picture("red"),), (picture("red"), picture("blue")))
    return [
        Prompt(
            id=f"check-{place}",
            question=f"What is {place} + 1?" if place % 2 else "Which colour is it?",
            answer=str(place + 1) if place % 2 else "A",
            choices=None if place % 2 else ("red", "blue"),
            kind="number" if place % 2 else "choice",
            images=images[place % 3],
        )
        for place in range(7)
    ]
