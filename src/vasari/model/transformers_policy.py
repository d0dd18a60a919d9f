"""A policy that runs a transformers vision-language model in this process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText

from vasari.core.errors import StateError
from vasari.core.progress import Tell, silent
from vasari.core.records import Prompt, Rollout
from vasari.data.images import open_image
from vasari.model.base import Decoding, Images
from vasari.model.chat import chat_messages
from vasari.model.image_reuse import reuse_image_features
from vasari.model.processor import load_processor
from vasari.model.sampling import nothing_added_by, sampling


class TransformersPolicy:
    """Policy that draws rollouts from a transformers vision-language model in this process.

    The global random state is left as it was found.
    """

    def __init__(self, model: Any, processor: Any, *, system: str) -> None:
        self.model = model
        self.processor = processor
        self.system = system
        if model.config.model_type == "qwen2_5_vl":
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
    ) -> TransformersPolicy:
        """Make a policy from a model folder or a Hugging Face hub name."""
        model = load_model(path, dtype=dtype, attn_implementation=attn_implementation)
        return cls(model.eval(), load_processor(path, max_pixels=max_pixels), system=system)

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
                for chunk in _chunks(
                    prompts, max(1, decoding.batch_rollouts // decoding.num_rollouts)
                ):
                    groups += self._generate_chunk(chunk, decoding)
                    tell(len(groups), len(prompts))
        finally:
            self.model.train(was_training)
        return groups

    def _generate_chunk(self, prompts: Sequence[Prompt], decoding: Decoding) -> list[list[Rollout]]:
        inputs = self._encode(prompts, shown=decoding.images).to(self.model.device)
        drawn = sampling(self.model, self.processor.tokenizer, decoding)
        drawn.num_return_sequences = decoding.num_rollouts
        with nothing_added_by(self.model):
            sequences = self.model.generate(**inputs, generation_config=drawn)
        ends = set(drawn.eos_token_id)
        completions = sequences[:, inputs["input_ids"].shape[1] :].cpu().numpy()
        rollouts = [self._rollout(row, ends) for row in completions]
        size = decoding.num_rollouts
        return [rollouts[i : i + size] for i in range(0, len(rollouts), size)]

    def _encode(self, prompts: Sequence[Prompt], *, shown: Images) -> Any:
        messages = []
        for prompt in prompts:
            turns = chat_messages(prompt, system=self.system, with_images=shown != "removed")
            refs = iter(prompt.images)
            for part in turns[-1]["content"]:
                if part["type"] == "image":
                    image = open_image(next(refs), where=f"prompt {prompt.id!r}")
                    part["image"] = (
                        image if shown == "shown" else Image.new("RGB", image.size, "white")
                    )
            messages.append(turns)
        return self.processor.apply_chat_template(
            messages,
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs={"padding": True, "padding_side": "left"},
        )

    def _rollout(self, row: np.ndarray[Any, np.dtype[np.int64]], ends: set[int]) -> Rollout:
        stops = np.flatnonzero(np.isin(row, list(ends)))
        tokens = row[: stops[0] + 1] if len(stops) else row
        text = self.processor.tokenizer.decode(tokens.tolist(), skip_special_tokens=True)
        return Rollout(text=text, token_ids=tokens.astype(np.int32), truncated=not len(stops))


def load_model(path: str, *, dtype: str = "auto", attn_implementation: str | None = None) -> Any:
    """Load a vision-language model from a folder or a hub name, never with remote code.

    Raises:
        StateError: Nothing there can be loaded as a model.
    """
    try:
        return AutoModelForImageTextToText.from_pretrained(
            path,
            dtype=dtype,
            attn_implementation=attn_implementation,
            trust_remote_code=False,
        )
    except (OSError, ValueError, KeyError) as error:
        raise StateError(f"{path}: no model can be loaded from it: {error}") from error


def _chunks(prompts: Sequence[Prompt], size: int) -> Iterator[Sequence[Prompt]]:
    for start in range(0, len(prompts), size):
        yield prompts[start : start + size]
