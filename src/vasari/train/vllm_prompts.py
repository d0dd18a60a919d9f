"""Prompts as vLLM reads them, where TRL would hand over prompts as the trained model reads them.

TRL gives a colocated vLLM prompts that already hold all tokens of their images. vLLM writes these
tokens itself, so that they would stand there twice, and the images at wrong places
(https://github.com/huggingface/trl/issues/6294). And vLLM opens images with the published limit on
their size, not with the run's.
"""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from vasari.core.errors import ConfigError, StateError
from vasari.model.config import one_line
from vasari.model.vllm_reading import as_shown, marked_ids, require_same_tokens

Pictures = list[list[Image.Image] | None]
"""The images of each prompt; None for a prompt without."""


class VllmPrompts:
    """Stands before TRL's `VLLMGeneration.generate` and hands over what vLLM reads.

    Args:
        trainer: A `GRPOTrainer` that generates with vLLM.
    """

    def __init__(self, trainer: Any) -> None:
        self._generation = trainer.vllm_generation
        self._processor = trainer.processing_class
        self._stock = self._generation.generate
        self._marked: dict[tuple[int, ...], list[int]] = {}
        self._generation.generate = self.generate
        self._stock_place = self._generation._place_features
        self._generation._place_features = self._place_features

    def know(
        self, prompts: Sequence[Any], ids: Sequence[Sequence[int]], options: Mapping[str, Any]
    ) -> None:
        """Remember, until prompts are made known again, how these prompts are written.

        Args:
            prompts: Messages with images in them.
            ids: Their tokens, as the trained model reads them.
            options: Of `apply_chat_template`.
        """
        once: dict[tuple[int, ...], list[int]] = {}
        if self._generation.mode != "colocate":
            return
        for messages, own in zip(prompts, ids, strict=True):
            key = tuple(own)
            if key not in once:
                once[key] = marked_ids(self._processor, messages, **options)
        self._marked = once

    def generate(
        self, prompts: Any, images: Any, num_generations: int, profiler: Any = None
    ) -> tuple[Any, ...]:
        """Generate as `VLLMGeneration.generate`, whose arguments and result these are.

        Raises:
            ConfigError: A prompt and the longest rollout are longer than what vLLM takes, or vLLM
                cannot be given the images of this conversation.
            StateError: vLLM read other tokens than the trained model will.
        """
        generation = self._generation
        pictures: Pictures = [
            [as_shown(image, self._processor) for image in own] if own else None
            for own in images or [None] * len(prompts)
        ]
        self._check_lengths(prompts)
        is_colocated = generation.mode == "colocate"
        given = [
            self._unexpanded(ids) if own and is_colocated else ids
            for ids, own in zip(prompts, pictures, strict=True)
        ]
        with server_refusals():
            found: tuple[Any, ...] = self._stock(
                given, pictures if any(pictures) else None, num_generations, profiler
            )
        if is_colocated:
            for ids, read in zip(prompts, found[0], strict=True):
                require_same_tokens(ids, read)
        return (list(prompts), *found[1:])

    def _unexpanded(self, ids: Sequence[int]) -> list[int]:
        """The prompt with one mark an image; of a conversation that goes on, also what follows."""
        own = tuple(ids)
        if own in self._marked:
            return self._marked[own]
        begun = [known for known in self._marked if own[: len(known)] == known]
        if not begun:
            raise ConfigError(
                "a colocated vLLM cannot be given this prompt's images, as nobody knows how it was"
                " written; set vllm_mode: server (grpo.vllm: server)"
            )
        known = max(begun, key=len)
        return [*self._marked[known], *own[len(known) :]]

    def _place_features(self, features: Any, prompt_ids: list[int]) -> Any:
        """Place a server's images as TRL does, and compare how many tokens each has.

        Families whose images are cut into tiles mark more tokens than those of the image, and are
        not compared.
        """
        placed = self._stock_place(features, prompt_ids)
        if placed is None or not hasattr(self._processor.image_processor, "merge_size"):
            return placed
        read, own = (
            [place["length"] for place in told["mm_placeholders"]["image"]]
            for told in (features, placed)
        )
        if read != own:
            raise StateError(
                f"the vLLM server reads the images of a prompt as {read} tokens, and the model as"
                f" {own}: its image processor and transformers' differ for this model; leave"
                " model.max_pixels out, or set grpo.vllm: off"
            )
        return placed

    def _check_lengths(self, prompts: Sequence[Sequence[int]]) -> None:
        most = self._longest
        if most is None or not prompts:
            return
        longest = max(len(ids) for ids in prompts)
        if longest + self._generation.max_completion_length > most:
            raise ConfigError(
                f"a prompt of {longest} tokens and a rollout of up to"
                f" {self._generation.max_completion_length} are longer than the {most} tokens that"
                " vLLM was started with; raise grpo.trl.vllm_max_model_length (of a server:"
                " --max-model-len), or lower model.max_pixels or grpo.trl.max_completion_length"
            )

    @property
    def _longest(self) -> int | None:
        """Tokens that vLLM takes, prompt and rollout together; None in a process that asks none."""
        generation = self._generation
        if generation.mode == "colocate":
            return int(generation.llm.llm_engine.model_config.max_model_len)
        if not generation.accelerator.is_main_process:
            return None
        if not hasattr(self, "_of_server"):
            told = generation.vllm_client.get_server_info().get("model_config") or {}
            self._of_server: int | None = told.get("max_model_len")
        return self._of_server


@contextlib.contextmanager
def server_refusals() -> Iterator[None]:
    """Context manager that names the setting where TRL's client cannot use the vLLM server.

    Raises:
        ConfigError: It is not there, or was started without what TRL needs.
    """
    try:
        yield
    except (RuntimeError, OSError) as error:
        *_, last = traceback.extract_tb(error.__traceback__)
        if Path(last.filename).name != "vllm_client.py":
            raise
        raise ConfigError(f"grpo.vllm: server: {one_line(error)}") from error


def require_processed_log_probs(trainer: Any) -> None:
    """Raise if the vLLM server tells log-probabilities of other distributions than it draws from.

    TRL only warns, and corrects for a difference that is none.

    Args:
        trainer: A `GRPOTrainer`, made.
    """
    if not (
        trainer.use_vllm
        and trainer.vllm_mode == "server"
        and trainer.vllm_importance_sampling_correction
        and trainer.accelerator.is_main_process
    ):
        return
    info = trainer.vllm_generation.vllm_client.get_server_info()
    mode = info["model_config"]["logprobs_mode"]
    if mode != "processed_logprobs":
        raise ConfigError(
            f"grpo.vllm: server: it runs with --logprobs-mode {mode}, which biases the correction"
            " for vLLM's own log-probabilities; start it with --logprobs-mode processed_logprobs,"
            " or set grpo.trl.vllm_importance_sampling_correction: false"
        )
