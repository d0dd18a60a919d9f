"""A check that every policy must pass, built in or a user's own."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from PIL import Image

from vasari.core.errors import VasariError
from vasari.core.records import ImageRef, Prompt, Rollout
from vasari.model.base import Decoding, Images, Policy

_NUM_ROLLOUTS = 3
_SHORT = 2
"""Token limit of rollouts that are to be truncated."""


def check_policy(policy: Policy, *, max_tokens: int = 64, counts_tokens: bool = True) -> None:
    """Test a policy on small prompts; raise AssertionError if it breaks a rule of `Policy`.

    It draws about a hundred short rollouts of six prompts, without an image, with one and with two.

    Args:
        policy: The policy.
        max_tokens: Longest rollout that is asked for; long enough that some end by themselves.
        counts_tokens: False for a policy behind a server that sends no token ids, so that their
            number cannot be compared with the limit.

    Raises:
        AssertionError: A part of the contract is broken; the message says which.
    """
    prompts = example_prompts("red", "blue")
    decoding = Decoding(num_rollouts=_NUM_ROLLOUTS, max_tokens=max_tokens, batch_rollouts=4)
    groups = _ask(policy, prompts, decoding, seed=1)
    again = _ask(policy, tuple(prompts), decoding, seed=1)
    _require(_seen(groups) == _seen(again), "the same seed gave other rollouts")
    _require(
        policy.generate([], decoding, seed=1) == [], "no prompts must give no groups, an empty list"
    )
    everything = [rollout for group in groups for rollout in group]
    if counts_tokens:
        longest = max(len(rollout.token_ids) for rollout in everything)
        _require(
            longest <= max_tokens,
            f"a rollout has {longest} tokens; at most {max_tokens} were asked for",
        )
    _check_tokens(everything)
    _check_order(policy, prompts, max_tokens)
    _check_limit(policy, prompts, max_tokens, counts_tokens=counts_tokens)
    for images in ("blank", "removed"):
        _check_blind(policy, decoding, images)
    _check_progress(policy, prompts, decoding)


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise AssertionError(message)


def _ask(
    policy: Policy, prompts: Sequence[Prompt], decoding: Decoding, *, seed: int
) -> list[list[Rollout]]:
    """Generate groups, and check their number, size and rollouts."""
    groups = policy.generate(prompts, decoding, seed=seed)
    _require(
        isinstance(groups, list), f"generate gave a {type(groups).__name__}, not a list of groups"
    )
    _require(len(groups) == len(prompts), f"{len(groups)} groups for {len(prompts)} prompts")
    for prompt, group in zip(prompts, groups, strict=True):
        where = f"prompt {prompt.id!r}"
        num = decoding.num_rollouts
        _require(len(group) == num, f"{where}: {len(group)} rollouts; {num} were asked for")
        for rollout in group:
            _check_rollout(rollout, where)
    return groups


def _check_rollout(rollout: Rollout, where: str) -> None:
    _require(
        isinstance(rollout, Rollout),
        f"{where}: a rollout is a vasari.records.Rollout, got {type(rollout).__name__}",
    )
    _require(
        isinstance(rollout.text, str),
        f"{where}: the text of a rollout is a str, got {type(rollout.text).__name__}",
    )
    _require(
        isinstance(rollout.truncated, bool | np.bool_),
        f"{where}: truncated is a bool, got {rollout.truncated!r}",
    )
    ids = rollout.token_ids
    is_vector = isinstance(ids, np.ndarray) and ids.dtype == np.int32 and ids.ndim == 1
    _require(
        is_vector,
        f"{where}: token_ids must be an int32 array [tokens], got"
        f" {getattr(ids, 'dtype', type(ids).__name__)}",
    )
    _require(
        rollout.truncated or len(ids) > 0,
        f"{where}: a rollout that ended by itself has at least its end token",
    )
    confidence = rollout.confidence
    is_log = confidence is None or (np.isfinite(confidence) and confidence <= 0)
    _require(
        is_log, f"{where}: confidence is a log-probability, at most 0, or None; got {confidence}"
    )


def _seen(groups: Sequence[Sequence[Rollout]]) -> list[list[tuple[str, list[int], bool]]]:
    return [
        [(one.text, one.token_ids.tolist(), bool(one.truncated)) for one in group]
        for group in groups
    ]


def _check_tokens(rollouts: Sequence[Rollout]) -> None:
    """Check that end tokens are only at the end, and that equal tokens have equal texts."""
    ends = {int(one.token_ids[-1]) for one in rollouts if not one.truncated}
    for one in rollouts:
        inside = one.token_ids if one.truncated else one.token_ids[:-1]
        found = ends.intersection(inside.tolist())
        _require(
            not found,
            f"token {min(found, default=0)} ends one rollout and is inside another: token_ids"
            " go up to and including the end token, with no padding behind it, and a truncated"
            " rollout has none",
        )
    text_of: dict[bytes, str] = {}
    for one in rollouts:
        same = text_of.setdefault(one.token_ids.tobytes(), one.text) == one.text
        _require(same, f"rollouts of the same tokens have other texts: {one.text!r}")


def _check_order(policy: Policy, prompts: Sequence[Prompt], max_tokens: int) -> None:
    """Check that groups come in the order of the prompts, whatever other prompts there are."""
    greedy = Decoding(num_rollouts=1, temperature=0.0, max_tokens=max_tokens)
    alone = {prompt.id: _ask(policy, [prompt], greedy, seed=1)[0][0].text for prompt in prompts}
    for order in (list(prompts), list(reversed(prompts))):
        found = [group[0].text for group in _ask(policy, order, greedy, seed=1)]
        # A model's arithmetic may differ a little between batches, and with it a text; another
        # prompt's text is no accident.
        misplaced = [
            prompt.id
            for prompt, text in zip(order, found, strict=True)
            if text != alone[prompt.id] and text in alone.values()
        ]
        _require(
            len(misplaced) < 2,
            f"the groups of {', '.join(misplaced)} are those of other prompts: keep their order",
        )


def _check_limit(
    policy: Policy, prompts: Sequence[Prompt], max_tokens: int, *, counts_tokens: bool
) -> None:
    """Check that a lower limit truncates the same greedy rollout and marks it as truncated."""
    greedy = Decoding(num_rollouts=1, temperature=0.0, max_tokens=max_tokens)
    short = greedy.model_copy(update={"max_tokens": _SHORT})
    whole, cut = (_ask(policy, prompts, decoding, seed=1) for decoding in (greedy, short))
    for prompt, (long,), (brief,) in zip(prompts, whole, cut, strict=True):
        where = f"prompt {prompt.id!r}, cut after {_SHORT} tokens"
        if not counts_tokens:
            _require(
                brief.truncated or brief.text == long.text,
                f"{where}: the text is another one, and truncated is False",
            )
            continue
        _require(len(brief.token_ids) <= _SHORT, f"{where}: {len(brief.token_ids)} tokens")
        was_cut = len(long.token_ids) > _SHORT
        _require(
            bool(brief.truncated) == was_cut,
            f"{where}: truncated is {brief.truncated}, but should be {was_cut}",
        )
        is_start = np.array_equal(brief.token_ids, long.token_ids[:_SHORT])
        _require(
            is_start, f"{where}: greedy tokens are not the first of the rollout that was not cut"
        )


def _check_blind(policy: Policy, decoding: Decoding, images: Images) -> None:
    """Check that a blind control does not depend on the images, or is refused."""
    blind = decoding.model_copy(update={"images": images})
    try:
        one = _ask(policy, example_prompts("red", "blue"), blind, seed=1)
    except VasariError:
        return
    other = _ask(policy, example_prompts("green", "yellow"), blind, seed=1)
    _require(
        _seen(one) == _seen(other),
        f"images: {images} gives other rollouts for other images: take the images away, or raise a"
        " ConfigError",
    )


def _check_progress(policy: Policy, prompts: Sequence[Prompt], decoding: Decoding) -> None:
    told: list[tuple[int, int]] = []
    policy.generate(
        prompts, decoding, seed=1, tell=lambda done, total, _note="": told.append((done, total))
    )
    sound = all(0 <= done <= total for done, total in told) and told == sorted(told)
    _require(sound, f"tell takes the number done, rising, and the total; it was called with {told}")


def example_prompts(first: str, second: str) -> list[Prompt]:
    """Six prompts with none, one and two images of these colours, marked in the question or not."""

    def picture(colour: str, width: int) -> ImageRef:
        data = io.BytesIO()
        Image.new("RGB", (width, 56), colour).save(data, "PNG")
        return ImageRef(data=data.getvalue())

    one, two = picture(first, 56), picture(second, 84)
    plain = Prompt(id="check-plain", question="What is 2 + 3?", answer="5", kind="number")
    return [
        plain,
        # As benchmarks ask: everything in the text, no reference beside it.
        replace(
            plain,
            id="check-asked",
            question="Which?\nA) red\nB) blue\nÄ, 三 or 🙂?",
            answer="",
            kind=None,
        ),
        Prompt(
            id="check-one",
            question="Which colour is it?",
            answer="A",
            choices=("red", "blue"),
            kind="choice",
            images=(one,),
        ),
        Prompt(
            id="check-marked",
            question="Look: <image> How many discs?",
            answer="0",
            kind="number",
            images=(two,),
        ),
        Prompt(
            id="check-two", question="Are both alike?", answer="no", kind="text", images=(one, two)
        ),
        Prompt(
            id="check-two-marked",
            question="Is <image> as wide as <image>?",
            answer="no",
            kind="text",
            images=(two, one),
        ),
    ]
