"""The one distribution that rollouts are drawn from: in training, refresh, validation, evaluation.

A model's generation_config.json recommends penalties and cut-offs for chatting. With them, a
rollout would come from another distribution than the one whose log-probabilities are trained.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from transformers import GenerationConfig

from vasari.core.errors import ConfigError
from vasari.model.base import Decoding
from vasari.model.families import family_of, without_adapters
from vasari.model.prompt_checks import image_tokens
from vasari.model.template import end_of_turn, tokenizer_of


def sampling(model: Any, processor: Any, decoding: Decoding) -> GenerationConfig:
    """Return transformers' settings for drawing a rollout from softmax(logits / temperature).

    Only `top_p` restricts it, and tokens that stand for images are never drawn. Made outside of
    `nothing_added_by(model)`, as it asks the model for its ends, and generated with inside.
    """
    drawn = decoding.temperature > 0
    tokenizer = tokenizer_of(processor)
    return GenerationConfig(
        do_sample=drawn,
        temperature=decoding.temperature if drawn else None,
        top_p=decoding.top_p if drawn else None,
        top_k=0 if drawn else None,
        max_new_tokens=decoding.max_tokens,
        suppress_tokens=never_sampled_ids(model, tokenizer) or None,
        eos_token_id=end_ids(model, processor),
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        disable_compile=True,
    )


@contextlib.contextmanager
def nothing_added_by(model: Any) -> Iterator[None]:
    """Context manager in which generation takes nothing from the model but its weights.

    transformers fills settings that are not given from the model's generation_config.json; and
    positions left over from a batch with images would shift those of a batch without.
    """
    base = without_adapters(model)
    if hasattr(getattr(base, "model", None), "rope_deltas"):
        base.model.rope_deltas = None
    recommended, base.generation_config = base.generation_config, GenerationConfig()
    try:
        yield
    finally:
        base.generation_config = recommended


def never_sampled_ids(model: Any, tokenizer: Any) -> list[int]:
    """Return the ids of tokens that stand for images or videos: no image would be behind them."""
    config = without_adapters(model).config
    try:
        family = family_of(config)
    except ConfigError:  # a trainer's user may train a family that we do not know
        own = getattr(config, "image_token_id", None)
        return [] if own is None else [own]
    named = [getattr(config, name, None) for name in family.never_sampled]
    marked = image_tokens(tokenizer, family).values()
    return sorted({index for index in (*named, *marked) if isinstance(index, int)})


def end_ids(model: Any, processor: Any) -> list[int]:
    """Return the ids of the tokens that end a rollout, the tokenizer's own first.

    These are the tokenizer's end-of-sequence token, those of the model's generation_config.json,
    and what the chat template writes after an answer.
    """
    ends = without_adapters(model).generation_config.eos_token_id
    known = [ends] if isinstance(ends, int) else list(ends or [])
    own = tokenizer_of(processor).eos_token_id
    every = (own, *known, end_of_turn(processor))
    return list(dict.fromkeys(index for index in every if index is not None))


def sampling_facts(settings: GenerationConfig) -> dict[str, Any]:
    """Return what a run writes down about its sampling, as JSON values."""
    return {
        "distribution": "softmax(logits / temperature), the smallest set of tokens with mass top_p",
        "temperature": settings.temperature or 0.0,
        "top_p": 1.0 if settings.top_p is None else settings.top_p,
        "max_tokens": settings.max_new_tokens,
        "never_sampled": settings.suppress_tokens or [],
        "ends": settings.eos_token_id,
    }
