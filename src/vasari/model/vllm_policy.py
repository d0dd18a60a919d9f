"""A policy that runs a model with vLLM in this process, to evaluate it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from types import SimpleNamespace
from typing import Any

import numpy as np
from transformers import GenerationConfig

from vasari.core.errors import ConfigError, MissingExtraError
from vasari.model.base import Decoding
from vasari.model.config import load_config, one_line
from vasari.model.encoded_prompts import EncodedPrompt
from vasari.model.families import family_of
from vasari.model.hub import require_weights
from vasari.model.model_policy import ModelPolicy
from vasari.model.processor import load_processor
from vasari.model.sampling import end_ids, never_sampled_ids
from vasari.model.template import tokenizer_of
from vasari.model.token_engine import Drawn
from vasari.model.vllm_reading import as_shown, marked_ids, require_same_tokens

_PROMPTS_AT_ONCE = 512
"""Prompts handed over at once: vLLM queues them itself, and their images are in memory until all
have their rollouts."""


class VllmEngine:
    """Engine that draws tokens with `vllm.LLM`.

    Each prompt has a seed of its own, which follows from the seed and its place, so that neither
    the rollouts of a prompt nor those of two prompts share random numbers. The same seed and
    prompts repeat the rollouts as far as vLLM's arithmetic does not depend on what is computed
    beside them.

    Args:
        llm: A `vllm.LLM`.
        processor: From `load_processor`.
        never: Ids of tokens that stand for images.
        ends: Ids of tokens that end a rollout.
    """

    def __init__(
        self, llm: Any, processor: Any, *, never: Sequence[int], ends: Sequence[int]
    ) -> None:
        self._llm = llm
        self._processor = processor
        self._never = never
        self._ends = ends

    def draw(
        self,
        prompts: Iterable[EncodedPrompt],
        decoding: Decoding,
        *,
        seed: int,
        answered: Callable[[int], None],
    ) -> list[list[Drawn]]:
        """Return `decoding.num_rollouts` rollouts for each prompt, in the order of the prompts.

        Raises:
            ConfigError: A prompt and the longest rollout are longer than what vLLM takes.
            StateError: vLLM reads other tokens of a prompt than the model's processor.
        """
        groups: list[list[Drawn]] = []
        waiting = iter(prompts)
        while chunk := list(islice(waiting, _PROMPTS_AT_ONCE)):
            places = range(len(groups), len(groups) + len(chunk))
            groups += self._draw_at_once(chunk, decoding, [(seed, place) for place in places])
            answered(len(groups))
        return groups

    def _draw_at_once(
        self, prompts: Sequence[EncodedPrompt], decoding: Decoding, seeds: Sequence[Sequence[int]]
    ) -> list[list[Drawn]]:
        from vllm import SamplingParams  # type: ignore[import-not-found]  # noqa: PLC0415  (an extra)

        self._check_lengths(prompts, decoding.max_tokens)
        # vLLM refuses several greedy rollouts of a prompt, which are one and the same.
        times = decoding.num_rollouts if decoding.temperature > 0 else 1
        params = [
            SamplingParams(
                n=times,
                temperature=decoding.temperature,
                top_p=decoding.top_p,
                max_tokens=decoding.max_tokens,
                seed=int(np.random.SeedSequence(own).generate_state(1, np.uint64)[0] >> 2),
                stop_token_ids=list(self._ends),
                logit_bias=dict.fromkeys(self._never, -100.0),
                detokenize=False,
            )
            for own in seeds
        ]
        answers = self._llm.generate(
            [self._given(prompt) for prompt in prompts], params, use_tqdm=False
        )
        groups = []
        for prompt, answer in zip(prompts, answers, strict=True):
            require_same_tokens(prompt.ids, answer.prompt_token_ids)
            group = [self._drawn(list(output.token_ids)) for output in answer.outputs]
            groups.append(group * (decoding.num_rollouts // times))
        return groups

    def _check_lengths(self, prompts: Sequence[EncodedPrompt], max_tokens: int) -> None:
        """Raise for what vLLM would refuse, or cut off without a word."""
        most = int(self._llm.llm_engine.model_config.max_model_len)
        longest = max(len(prompt.ids) for prompt in prompts)
        if longest + max_tokens > most:
            raise ConfigError(
                f"a prompt of {longest} tokens and a rollout of up to {max_tokens} are longer than"
                f" the {most} tokens that vLLM takes; raise evaluate.vllm_max_model_length, or"
                " lower model.max_pixels or evaluate.max_tokens"
            )

    def _given(self, prompt: EncodedPrompt) -> dict[str, Any]:
        if not prompt.images:
            return {"prompt_token_ids": list(prompt.ids)}
        return {
            "prompt_token_ids": marked_ids(self._processor, prompt.messages),
            "multi_modal_data": {
                "image": [as_shown(image, self._processor) for image in prompt.images]
            },
        }

    def _drawn(self, tokens: list[int]) -> Drawn:
        return Drawn(tokens, ended=bool(tokens) and tokens[-1] in self._ends)


def load_vllm_policy(
    path: str,
    *,
    system: str,
    max_pixels: int | None = None,
    dtype: str = "auto",
    thinking: bool | None = None,
    gpu_memory_utilization: float = 0.9,
    max_model_length: int | None = None,
) -> ModelPolicy:
    """Make a policy from a model folder or a hub name, which vLLM runs on the GPU.

    Args:
        path: Of a whole model: an adapter has to be merged.
        system: The system prompt; "" for none.
        max_pixels: Most pixels of an image, in the family's own way.
        dtype: In which vLLM computes.
        thinking: Whether the chat template asks for a reasoning.
        gpu_memory_utilization: Share of a GPU's memory that vLLM takes.
        max_model_length: Longest prompt and rollout together; None: the model's own.

    Raises:
        MissingExtraError: vLLM is not installed.
        ConfigError: The family is not supported, or vLLM refuses the model or a setting.
    """
    try:
        from vllm import LLM  # noqa: PLC0415  (an extra)
    except ImportError as error:
        raise MissingExtraError(
            "evaluate.vllm: colocate needs vLLM: pip install 'vasari[vllm]'"
        ) from error
    require_weights(path)
    config = load_config(path)
    family = family_of(config)
    processor = load_processor(path, max_pixels=max_pixels, thinking=thinking)
    try:
        generation = GenerationConfig.from_pretrained(path)
    except OSError:
        generation = GenerationConfig.from_model_config(config)
    described = SimpleNamespace(config=config, generation_config=generation)
    try:
        llm = LLM(
            model=path,
            # vLLM's own "auto" computes in half precision what is saved in float32.
            dtype=_saved_dtype(config) if dtype == "auto" else dtype,
            gpu_memory_utilization=gpu_memory_utilization,
            max_model_len=max_model_length,
        )
    except ValueError as error:
        raise ConfigError(f"evaluate.vllm: vLLM refuses {path}: {one_line(error)}") from error
    engine = VllmEngine(
        llm,
        processor,
        never=never_sampled_ids(described, tokenizer_of(processor)),
        ends=end_ids(described, processor),
    )
    return ModelPolicy(engine, processor, family, system=system)


def _saved_dtype(config: Any) -> str:
    """The type that a model's weights are saved in, as vLLM calls it."""
    found = getattr(config, "dtype", None) or getattr(config.get_text_config(), "dtype", None)
    return str(found).removeprefix("torch.") if found else "auto"
