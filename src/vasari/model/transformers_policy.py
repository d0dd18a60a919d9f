"""A policy that runs a model of transformers in this process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

from vasari.core.errors import MissingExtraError, StateError
from vasari.core.progress import Tell, silent
from vasari.core.records import Prompt, Rollout
from vasari.data.images import open_image
from vasari.model.base import Decoding, Images
from vasari.model.chat import chat_messages
from vasari.model.config import load_config, one_line
from vasari.model.families import family_of, without_adapters
from vasari.model.hub import require_weights
from vasari.model.image_reuse import reuse_image_features
from vasari.model.processor import load_processor
from vasari.model.prompt_checks import PromptChecker
from vasari.model.sampling import nothing_added_by, sampling
from vasari.model.shared_prefill import generate_shared
from vasari.model.template import as_text, opened_tag, tokenizer_of


class TransformersPolicy:
    """Policy that draws rollouts from a transformers model in this process.

    Where the chat template opens a `<think>` for the model, the texts of rollouts begin with it.
    The global random state is left as it was found.

    Args:
        model: Vision-language or text-only, also with adapters.
        processor: From `load_processor`.
        system: The system prompt; "" for none.

    Raises:
        ConfigError: The family is not supported, or the chat template takes no system prompt.
    """

    def __init__(self, model: Any, processor: Any, *, system: str) -> None:
        self.model = model
        self.processor = processor
        self.system = system
        self._family = family_of(without_adapters(model).config)
        self._checker = PromptChecker(processor, self._family)
        self._opened = opened_tag(processor)
        reuse_image_features(model)

    @classmethod
    def load(
        cls,
        path: str,
        *,
        system: str,
        max_pixels: int | None = None,
        dtype: str = "auto",
        attn_implementation: str | None = None,
        thinking: bool | None = None,
    ) -> TransformersPolicy:
        """Make a policy from a model folder or a hub name, on the accelerator if there is one."""
        processor = load_processor(path, max_pixels=max_pixels, thinking=thinking)
        model = load_model(path, dtype=dtype, attn_implementation=attn_implementation)
        device = torch.accelerator.current_accelerator(check_available=True)
        return cls(model.to(device or "cpu").eval(), processor, system=system)

    def generate(
        self, prompts: Sequence[Prompt], decoding: Decoding, *, seed: int, tell: Tell = silent
    ) -> list[list[Rollout]]:
        """Return a group of rollouts for each prompt; the same seed and batch size repeat them."""
        groups: list[list[Rollout]] = []
        was_training = self.model.training
        self.model.eval()
        cuda = [self.model.device] if self.model.device.type == "cuda" else []
        try:
            with torch.random.fork_rng(devices=cuda), torch.no_grad():
                torch.manual_seed(seed)
                size = max(1, decoding.batch_rollouts // decoding.num_rollouts)
                for chunk in _chunks(prompts, size):
                    parts = [self._generate_chunk(chunk, part) for part in _parts(decoding)]
                    groups += [list(chain.from_iterable(own)) for own in zip(*parts, strict=True)]
                    tell(len(groups), len(prompts))
        finally:
            self.model.train(was_training)
        return groups

    def _generate_chunk(self, prompts: Sequence[Prompt], decoding: Decoding) -> list[list[Rollout]]:
        inputs = self._encode(prompts, shown=decoding.images).to(self.model.device)
        drawn = sampling(self.model, self.processor, decoding)
        sources = torch.arange(len(prompts)).repeat_interleave(decoding.num_rollouts)
        with nothing_added_by(self.model):
            sequences = generate_shared(self.model, inputs, sources, drawn)
        ends = set(drawn.eos_token_id)
        completions = sequences[:, inputs["input_ids"].shape[1] :].cpu().numpy()
        rollouts = [self._rollout(row, ends) for row in completions]
        size = decoding.num_rollouts
        return [rollouts[i : i + size] for i in range(0, len(rollouts), size)]

    def _encode(self, prompts: Sequence[Prompt], *, shown: Images) -> Any:
        conversations = [self._conversation(prompt, shown=shown) for prompt in prompts]
        how = {"add_generation_prompt": True, "return_dict": True, "return_tensors": "pt"}
        padding = {"padding": True, "padding_side": "left"}
        if self._family.layout == "none":
            texts = [as_text(turns) for turns in conversations]
            return self.processor.apply_chat_template(texts, padding=True, **how)
        return self.processor.apply_chat_template(
            conversations, tokenize=True, processor_kwargs=padding, **how
        )

    def _conversation(self, prompt: Prompt, *, shown: Images) -> list[dict[str, Any]]:
        """A prompt's messages, with its images opened."""
        turns = chat_messages(prompt, system=self.system, with_images=shown != "removed")
        refs = iter(prompt.images)
        images = []
        for part in turns[-1]["content"]:
            if part["type"] == "image":
                image = open_image(next(refs), where=f"prompt {prompt.id!r}")
                images.append(image)
                part["image"] = image if shown == "shown" else Image.new("RGB", image.size, "white")
        self._checker.check(prompt, [image.size for image in images])
        return turns

    def _rollout(self, row: np.ndarray[Any, np.dtype[np.int64]], ends: set[int]) -> Rollout:
        stops = np.flatnonzero(np.isin(row, list(ends)))
        tokens = row[: stops[0] + 1] if len(stops) else row
        text = tokenizer_of(self.processor).decode(tokens.tolist(), skip_special_tokens=True)
        return Rollout(
            text=self._opened + text, token_ids=tokens.astype(np.int32), truncated=not len(stops)
        )


