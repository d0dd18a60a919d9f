"""What transformers alone makes of a model folder: the messages, tensors and log-probabilities that
Vasari's are compared with. Nothing here imports Vasari but the records of prompts and images."""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import torch
import transformers
from transformers.processing_utils import ProcessorMixin

from vasari.data.images import open_image
from vasari.records import Prompt

_PLACEHOLDER = re.compile(r"(image|video|audio)_token_(id|index)")
_STRINGS_ONLY = ("glm4v",)
"""Families whose template prints system and assistant turns as they are."""


class Plain:
    """A model folder as transformers opens it, in float32.

    Args:
        folder: A model folder.
        system: The system prompt.
    """

    def __init__(self, folder: Path, *, system: str) -> None:
        self.folder = folder
        self.system = system
        self.config = json.loads((folder / "config.json").read_text())
        self.has_images = "vision_config" in self.config

    @cached_property
    def processor(self) -> Any:
        """The processor; of a text-only model, its tokenizer."""
        made = plain_processor(self.folder) if self.has_images else self._tokenizer
        getattr(made, "tokenizer", made).padding_side = "left"
        return made

    @property
    def _tokenizer(self) -> Any:
        return transformers.AutoTokenizer.from_pretrained(str(self.folder))

    @property
    def tokenizer(self) -> Any:
        return getattr(self.processor, "tokenizer", self.processor)

    @cached_property
    def model(self) -> Any:
        """The model in float32, to calculate with whatever weights are put into it."""
        return self.open(dtype=torch.float32)

    def open(self, **how: Any) -> Any:
        """Load the model anew, in evaluation mode."""
        return self.auto_class.from_pretrained(str(self.folder), **how).eval()

    @property
    def auto_class(self) -> Any:
        """The class of transformers that opens such models."""
        if self.has_images:
            return transformers.AutoModelForImageTextToText
        return transformers.AutoModelForCausalLM

    @property
    def never_sampled(self) -> set[int]:
        """Tokens in whose place an image, a video or a sound is put."""
        found = {value for key, value in self.config.items() if _PLACEHOLDER.fullmatch(key)}
        return {token for token in found if token is not None}

    @property
    def stop(self) -> int:
        """A token that stops generation."""
        found = json.loads((self.folder / "generation_config.json").read_text())["eos_token_id"]
        first: int = found[0] if isinstance(found, list) else found
        return first

    def messages(self, prompt: Prompt) -> list[dict[str, Any]]:
        """A prompt as chat messages that hold its images."""
        strings = self.config["model_type"] in _STRINGS_ONLY or not self.has_images
        images = iter(open_image(ref, where=prompt.id) for ref in prompt.images)
        pieces = re.split("(<image>)", _question(prompt))
        if "<image>" not in pieces:
            pieces = ["<image>"] * len(prompt.images) + pieces
        parts = [
            {"type": "image", "image": next(images)}
            if piece == "<image>"
            else {"type": "text", "text": piece}
            for piece in pieces
            if piece
        ]
        user: Any = parts if self.has_images else parts[0]["text"]
        system: Any = self.system if strings else [{"type": "text", "text": self.system}]
        return [{"role": "system", "content": system}, {"role": "user", "content": user}]

    def encode(self, prompts: Sequence[Prompt]) -> dict[str, torch.Tensor]:
        """Prompts as the model is asked to answer them, padded left."""
        how = {"tokenize": True, "return_dict": True, "return_tensors": "pt"}
        padding = {"padding": True}
        found = self.processor.apply_chat_template(
            [self.messages(prompt) for prompt in prompts],
            add_generation_prompt=True,
            **how,
            **({"processor_kwargs": padding} if self.has_images else padding),
        )
        return dict(found)

    def prompt_ids(self, prompt: Prompt) -> list[int]:
        ids: list[int] = self.encode([prompt])["input_ids"][0].tolist()
        return ids

    def logits(self, prompt: Prompt, answer: Sequence[int], model: Any = None) -> torch.Tensor:
        """Logits [answer, vocabulary] of each token of an answer to one prompt, all alone.

        Without an answer, those [1, vocabulary] of the token that would come first.
        """
        model = model or self.model
        inputs = with_answer(self.encode([prompt]), answer)
        body = getattr(model, "model", None)
        if hasattr(body, "rope_deltas"):
            body.rope_deltas = None
        found = model(**inputs).logits[0].float()
        return found[-len(answer) - 1 : -1] if len(answer) else found[-1:]

    def logps(
        self,
        prompt: Prompt,
        answer: Sequence[int],
        *,
        model: Any = None,
        temperature: float = 1.0,
    ) -> torch.Tensor:
        """Log-probabilities [answer] of the tokens of an answer to one prompt, all alone."""
        logits = self.logits(prompt, answer, model) / temperature
        return logits.log_softmax(-1).gather(1, torch.tensor(list(answer))[:, None])[:, 0]

    def loss(self, prompts: Sequence[Prompt], answers: Sequence[Sequence[int]]) -> torch.Tensor:
        """Mean negative log-probability of all tokens of the answers, one prompt at a time."""
        rows = [self.logps(*row) for row in zip(prompts, answers, strict=True)]
        return -torch.cat(rows).mean()

    def put(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Calculate with other weights from now on."""
        self.model.load_state_dict({name: w.float() for name, w in weights.items()})


def with_answer(
    inputs: Mapping[str, torch.Tensor], answer: Sequence[int]
) -> dict[str, torch.Tensor]:
    """Tensors of one prompt, continued by an answer, which is text."""
    longer = dict(inputs)
    row = torch.tensor([list(answer)], dtype=torch.long)
    for name, fill in (
        ("input_ids", row),
        ("attention_mask", torch.ones_like(row)),
        ("token_type_ids", torch.zeros_like(row)),
        ("mm_token_type_ids", torch.zeros_like(row)),
    ):
        if name in inputs:
            longer[name] = torch.cat([inputs[name], fill.to(inputs[name].dtype)], 1)
    return longer


def plain_processor(folder: Path) -> Any:
    """What `AutoProcessor` opens; without torchvision, its class made of its parts by hand."""
    if transformers.utils.is_torchvision_available():
        return transformers.AutoProcessor.from_pretrained(str(folder))
    files = {
        name: json.loads((folder / name).read_text()) if (folder / name).exists() else {}
        for name in ("processor_config.json", "preprocessor_config.json", "tokenizer_config.json")
    }
    name = next(
        content["processor_class"] for content in files.values() if "processor_class" in content
    )
    kind = getattr(transformers, name)
    parts = {
        "image_processor": transformers.AutoImageProcessor.from_pretrained(str(folder)),
        "tokenizer": transformers.AutoTokenizer.from_pretrained(str(folder)),
        "chat_template": _template(folder),
    }
    settings = {
        key: value
        for key, value in files["processor_config.json"].items()
        if key != "processor_class" and not isinstance(value, dict)
    }
    missing = {
        key: None
        for key in inspect.signature(kind.__init__).parameters
        if key in ("video_processor", "feature_extractor")
    }
    with _any_parts(kind):
        made = kind(**parts, **settings, **missing)
    # SmolVLM's processor reads them for every conversation.
    made.video_processor = SimpleNamespace(num_frames=None, fps=None)
    return made


@contextmanager
def _any_parts(kind: Any) -> Iterator[None]:
    """Let a processor be made of parts that are missing."""
    module = sys.modules[kind.__module__]
    with (
        mock.patch.object(ProcessorMixin, "check_argument_for_proper_class"),
        mock.patch.object(module, "num2words", str, create=True),
    ):
        yield


def _template(folder: Path) -> str:
    if (folder / "chat_template.jinja").exists():
        return (folder / "chat_template.jinja").read_text()
    if (folder / "chat_template.json").exists():
        found: str = json.loads((folder / "chat_template.json").read_text())["chat_template"]
        return found
    held: str = json.loads((folder / "tokenizer_config.json").read_text())["chat_template"]
    return held


def _question(prompt: Prompt) -> str:
    if not prompt.choices:
        return prompt.question
    letters = [f"{chr(65 + place)}) {text}" for place, text in enumerate(prompt.choices)]
    return " ".join([prompt.question, *letters])
