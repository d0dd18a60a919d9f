"""An engine that draws tokens with a model of transformers in this process."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from typing import Any

import torch

from vasari.model.base import Decoding
from vasari.model.encoded_prompts import EncodedPrompt, padded_inputs
from vasari.model.families import without_adapters
from vasari.model.sampling import nothing_added_by, sampling
from vasari.model.shared_prefill import generate_shared
from vasari.model.token_engine import Drawn


class TransformersTokens:
    """Engine that draws tokens with a transformers model; a prompt's rollouts share its reading.

    The same seed and number of rollouts at once repeat the rollouts. The global random state is
    left as it was found.

    Args:
        model: Vision-language or text-only, also with adapters.
        processor: From `load_processor`.
    """

    def __init__(self, model: Any, processor: Any) -> None:
        self.model = model
        self._processor = processor

    def draw(
        self,
        prompts: Iterable[EncodedPrompt],
        decoding: Decoding,
        *,
        seed: int,
        answered: Callable[[int], None],
    ) -> list[list[Drawn]]:
        """Return `decoding.num_rollouts` rollouts for each prompt, in the order of the prompts."""
        groups: list[list[Drawn]] = []
        cuda = [self.model.device] if self.model.device.type == "cuda" else []
        with evaluating(self.model), torch.random.fork_rng(devices=cuda):
            torch.manual_seed(seed)
            size = max(1, decoding.batch_rollouts // decoding.num_rollouts)
            for chunk in _chunks(prompts, size):
                parts = [self._draw_at_once(chunk, part) for part in _parts(decoding)]
                groups += [list(chain.from_iterable(own)) for own in zip(*parts, strict=True)]
                answered(len(groups))
        return groups

    def _draw_at_once(
        self, prompts: Sequence[EncodedPrompt], decoding: Decoding
    ) -> list[list[Drawn]]:
        drawn = sampling(self.model, self._processor, decoding)
        size = decoding.num_rollouts
        sources = [place for place in range(len(prompts)) for _ in range(size)]
        with nothing_added_by(self.model):
            rows = draw_rows(self.model, prompts, sources, drawn)
        return [rows[start : start + size] for start in range(0, len(rows), size)]


@contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """Context manager in which a model leaves nothing out by chance (dropout)."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


def draw_rows(
    model: Any,
    prompts: Sequence[EncodedPrompt],
    sources: Sequence[int],
    settings: Any,
    *,
    log_probs_at: float | None = None,
    pad_to_multiple_of: int | None = None,
    prepare: Callable[[Any], Any] | None = None,
) -> list[Drawn]:
    """Return a rollout for each row, which continues the prompt at its place in `sources`.

    Args:
        model: As `generate` is called on, within `nothing_added_by`.
        prompts: Each different.
        sources: [rows] places among the prompts.
        settings: transformers' settings of generation; `is_shareable`.
        log_probs_at: Keep the log-probabilities of what is drawn, at this temperature.
        pad_to_multiple_of: Prompts are padded to a multiple of so many tokens.
        prepare: Moves what the model reads to where it is; None: to the model's device.
    """
    read: Any = padded_inputs(
        prompts,
        without_adapters(model),
        pad_token_id=settings.pad_token_id,
        pad_to_multiple_of=pad_to_multiple_of,
    )
    if prepare is None:
        read = {name: value.to(model.device) for name, value in read.items()}
    else:
        read = prepare(read)
    with torch.no_grad():
        written = generate_shared(
            model, read, torch.tensor(sources), settings, log_probs_at=log_probs_at
        )
    ends = settings.eos_token_id
    ends = {ends} if isinstance(ends, int) else set(ends or ())
    tokens = written.sequences[:, read["input_ids"].size(1) :].tolist()
    kept = [None] * len(tokens) if written.log_probs is None else written.log_probs.tolist()
    return [_up_to_end(*row, ends) for row in zip(tokens, kept, strict=True)]


def _up_to_end(tokens: list[int], log_probs: list[float] | None, ends: Collection[int]) -> Drawn:
    """The tokens up to the first that ends a rollout, that one included."""
    last = next((place for place, token in enumerate(tokens) if token in ends), None)
    end = len(tokens) if last is None else last + 1
    kept = None if log_probs is None else log_probs[:end]
    return Drawn(tokens[:end], ended=last is not None, log_probs=kept)


def _parts(decoding: Decoding) -> Iterator[Decoding]:
    """A prompt's rollouts in parts that are generated at once, where they are more than a batch."""
    for start in range(0, decoding.num_rollouts, decoding.batch_rollouts):
        size = min(decoding.batch_rollouts, decoding.num_rollouts - start)
        yield decoding.model_copy(update={"num_rollouts": size})


def _chunks(prompts: Iterable[EncodedPrompt], size: int) -> Iterator[list[EncodedPrompt]]:
    waiting = iter(prompts)
    while chunk := list(islice(waiting, size)):
        yield chunk
