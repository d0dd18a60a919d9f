"""A policy that reads prompts with a model's own processor and lets an engine draw rollouts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from vasari.core.progress import Tell, silent
from vasari.core.records import Prompt, Rollout
from vasari.data.images import open_image
from vasari.model.base import Decoding, Images
from vasari.model.chat import chat_messages
from vasari.model.encoded_prompts import EncodedPrompt, encoded
from vasari.model.families import Family
from vasari.model.prompt_checks import PromptChecker
from vasari.model.template import as_text, opened_tag, tokenizer_of
from vasari.model.token_engine import Drawn, TokenEngine


class ModelPolicy:
    """Policy that encodes prompts as the model reads them, and has an engine draw the tokens.

    Where the chat template opens a `<think>` for the model, the texts of rollouts begin with it.

    Args:
        engine: Draws tokens: transformers or vLLM.
        processor: From `load_processor`.
        family: Of the model.
        system: The system prompt; "" for none.

    Raises:
        ConfigError: The chat template takes no system prompt.
    """

    def __init__(self, engine: TokenEngine, processor: Any, family: Family, *, system: str) -> None:
        self.engine = engine
        self.processor = processor
        self.system = system
        self._family = family
        self._checker = PromptChecker(processor, family)
        self._opened = opened_tag(processor)

    def generate(
        self, prompts: Sequence[Prompt], decoding: Decoding, *, seed: int, tell: Tell = silent
    ) -> list[list[Rollout]]:
        """Return a group of rollouts for each prompt, in the order of the prompts."""
        groups = self.engine.draw(
            (self.encode(prompt, shown=decoding.images) for prompt in prompts),
            decoding,
            seed=seed,
            answered=lambda done: tell(done, len(prompts)),
        )
        return [[self._rollout(drawn) for drawn in group] for group in groups]

    def encode(self, prompt: Prompt, *, shown: Images = "shown") -> EncodedPrompt:
        """Return a prompt as the model reads it.

        Raises:
            DataError: An image cannot be opened, or the model cannot be given the prompt.
        """
        turns, images = self._conversation(prompt, shown=shown)
        if self._family.layout == "none":
            turns = as_text(turns)
        return EncodedPrompt(*encoded(self.processor, turns), images, turns)

    def _conversation(
        self, prompt: Prompt, *, shown: Images
    ) -> tuple[list[dict[str, Any]], list[Image.Image]]:
        """A prompt's messages with its images in them, and the images."""
        turns = chat_messages(prompt, system=self.system, with_images=shown != "removed")
        refs = iter(prompt.images)
        images = []
        for part in turns[-1]["content"]:
            if part["type"] == "image":
                image = open_image(next(refs), where=f"prompt {prompt.id!r}")
                part["image"] = image if shown == "shown" else Image.new("RGB", image.size, "white")
                images.append(part["image"])
        self._checker.check(prompt, [image.size for image in images])
        return turns, images

    def _rollout(self, drawn: Drawn) -> Rollout:
        text = tokenizer_of(self.processor).decode(list(drawn.token_ids), skip_special_tokens=True)
        return Rollout(
            text=self._opened + text,
            token_ids=np.array(drawn.token_ids, dtype=np.int32),
            truncated=not drawn.ended,
        )
