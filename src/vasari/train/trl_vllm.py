"""Rollouts that do not train, from the vLLM of a training: for the sampler, and for validation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

import numpy as np

from vasari.model.base import Decoding, Policy
from vasari.model.encoded_prompts import EncodedPrompt
from vasari.model.families import family_of, without_adapters
from vasari.model.model_policy import ModelPolicy
from vasari.model.token_engine import Drawn
from vasari.model.transformers_policy import TransformersPolicy
from vasari.train.whole_model import whole_model

_PROMPTS_AT_ONCE = 128
"""Prompts that one process hands over at once: vLLM queues them itself, and their images are in
memory until all have their rollouts."""


@contextmanager
def rollout_policy(trainer: Any, *, system: str) -> Iterator[Policy]:
    """Context manager that gives a policy with a training's present weights, in every process.

    It is the training's vLLM if it has one, whose prompts all processes have to hand over together
    and equally many (`even_share`); else the whole model by transformers.
    """
    processor = trainer.processing_class
    if trainer.use_vllm:
        model = without_adapters(trainer.accelerator.unwrap_model(trainer.model))
        engine = VllmTokens(trainer)
        yield ModelPolicy(engine, processor, family_of(model.config), system=system)
        return
    with whole_model(trainer) as model:
        yield TransformersPolicy(model, processor, system=system)


def even_share(trainer: Any, num_prompts: int) -> list[int]:
    """Return the places of those prompts that this process rolls out, of a list of `num_prompts`.

    With vLLM all processes have equally many, so that a prompt at the beginning may come twice:
    what comes a second time is to be dropped.
    """
    rank, world = trainer.accelerator.process_index, trainer.accelerator.num_processes
    places = np.arange(num_prompts)
    if trainer.use_vllm and num_prompts:
        places = np.resize(places, -(-num_prompts // world) * world)
    return [int(place) for place in places[rank::world]]


class VllmTokens:
    """Engine that draws tokens with the vLLM of a TRL trainer, through TRL's `VLLMGeneration`.

    TRL wakes and puts to sleep, gathers over processes, and pushes the weights, which happens here
    as well where the trainer has made a step since.

    There is no seed: in one call TRL gives vLLM one for all prompts. With it, a colocated engine
    would draw the same rollout for all of a group, and a server would spend the same random numbers
    on every prompt. vLLM draws from a stream of its own, which training and these rollouts share.

    Args:
        trainer: Made, with `use_vllm`; every process draws from it, for equally many prompts.
    """

    def __init__(self, trainer: Any) -> None:
        self._trainer = trainer

    def draw(
        self,
        prompts: Iterable[EncodedPrompt],
        decoding: Decoding,
        *,
        seed: int,
        answered: Callable[[int], None],
    ) -> list[list[Drawn]]:
        """Return `decoding.num_rollouts` rollouts for each prompt, in the order of the prompts."""
        self._push_weights()
        groups: list[list[Drawn]] = []
        waiting = iter(prompts)
        with self._decoding(decoding):
            while chunk := list(islice(waiting, _PROMPTS_AT_ONCE)):
                groups += self._draw_at_once(chunk, decoding)
                answered(len(groups))
        return groups

    def _push_weights(self) -> None:
        """Push the weights as TRL does before it generates, if vLLM has those of another step."""
        trainer = self._trainer
        if trainer.state.global_step != trainer._last_loaded_step:
            trainer.vllm_generation.sync_weights()
            trainer._last_loaded_step = trainer.state.global_step

    @contextmanager
    def _decoding(self, decoding: Decoding) -> Iterator[None]:
        """Let vLLM draw as this decoding says; tokens that end and are never drawn stay."""
        generation = self._trainer.vllm_generation
        own = {
            "temperature": decoding.temperature,
            "top_p": decoding.top_p,
            "max_completion_length": decoding.max_tokens,
            "top_k": 0,
            "min_p": 0.0,
            "repetition_penalty": 1.0,
        }
        before = {name: getattr(generation, name) for name in own}
        vars(generation).update(own)
        try:
            yield
        finally:
            vars(generation).update(before)

    def _draw_at_once(
        self, prompts: Sequence[EncodedPrompt], decoding: Decoding
    ) -> list[list[Drawn]]:
        trainer = self._trainer
        # vLLM refuses several greedy rollouts of a prompt, which are one and the same.
        times = decoding.num_rollouts if decoding.temperature > 0 else 1
        trainer.vllm_prompts.know(
            [prompt.messages for prompt in prompts if prompt.images],
            [prompt.ids for prompt in prompts if prompt.images],
            {},
        )
        rows = [prompt for prompt in prompts for _ in range(times)]
        images = [list(prompt.images) or None for prompt in rows]
        _, tokens, *_ = trainer.vllm_generation.generate(
            prompts=[list(prompt.ids) for prompt in rows],
            images=images if any(images) else None,
            num_generations=times,
        )
        drawn = [self._drawn(own) for own in tokens]
        groups = [drawn[start : start + times] for start in range(0, len(drawn), times)]
        return [group * (decoding.num_rollouts // times) for group in groups]

    def _drawn(self, tokens: Sequence[int]) -> Drawn:
        return Drawn(tokens, ended=bool(tokens) and tokens[-1] in self._trainer.eos_token_ids)