def load_model(path: str, *, dtype: str = "auto", attn_implementation: str | None = None) -> Any:
    """Load a model from a folder or a hub name, never with remote code.

    It is transformers' own class: `AutoModelForImageTextToText` for a vision-language family,
    `AutoModelForCausalLM` for text alone.

    Raises:
        StateError: Nothing there can be loaded as a model.
        ConfigError: The family is not supported.
    """
    require_weights(path)
    family = family_of(load_config(path))
    _require_weight_files(Path(path))
    kind = AutoModelForCausalLM if family.layout == "none" else AutoModelForImageTextToText
    try:
        model = kind.from_pretrained(
            path, dtype=dtype, attn_implementation=attn_implementation, trust_remote_code=False
        )
    except ImportError as error:
        raise MissingExtraError(f"{path}: the model cannot be loaded: {one_line(error)}") from error
    except (OSError, ValueError, KeyError) as error:
        raise StateError(f"{path}: no model can be loaded from it: {one_line(error)}") from error
    # Under ZeRO-3 transformers also keeps the renaming rules that fitted no weight, and would save
    # weights under names that the source never had.
    model._weight_conversions = [
        rule for rule in getattr(model, "_weight_conversions", None) or () if rule.was_used()
    ]
    return model


def _require_weight_files(folder: Path) -> None:
    """Raise if a model folder has no file of weights."""
    if folder.is_dir() and not [*folder.glob("*.safetensors"), *folder.glob("*.bin")]:
        raise StateError(
            f"{folder}: has a config.json and no weights (model.safetensors, or pytorch_model.bin);"
            " copy them too, or give the folder that has them"
        )


def _parts(decoding: Decoding) -> Iterator[Decoding]:
    """A prompt's rollouts in parts that are generated at once, where they are more than a batch."""
    for start in range(0, decoding.num_rollouts, decoding.batch_rollouts):
        size = min(decoding.batch_rollouts, decoding.num_rollouts - start)
        yield decoding.model_copy(update={"num_rollouts": size})


def _chunks(prompts: Sequence[Prompt], size: int) -> Iterator[Sequence[Prompt]]:
    for start in range(0, len(prompts), size):
        yield prompts[start : start + size]
